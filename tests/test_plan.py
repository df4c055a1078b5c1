"""What the stages of a recipe cost in time and memory."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import measures
from benchmarks.plan import describe_plan, plan
from helpers.manifest import Manifest
from helpers.train import PUBLISHED_ATTRIBUTES
from tests.conftest import small_recipe


class FixedProcess:
    """Stands in for `benchmarks.processes.Measured`: half a second a step, 2 GB."""

    def __init__(self, prepare: Callable, data: measures.Data, recipe: dict):
        assert prepare is measures.stage_step and len(recipe["stages"]) == 1

    def __call__(self) -> float:
        return 0.5

    def close(self) -> float:
        return 2.0


def test_a_plan_tells_time_and_memory(people: Manifest) -> None:
    recipe = PUBLISHED_ATTRIBUTES.replace(stages=PUBLISHED_ATTRIBUTES.stages[2:4])
    table = plan(recipe, measures.Data(Path(people.source)), FixedProcess)
    assert table["size"].tolist() == ["100x100", "200x200"]
    assert (table["pictures_per_second"] == 128).all() and (table["gigabytes"] == 2).all()
    assert table["minutes"].tolist() == pytest.approx([50 * 27 / 128 / 60] * 2)
    assert "--accumulate" in describe_plan(table)


def test_a_step_is_measured(people: Manifest, tiny_backbone: None) -> None:
    step = measures.stage_step(measures.Data(Path(people.source)), small_recipe().to_json())
    assert 0 < step() < 60
