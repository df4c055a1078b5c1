"""What a network has to beat: learned from the training split, told where it is not beaten."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from benchmarks import ablation, baselines, trainings
from benchmarks.__main__ import main
from helpers.manifest import Manifest
from tests.conftest import IMAGE_SIZE, LABELS, small_recipe

pytestmark = pytest.mark.usefixtures("tiny_backbone")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(baselines, "IMAGE_SIZE", IMAGE_SIZE)
    cache = tmp_path_factory.mktemp("cache")
    load = baselines.load_images
    monkeypatch.setattr(baselines, "load_images", lambda m, size: load(m, size, cache))


def predicted(name: str, people: Manifest) -> dict[str, np.ndarray]:
    found = baselines.predict_baseline(name, people.subset("train"), people.subset("validation"))
    for task, classes in people.labels.tasks.items():
        assert found[task].shape == (10, len(classes))
        np.testing.assert_allclose(found[task].sum(axis=1), 1, rtol=1e-5)
    return found


def test_the_largest_class_is_that_of_the_training_images(people: Manifest) -> None:
    found = predicted("majority class", people)
    for task, classes in LABELS.tasks.items():
        counts = people.subset("train").frame[task].replace("", np.nan).value_counts()
        expected = [counts[name] / counts.sum() for name in classes]
        np.testing.assert_allclose(found[task], [expected] * 10, rtol=1e-6)


@pytest.mark.parametrize("name", baselines.BASELINES[1:])
def test_colors_and_features_tell_colors(people: Manifest, name: str) -> None:
    found = predicted(name, people)["top_color"].argmax(axis=1)
    targets = people.subset("validation").targets("top_color")
    assert (found == targets)[targets >= 0].mean() > 0.8


def test_a_class_that_was_never_seen_is_never_said(people: Manifest) -> None:
    kept = ((people.frame["top_color"] != "black") | (people.frame["split"] != "train")).to_numpy()
    found = predicted("color histogram", people.rows(kept))["top_color"]
    assert (found[:, list(LABELS.tasks["top_color"]).index("black")] == 0).all()


def test_a_network_that_does_not_beat_them_says_so() -> None:
    rows = {"majority class": [0.5, 0.4], "color histogram": [0.6, 0.7], "mine": [0.8, 0.7]}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["gender", "top_color"])
    told = baselines.unbeaten(table)
    assert told == "mine does not beat color histogram in top_color: 0.700, 0.700.\n"
    assert baselines.unbeaten(table.drop("mine")) == ""
    assert baselines.unbeaten(table.loc[["mine"]]) == ""


def test_one_command(people: Manifest, trained, command: Callable) -> None:
    arguments = ("--manifest", people.source, "--tasks", "top_color,gender,age")
    code, printed, error = command(main, "baselines", *arguments, "--run", trained.folder)
    assert code == 0, error
    for name in (*baselines.BASELINES, trained.folder):
        assert f"| {name} | gender |" in printed


def test_a_baseline_is_a_row_among_trainings(people: Manifest) -> None:
    row = trainings.scored_training(people, small_recipe(), baseline="majority class")
    assert row["epochs"] == 0 and row["gender_balanced_accuracy"] == 0.5
    wanted = {"majority class", "frozen features", "fine-tuned", "majority class (random split)"}
    assert wanted <= set(ablation.TOGETHER["starts"])
    every = [*ablation.TOGETHER["starts"], *ablation.TOGETHER["curve"]]
    assert not [name for name in every if "," in name]  # --ideas could not ask for it alone
