"""What real data teaches: which rows train and answer, what is drawn, which images are shown."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import lessons
from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest
from helpers.train import Recipe

CAMERAS = ("north", "south", "east", "west")


@pytest.fixture
def street() -> Manifest:
    """Eighty people of three images each, every person at one camera."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(80), 3)
    frame = pd.DataFrame(
        {
            "image_path": [f"{row}.jpg" for row in range(len(person))],
            "gender": np.array(["female", "male"])[rng.integers(0, 2, 80)][person],
            "color": np.array(["red", "blue", "gray"])[rng.integers(0, 3, 80)][person],
            "group": [f"p{number}" for number in person],
            "camera": np.array(CAMERAS)[person % 4],
        }
    )
    labels = Labels({"gender": ("female", "male"), "color": ("red", "blue", "gray")})
    return Manifest(frame, labels, Path("street.csv"))


def answer_by_training(trained: list[Manifest]):
    """Stands in for a training: right where the camera was trained on, else the first class."""

    def answers(split: Manifest, recipe: Recipe, asked: list[Manifest], name: str):
        trained.append(split)
        known = set(split.subset("train").frame["camera"])
        found = []
        for part in asked:
            right = part.frame["camera"].isin(known).to_numpy()
            table = {}
            for task, classes in part.labels.tasks.items():
                says = np.where(right, part.targets(task), 0)
                table[task] = np.where(np.arange(len(classes)) == says[:, None], 0.8, 0.1)
                table[task] /= table[task].sum(axis=1, keepdims=True)
            found.append(table)
        return found

    return answers


def test_nobody_who_answers_was_trained_on(
    street: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Manifest] = []
    monkeypatch.setattr(lessons, "_answers", answer_by_training(trained))
    monkeypatch.setattr(lessons, "FEWEST", 1)
    lessons.run_lessons(street, tmp_path / "real", epochs=1)
    by_camera, by_persons = trained[2 : 2 + lessons.CAMERA_FOLDS], trained[-4:]
    assert len(trained) == 2 + len(by_camera) + len(by_persons)
    people = [set(part.groups) for part in trained]
    assert all(one <= people[0] for one in people) and len(people[0]) == pytest.approx(64, abs=3)
    at_random, by_person = trained[:2]
    sides = [set(by_person.subset(side).groups) for side in ("train", "validation")]
    assert not sides[0] & sides[1]
    sides = [set(at_random.subset(side).groups) for side in ("train", "validation")]
    assert sides[0] & sides[1]
    left_out = [set(CAMERAS) - set(part.frame["camera"]) for part in by_camera]
    assert sorted(camera for part in left_out for camera in part) == sorted(CAMERAS)
    counts = [len(set(part.subset("train").groups)) for part in by_persons]
    assert counts == [-(-counts[3] // parts) for parts in (8, 4, 2, 1)]
    assert {len(part.subset("validation")) for part in by_persons} == {
        len(by_person.subset("validation"))
    }


def test_fewer_persons_are_learned_from_as_long(
    street: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, answers = [], answer_by_training([])

    def noting(split: Manifest, recipe: Recipe, asked: list[Manifest], name: str):
        seen.append((len(split.subset("train")), recipe.stages[0].epochs))
        return answers(split, recipe, asked, name)

    monkeypatch.setattr(lessons, "_answers", noting)
    monkeypatch.setattr(lessons, "FEWEST", 1)
    lessons.run_lessons(street, tmp_path / "real", epochs=8)
    half, equal = seen[1], seen[-4:]
    assert [epochs for _, epochs in equal] == [16] * 4 and half == (equal[-1][0], 8)
    # equal but for the rounding up of so few people
    assert [images for images, _ in equal] == pytest.approx([half[0]] * 4, rel=0.2)
    kept = json.loads((tmp_path / "real" / "lessons.json").read_text())["people"]
    assert len(kept["equally long"]) == 4 and len(kept["half as long"]) == 1


def test_every_lesson_is_drawn_and_its_figures_are_kept(
    street: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessons, "_answers", answer_by_training([]))
    monkeypatch.setattr(lessons, "FEWEST", 1)
    lessons.run_lessons(street, tmp_path / "real", epochs=1)
    assert (tmp_path / "real" / "cameras.png").stat().st_size > 5000
    figures = json.loads((tmp_path / "real" / "lessons.json").read_text())
    assert figures["leak"]["by person"]["gender"] == {"validation": 1.0, "test": 1.0}
    assert set(figures["cameras"]) == set(CAMERAS)
    for accuracy in figures["cameras"].values():  # right where trained on, a guess where not
        assert accuracy["trained on"] == 1 and accuracy["left out"] < 0.9


@pytest.mark.parametrize("column", ["group", "camera"])
def test_persons_and_cameras_are_needed(street: Manifest, column: str) -> None:
    lacking = Manifest(street.frame.drop(columns=column), street.labels, street.source)
    with pytest.raises(WorkshopError, match="expected the columns group and camera"):
        lessons.camera_column(lacking)
