"""What 04_visualize_inference writes in the open gives the package's maps and probabilities."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from helpers import scores
from helpers.model import build_model, grad_cam
from tests.conftest import IMAGE_SIZE, LABELS
from tests.notebook_form import NOTEBOOKS, code_cells, read

SOURCES = code_cells(read(NOTEBOOKS / "04_visualize_inference.ipynb"))
COLORS = 4


def run(names: dict, *marks: str) -> dict:
    """Runs the cells of the notebook that hold the marks, and returns all names."""
    names = {"np": np, "pd": pd, **names}
    for mark in marks:
        (source,) = (source for source in SOURCES if mark in source)
        exec(source, names)
    return names


@pytest.fixture(scope="module")
def model(tiny_backbone: None) -> keras.Model:
    keras.utils.set_random_seed(3)
    return build_model(LABELS, IMAGE_SIZE, tower=8)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, *IMAGE_SIZE, 3)).astype(np.uint8)


@pytest.mark.parametrize("task", ["gender", "top_color"])
def test_the_maps_are_those_of_the_package(model, images, task, monkeypatch):
    monkeypatch.setattr("helpers.pipeline.load_images", lambda rows, size: images)
    test = SimpleNamespace(rows=lambda rows: rows)
    given = {"model": model, "test": test, "order": np.arange(6), "colorful": task}
    ours = run(given, "explorer = keras.Model", "GradientTape", "heat = tf.image.resize")
    assert ours["heat"].max() == 1
    np.testing.assert_allclose(ours["heat"], grad_cam(model, images, task), atol=1e-3)


@pytest.fixture(scope="module")
def validation() -> tuple[np.ndarray, np.ndarray]:
    """Labels, some missing, and probabilities that are more often right where they are high."""
    random = np.random.default_rng(1)
    logits = random.normal(size=(500, COLORS)) * 2
    targets = np.array([random.choice(COLORS, p=row) for row in softmax(logits, axis=1)])
    targets[:40] = -1
    return targets, softmax(logits, axis=1).round(2)  # rounded: some confidences are equal


def thresholds_of(validation, wanted: float) -> dict:
    targets, table = validation
    one = SimpleNamespace(targets=lambda task: targets)
    given = {"validation": one, "on_validation": {"color": table}, "tasks": ["color"]}
    ours = run(given, "def coverage_table")
    return ours | {"chosen": ours["lowest_threshold"](ours["tables"]["color"], wanted)}


@pytest.mark.parametrize("wanted", [0.6, 0.75, 0.9])
def test_the_threshold_is_the_lowest_that_is_accurate_enough(validation, wanted):
    targets, table = validation
    known = targets != -1
    confidence, right = table.max(axis=1)[known], (table.argmax(axis=1) == targets)[known]
    good = [
        level
        for level in np.unique(confidence)
        if right[confidence >= level].mean() >= wanted and (confidence >= level).sum() >= 20
    ]
    assert thresholds_of(validation, wanted)["chosen"] == min(good)


def test_coverage_counts_every_answer_from_the_threshold_on(validation):
    targets, table = validation
    confidence = table.max(axis=1)[targets != -1]
    rows = thresholds_of(validation, 0.9)["tables"]["color"]
    assert rows["threshold"].is_unique
    for row in rows.itertuples():
        assert row.coverage == pytest.approx((confidence >= row.threshold).mean())


def test_an_accuracy_out_of_reach_has_no_threshold(validation):
    assert np.isnan(thresholds_of(validation, 1.01)["chosen"])


def test_a_temperature_is_applied_as_the_package_does(tmp_path, validation):
    (tmp_path / "temperatures.json").write_text(json.dumps({"color": 1.7}))
    given = {
        "manifest": SimpleNamespace(subset=lambda part: part),
        "run": SimpleNamespace(labels=SimpleNamespace(tasks={"color": "abcd"}), best_path=None),
        "load_model": lambda path: None,
        "predict_manifest": lambda model, part: {"color": validation[1]},
        "need": lambda path, made_by: path,
        "artifacts_folder": tmp_path.joinpath,
        "json": json,
        "softmax": softmax,
    }
    ours = run(given, "def calibrate")["on_test"]["color"]
    assert ours == pytest.approx(scores.apply_temperature(validation[1], 1.7), abs=1e-6)


def test_three_run_times_say_what_keras_says(model, images, tmp_path):
    import tensorflow as tf

    given = {"model": model, "images": images, "tasks": list(LABELS.tasks), "tf": tf}
    given["artifacts_folder"] = tmp_path.joinpath
    marks = ('format="litert"', "tf.saved_model.load(exports", "Interpreter(", "InferenceSession(")
    ours = run(given, *marks, "by_keras = ")  # its last cell raises where they differ
    assert set(ours["differences"]) == {"SavedModel", "LiteRT", "ONNX"}
