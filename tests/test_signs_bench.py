"""The comparison of recipes and splits: who is divided how, and what is named."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks import trainings
from benchmarks.__main__ import main
from benchmarks.signs import COLUMNS, compare_recipes, divided, train_and_score, weak_classes
from helpers.common import WorkshopError
from helpers.manifest import Manifest, read_manifest
from helpers.train import Recipe, change
from helpers.train.flags import build_parser, recipe_from
from helpers.train.recipe import RECIPES
from tests.test_bench import InProcess

TRACKS, FRAMES = 8, 3


@pytest.fixture(scope="module")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Two classes that a glance tells apart, in tracks, a quarter of them a given test set."""
    folder = tmp_path_factory.mktemp("signs")
    rng, rows = np.random.default_rng(0), []
    for name, shade in (("stop", 40), ("yield", 200)):
        for track in range(TRACKS):
            for frame in range(FRAMES):
                path = f"{name}_{track}_{frame}.png"
                pixels = rng.normal(0, 10, (20, 20, 3)) + 120
                pixels[5:15, 5:15] = shade
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / path)
                test = track < TRACKS // 4
                rows.append((path, name, "" if test else f"{name}{track}", "test" if test else ""))
    table = pd.DataFrame(rows, columns=["image_path", "sign", "group", "split"])
    table.to_csv(folder / "manifest.csv", index=False)
    return read_manifest(folder / "manifest.csv")


def sides(manifest: Manifest) -> dict[str, set[str]]:
    tracks = manifest.frame["image_path"].str[:-6]
    return {split: set(tracks[manifest.frame["split"] == split]) for split in
            ("train", "validation", "test")}  # fmt: skip


def test_by_track_no_sign_is_on_two_sides_and_the_test_set_stays(signs: Manifest) -> None:
    found = sides(divided(signs, "by track", 0.34))
    assert not found["train"] & found["validation"]
    assert found["test"] == {"stop_0", "stop_1", "yield_0", "yield_1"}


def test_by_image_signs_are_on_both_sides_and_the_test_set_stays(signs: Manifest) -> None:
    found = sides(divided(signs, "by image", 0.34))
    assert found["train"] & found["validation"]
    assert found["test"] == {"stop_0", "stop_1", "yield_0", "yield_1"}
    assert not found["test"] & (found["train"] | found["validation"])


@pytest.mark.parametrize("way", ["by track", "by image"])
def test_without_a_test_set_whole_tracks_are_split_off_first(signs: Manifest, way: str) -> None:
    frame = signs.frame.drop(columns="split")
    frame["group"] = frame["image_path"].str[:-6]
    found = sides(divided(dataclasses.replace(signs, frame=frame), way, 0.34))
    assert found["test"] and not found["test"] & (found["train"] | found["validation"])


def test_weak_classes_are_named_worst_first() -> None:
    targets = np.array([0] * 10 + [1] * 10 + [2] * 10)
    answers = np.eye(4)[targets]
    answers[:3] = np.eye(4)[1]
    answers[10:15] = np.eye(4)[0]
    assert weak_classes(targets, answers, ("a", "b", "c", "d")) == "b 0.50, a 0.70"
    assert weak_classes(targets, np.eye(4)[targets], ("a", "b", "c", "d")) == "none"


def test_every_recipe_is_trained_under_every_split(
    signs: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def train_and_score(manifest: Manifest, recipe: Recipe, folder: Path) -> dict:
        trained.append((recipe.backbone, recipe.stages[0].epochs, "group" in manifest.frame))
        return dict(zip(COLUMNS[2:], (0.9, 0.8, 1.0, 2.0, 3, folder.name)))

    monkeypatch.setattr("benchmarks.signs.train_and_score", train_and_score)
    table = compare_recipes(signs, tmp_path, epochs=3, share=0.34)
    assert trained == [("sign", 3, True), ("sign", 3, False),
                       ("lenet", 3, True), ("lenet", 3, False)]  # fmt: skip
    assert table[["recipe", "split", "weak"]].to_numpy().tolist() == [
        ["signs", "by track", "signs-by-track"], ["signs", "by image", "signs-by-image"],
        ["lenet", "by track", "lenet-by-track"], ["lenet", "by image", "lenet-by-image"],
    ]  # fmt: skip


def test_a_training_is_scored_on_validation_and_test(
    signs: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "Measured", InProcess)
    recipe = change(RECIPES["lenet"], epochs=8, batch_size=8)
    row = train_and_score(divided(signs, "by track", 0.34), recipe, tmp_path / "run")
    assert set(row) == set(COLUMNS[2:])
    assert row["validation"] == row["test"] == 1 and row["weak"] == "none"
    assert row["epochs"] == 8 and row["minutes"] > 0 and row["CPU minutes"] > 0


def test_wrong_numbers_are_told(command) -> None:
    code, _, error = command(main, "signs", "--manifest", "m.csv", "--validation", "1.5")
    assert code == 2 and "--validation" in error


def test_recipes_by_name_and_changed_by_flags() -> None:
    given = build_parser().parse_args(
        ["--manifest", "m", "--out", "o", "--recipe", "signs", "--epochs", "3"]
    )
    recipe = recipe_from(given)
    assert recipe.stages[0].epochs == 3
    assert recipe.stages[0].augmentation == "signs" and recipe.backbone == "sign"
    assert RECIPES["street"] == Recipe()


def test_an_unknown_recipe_names_those_that_are_known() -> None:
    given = build_parser().parse_args(["--manifest", "m", "--out", "o", "--recipe", "sings"])
    with pytest.raises(WorkshopError, match="street, fine-tune, signs, lenet, published"):
        recipe_from(given)
