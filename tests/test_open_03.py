"""What 03_validate writes in the open gives the package's numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.metrics import confusion_matrix

from helpers import scores
from helpers.manifest import Labels, Manifest
from tests.notebook_form import NOTEBOOKS, ROOT, code_cells, prose, read

NOTEBOOK = read(NOTEBOOKS / "03_validate.ipynb")
CLASSES = ("male", "female", "unknown")


@pytest.fixture(scope="module")
def names() -> dict:
    """What the notebook has before it scores: 600 images of 200 people, some without a label."""
    rng = np.random.default_rng(0)
    person = rng.integers(200, size=600)
    truth = rng.choice(3, size=600, p=[0.6, 0.35, 0.05])
    # two images of one person are right or wrong together
    logits = 3 * np.eye(3)[truth] + 2 * rng.normal(size=(200, 3))[person]
    logits += rng.normal(size=(600, 3))
    label = np.array(CLASSES, object)[truth]
    label[:20], label[20:35] = "", "female"  # missing, and some of them wrong
    frame = {"image_path": [f"{i}.jpg" for i in range(600)], "gender": label}
    frame |= {"group": [f"p{number}" for number in person]}
    manifest = Manifest(pd.DataFrame(frame), Labels({"gender": CLASSES}), Path())
    return {
        "np": np,
        "pd": pd,
        "manifest": manifest,
        "test": manifest,
        "tasks": ["gender"],
        "task": "gender",
        "probabilities": {"gender": softmax(logits, axis=1)},
    }


def run(names: dict, *marks: str) -> dict:
    """Runs the cells of the notebook that hold the marks, and returns all names."""
    sources, names = code_cells(NOTEBOOK), dict(names)
    for mark in marks:
        (source,) = (source for source in sources if mark in source)
        exec(source, names)
    return names


BY_HAND = (
    "truth, predicted =",
    "accuracy = (",
    "def count_pairs",
    "recall = np",
    "balanced_accuracy, worst",
)


def test_one_task_by_hand_has_the_scores_of_the_package(names: dict):
    ours = run(names, *BY_HAND)
    theirs = scores.score_manifest(names["test"], names["probabilities"]).loc["gender"]
    assert ours["accuracy"] == pytest.approx(theirs["accuracy"])
    assert ours["baseline"] == pytest.approx(theirs["majority_baseline"])
    assert ours["balanced_accuracy"] == pytest.approx(theirs["balanced_accuracy"])
    given = names["test"].targets("gender"), names["probabilities"]["gender"], CLASSES
    theirs = confusion_matrix(given[0], given[1].argmax(axis=1), labels=range(len(CLASSES)))
    assert (ours["confusion"].to_numpy() == theirs).all()
    each = scores.per_class(*given)
    assert ours["recall"] == pytest.approx(each["recall"].to_numpy())
    assert CLASSES[ours["worst"]] == each["recall"].idxmin()


def test_interval_over_people_is_that_of_the_package(names: dict):
    ours = run(names, "def interval", "labelled = {")
    interval, correct = ours["interval"], ours["correct"]["gender"]
    theirs = scores.score_manifest(names["test"], names["probabilities"]).loc["gender"]
    bounds = interval(correct, ours["people"]["gender"])
    assert bounds == pytest.approx(theirs[["accuracy_low", "accuracy_high"]].tolist(), abs=0.006)
    assert np.ptp(bounds) > 1.1 * np.ptp(interval(correct, np.arange(len(correct))))


def test_temperature_is_that_of_the_package(names: dict):
    sharp = names["probabilities"]["gender"] ** 2
    sharp /= sharp.sum(axis=1, keepdims=True)
    given = {"model": None, "validation": names["test"]}
    given["predict_manifest"] = lambda model, manifest: {"gender": sharp}
    ours = run(names | given, "def image_losses", "fitted = ")
    fitted = scores.fit_temperature(names["test"].targets("gender"), sharp)
    assert ours["fitted"].x == pytest.approx(fitted, rel=1e-3)
    assert fitted > 1.5


def test_gaps_add_up_to_the_difference_of_confidence_and_accuracy(names: dict):
    ours = run(names, "def interval", "labelled = {", "def gaps")
    table = ours["before"]["gender"]
    known = ours["labelled"]["gender"]
    confidence = names["probabilities"]["gender"].max(axis=1)[known]
    assert table["images"].sum() == known.sum()
    average = np.average(table["gap"], weights=table["images"])
    assert average == pytest.approx((confidence - ours["correct"]["gender"]).mean())


def test_suspicious_labels_are_those_of_the_package(names: dict):
    ours = run(names, "labelled = {", "suspicious = ")
    given = names["test"].targets("gender"), names["probabilities"]["gender"], CLASSES
    theirs = scores.likely_label_errors(*given)
    assert len(theirs) > 10
    assert ours["rows"][ours["order"]].tolist() == theirs["row"].tolist()


def test_what_the_text_says_of_half_the_people_and_half_the_time():
    curve = json.loads((ROOT / "images" / "real" / "lessons.json").read_text())["people"]
    whole = pd.Series(curve["equally long"]["3705"])
    time = (whole - pd.Series(curve["half as long"]["3705"])).mean()
    people = (whole - pd.Series(curve["equally long"]["1853"])).mean()
    text = " ".join(prose(NOTEBOOK).split())
    assert f"half as long cost .{round(100 * time):02} of accuracy on average" in text
    assert f"half of the people cost .{round(100 * people):02}" in text
