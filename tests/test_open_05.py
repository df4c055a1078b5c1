"""What 05_catch_a_leak writes in the open agrees with the package, and its files can be read."""

import contextlib
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from helpers import scores
from helpers.common import ROOT, WorkshopError
from helpers.manifest import Labels, Manifest, check_split
from tests.notebook_form import NOTEBOOKS, code_cells, read

SOURCES = code_cells(read(NOTEBOOKS / "05_catch_a_leak.ipynb"))


@pytest.fixture(scope="module")
def names() -> dict:
    """What the notebook has before it splits: 60 people of six images, a third of them to test."""
    person = np.repeat(np.arange(60), 6)
    rng = np.random.default_rng(0)
    frame = {
        "image_path": [f"{row}.jpg" for row in range(len(person))],
        "group": [f"p{number:02}" for number in person],
        "age": np.array(["young", "old", ""])[rng.integers(3, size=len(person))],
        "split": np.where(person < 40, "train", "test"),
    }
    manifest = Manifest(pd.DataFrame(frame), Labels({"age": ("young", "old")}), Path())
    names = {"np": np, "pd": pd, "io": io, "json": json, "ROOT": ROOT, "manifest": manifest}
    names |= {"GroupShuffleSplit": GroupShuffleSplit, "train_test_split": train_test_split}
    return names | {"people": manifest.groups, "pool": np.flatnonzero(person < 40)}


def run(names: dict, *marks: str) -> dict:
    """Runs the cells of the notebook that hold the marks, and returns all names."""
    names = dict(names)
    for mark in marks:
        (source,) = (source for source in SOURCES if mark in source)
        exec(source, names)
    return names


def test_the_split_by_person_passes_the_check_of_the_package_and_the_other_does_not(names, capsys):
    ours = run(names, "by_person = ", "both = ")
    lines = capsys.readouterr().out.splitlines()
    shared = {line.split(":")[0]: int(re.search(r"\d+", line)[0]) for line in lines}
    assert shared["at random"] > 0 and shared["by person"] == 0
    for kind, (train, validation) in {
        "at random": ours["at_random"],
        "by person": ours["by_person"],
    }.items():
        assert sorted([*train, *validation]) == names["pool"].tolist()
        manifest = names["manifest"]
        manifest.frame["split"] = "test"
        manifest.frame.loc[train, "split"] = "train"
        manifest.frame.loc[validation, "split"] = "validation"
        refused = pytest.raises(WorkshopError, match=rf"two sides \({shared['at random']}\)")
        with refused if kind == "at random" else contextlib.nullcontext():
            check_split(manifest)


def test_accuracy_is_that_of_the_package(names: dict):
    manifest = names["manifest"]
    says = np.random.default_rng(1).dirichlet(np.ones(2), size=len(manifest))
    model = SimpleNamespace(predict=lambda rows, **_: {"age": says[rows]})
    given = {"images": np.arange(len(manifest)), "targets": {"age": manifest.targets("age")}}
    rows = np.arange(50, 200)
    ours = run(names | given, "def accuracy")["accuracy"](model, rows)
    theirs = scores.score_manifest(manifest.rows(rows), {"age": says[rows]})
    assert ours["age"] == pytest.approx(theirs.loc["age", "accuracy"])


def test_nearest_finds_the_most_similar_row(names: dict):
    features = np.random.default_rng(0).normal(size=(30, 8))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    features[3] = features[20]
    nearest = run(names, "def nearest")["nearest"]
    similarity, partner = nearest(features, np.array([3, 4]), np.arange(10, 30))
    assert partner[0] == 20 and similarity[0] == pytest.approx(1)
    assert similarity[1] < 1


def test_the_real_datasets_are_read_and_split_both_ways(names: dict):
    real = run(names, "signs = pd.read_csv", "real = {}")["real"]
    assert {"GTSRB, signs", "GTSRB, lenet", "PETA, age"} <= set(real.index)
    assert real.notna().all().all()
    gaps = {kind: real[kind, "validation"] - real[kind, "test"] for kind in real.columns.levels[0]}
    # as the text says: too much in every row, two bars of a tie, and the age leads
    assert (gaps["at random"] > 0).all()
    assert abs(gaps["at random"] - gaps["by group"])["GTSRB, signs"] < 0.005
    assert (gaps["by group"] > 0).mean() > 0.5
    assert gaps["at random"].idxmax() == "PETA, age"
