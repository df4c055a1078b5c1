from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest
from helpers.workshop import exercises
from helpers.workshop.exercises import EXERCISES, NOT_ANSWERED, RIGHT, Exercise


@pytest.mark.parametrize("name", EXERCISES)
def test_three_dots_are_not_an_answer(name, capsys):
    exercises.check(name, ...)
    assert capsys.readouterr().out.strip() == NOT_ANSWERED
    assert not exercises.is_right(name, ...)


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", [None, "", -1, [], object(), "what?"])
def test_nonsense_gets_the_hint_and_never_a_traceback(name, answer):
    assert exercises.verdict(name, answer) == f"not yet: {EXERCISES[name].hint}"


def test_right_answer_with_data_of_the_notebook(monkeypatch):
    longest = Exercise(lambda answer, words: answer == max(words, key=len), "count the letters")
    monkeypatch.setitem(EXERCISES, "99-longest", longest)
    words = ["to", "three"]
    assert exercises.verdict("99-longest", "three", words) == RIGHT
    assert exercises.is_right("99-longest", "three", words)
    assert exercises.verdict("99-longest", "to", words) == "not yet: count the letters"


def test_outputs_exercise():
    assert exercises.is_right("00-outputs", 27)
    assert not exercises.is_right("00-outputs", 27.5)
    assert not exercises.is_right("00-outputs", 3)


def people(**columns):
    """Four pictures with hat (half yes) and bag (all no where known)."""
    frame = {
        "image_path": ["a", "b", "c", "d"],
        "hat": ["yes", "no", "yes", "no"],
        "bag": ["no", "no", "no", ""],
    }
    labels = Labels({"hat": ("yes", "no"), "bag": ("yes", "no")})
    return Manifest(pd.DataFrame(frame | columns), labels, Path())


def test_floor_exercise_leaves_empty_cells_out():
    assert exercises.is_right("03-floor", "bag", people())
    assert not exercises.is_right("03-floor", "hat", people())


def test_quality_exercise_wants_the_value_with_the_lowest_accuracy():
    manifest = people(imagequality=["Good", "Good", "Bad", "Bad"])
    says_yes = {"hat": np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.9, 0.1]])}
    assert exercises.is_right("03-quality", "Bad", manifest, says_yes, "hat")
    assert not exercises.is_right("03-quality", "Good", manifest, says_yes, "hat")


def test_leak_exercise_counts_validation_pictures_of_known_persons():
    split = ["train", "validation", "validation", "validation"]
    manifest = people(group=["p1", "p1", "p2", "p3"], split=split)
    assert exercises.is_right("03-leak", 1 / 3, manifest)
    assert not exercises.is_right("03-leak", 0.5, manifest)


def test_cloud_exercises():
    manifest = people(sign=["stop", "stop", "yield", "yield"], group=["a", "b", "c", "c"])
    manifest.frame.loc[4] = {"image_path": "e", "sign": "stop", "group": "d"}
    assert exercises.is_right("05-tracks", 1, manifest)
    assert not exercises.is_right("05-tracks", 3, manifest)
    price = 0.204 * 3  # three machine-hours
    assert exercises.is_right("05-price", price)
    assert not exercises.is_right("05-price", price / 3)
    assert exercises.is_right("05-pattern", r"test sign accuracy=([0-9.]+);")
    assert not exercises.is_right("05-pattern", r"sign accuracy=([0-9.]+);")
    assert exercises.is_right("06-limit", 52)
    assert not exercises.is_right("06-limit", 69)
    by_class = pd.DataFrame({"precision": [0.5, 0.9, np.nan]}, index=["stop", "yield", "never"])
    assert exercises.is_right("06-precision", "stop", by_class)
    assert not exercises.is_right("06-precision", "never", by_class)
    assert exercises.is_right("06-status", 413)


def test_unknown_exercise_names_the_known_ones():
    with pytest.raises(WorkshopError, match="00-outputs"):
        exercises.check("00-typo", 1)
