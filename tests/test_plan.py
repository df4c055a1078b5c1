"""What a recipe will take: a step of each stage, measured."""

from collections.abc import Callable

import pytest

from benchmarks import measures
from benchmarks.plan import describe_plan, plan
from helpers.manifest import Manifest
from helpers.train import Recipe
from helpers.train.recipe import PUBLISHED_ATTRIBUTES
from tests.conftest import small_recipe


class FixedProcess:
    """Stands in for `benchmarks.measures.Measured`: 64 images in half a second, 2 GB."""

    def __init__(self, prepare: Callable, training: Manifest, recipe: dict, source: str):
        assert prepare is measures.training and len(recipe["stages"]) == 1 and source == "random"

    def __call__(self) -> float:
        return 128.0

    def close(self) -> float:
        return 2.0


def test_a_plan_tells_time_and_memory(people: Manifest) -> None:
    plain = PUBLISHED_ATTRIBUTES.to_json()
    recipe = Recipe.from_json({**plain, "stages": plain["stages"][2:4]})
    table = plan(recipe, people.subset("train"), FixedProcess)
    assert table["size"].tolist() == ["100x100", "200x200"]
    assert (table["images_per_second"] == 128).all() and (table["gigabytes"] == 2).all()
    assert table["minutes"].tolist() == pytest.approx([50 * 27 / 128 / 60] * 2)
    assert "--accumulate" in describe_plan(table)


def test_a_step_is_measured_without_images(
    people: Manifest, tiny_backbone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "SECONDS", 0.01)
    monkeypatch.setattr("helpers.pipeline.batches.load_images", None)  # nothing is decoded
    speed = measures.training(people.subset("train"), small_recipe().to_json(), "random")
    assert speed() > 0
