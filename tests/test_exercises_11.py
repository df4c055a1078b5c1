"""What notebook 11 accepts as an answer."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from helpers.common import keras
from helpers.detection import Config
from helpers.workshop import exercises
from tests.notebook_form import NOTEBOOKS, code_cells, read

SOLUTION = code_cells(read(NOTEBOOKS / "solutions" / "11_train_detector.ipynb"))


@pytest.fixture(scope="module")
def solved() -> dict:
    """The functions of the solution."""
    names = {}
    for source in SOLUTION:
        if source.startswith("def "):
            exec(source, names)
    return names


def test_iou_is_that_of_keras_and_never_negative(solved):
    assert exercises.is_right("11-iou", solved["box_iou"])
    rng = np.random.default_rng(0)
    boxes = np.sort(rng.uniform(0, 9, (30, 2, 2)), axis=1).reshape(30, 4)  # y, x, y, x
    wanted = keras.utils.bounding_boxes.compute_iou(boxes, boxes, "yxyx")
    found = [[solved["box_iou"](a, b) for b in boxes] for a in boxes]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_iou_without_the_union_or_without_the_zero_is_wrong(solved):
    def area(box):
        return (box[2] - box[0]) * (box[3] - box[1])

    def careless(a, b):
        shared = (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1]))
        return shared / (area(a) + area(b) - shared)

    assert careless((0, 0, 2, 2), (0, 1, 2, 3)) == pytest.approx(1 / 3)
    assert not exercises.is_right("11-iou", careless)

    def twice(a, b):
        iou = solved["box_iou"](a, b)
        return 2 * iou / (1 + iou)

    assert not exercises.is_right("11-iou", twice)


def test_nms_keeps_the_best_first(solved):
    greedy = solved["greedy_nms"]
    assert exercises.is_right("11-nms", greedy)
    assert not exercises.is_right("11-nms", lambda *given: sorted(greedy(*given)))
    assert not exercises.is_right("11-nms", lambda boxes, scores, _: list(np.argsort(-scores)))


def test_second_run_starts_from_the_first(tmp_path):
    config = Config(label_map="x", train="y")
    first, log = tmp_path / "run", pd.DataFrame({"step": [10, 20]})
    weights = config.loss_weights | {"box": 2.0}
    right = {"checkpoint": str(first), "loss_weights": weights, "learning_rate": 1e-4}

    def verdict(log=log, folder=tmp_path / "second", **settings):
        second = config.replace(**(right | settings))
        run = SimpleNamespace(config=second, folder=folder, log=log)
        return exercises.is_right("11-start", run, first, config)

    assert verdict()
    assert not verdict(checkpoint=str(tmp_path / "other"))
    assert not verdict(loss_weights=dict(config.loss_weights))
    assert not verdict(learning_rate=2e-3)
    assert not verdict(log=log.head(1))
    assert not verdict(folder=first)
