"""What 11_train_detector builds in the open is what the package trains."""

from types import SimpleNamespace

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers

import helpers.detection.network as package
import helpers.detection.targets as targets
from helpers.detection import Config, LabelMap, average_precision
from tests.notebook_form import NOTEBOOKS, code_cells, read

SOURCES = code_cells(read(NOTEBOOKS / "11_train_detector.ipynb"))
SIZE, SIZES, RATIOS = (128, 192), (28.0, 56.0, 112.0), (1.0, 2.0, 3.0)
PEOPLE = np.array([[20, 30, 80, 55], [40, 100, 116, 140], [11.5, 151, 40, 161]], np.float32)


def run(names: dict, *marks: str) -> dict:
    """Runs the cells of the notebook that hold the marks, and returns all names."""
    names = dict(names)
    for mark in marks:
        (source,) = (source for source in SOURCES if mark in source)
        exec(source, names)
    return names


@pytest.fixture(scope="module")
def scene() -> dict:
    """What the notebook has before it places anchors: a scene of three people."""
    config = Config(
        label_map="x", train="y", image_size=SIZE, anchor_sizes=SIZES, anchor_ratios=RATIOS
    )
    pixels = np.random.default_rng(0).integers(0, 255, (2, *SIZE, 3)).astype("uint8")
    one = np.array([1, 1, 1, 0], "int32")
    boxes = np.concatenate([PEOPLE, np.zeros((1, 4), "float32")])
    batch = {"pixels": pixels, "boxes": np.stack([boxes, boxes]), "labels": np.stack([one, one])}
    return {
        "np": np, "pd": pd, "plt": plt, "tf": tf, "keras": keras, "layers": layers,
        "IMAGE_SIZE": SIZE, "STRIDES": (8, 16, 32), "SIZES": SIZES, "RATIOS": RATIOS,
        "config": config, "label_map": LabelMap({"person": 1}), "FasterRCNN": package.FasterRCNN,
        "batch": SimpleNamespace(**{k: tf.constant(v) for k, v in batch.items()}),
        "row": 0, "people": PEOPLE,
        "sheet": lambda *_, **__: None, "with_boxes": lambda *_, **__: None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def ours(scene) -> dict:
    """Everything up to the four losses."""
    from PIL import Image

    marks = (
        "def place_anchors",
        "iou = np.asarray",
        "is_person = ",
        "rpn = keras.Model",
        "network = FasterRCNN",
        "objectness_loss = binary",
        "def to_deltas",
        "kept = tf.image.non_max_suppression",
        "def crop_features",
        "crops = crop_features",
        "class_loss = categorical",
    )
    return run(scene | {"Image": Image}, *marks)


def chosen(labels, boxes=None, found=None, used=None) -> targets.Chosen:
    """Targets of one image, as the package draws them."""
    one = [None if x is None else tf.constant(x)[None] for x in (boxes, labels, found, used)]
    return targets.Chosen(None, *one)


def test_anchors(ours):
    np.testing.assert_allclose(ours["anchors"], package.build_anchors(SIZE, SIZES, RATIOS))


def test_anchors_say_what_the_package_lets_them_say(ours):
    labels = tf.constant([[1, 1, 1, 0]])
    boxes = np.concatenate([PEOPLE, np.zeros((1, 4), "float32")])[None]
    theirs = targets.choose_anchors(tf.constant(ours["anchors"]), boxes, labels, [0, 1])
    label = theirs.labels.numpy()[0]
    assert ((label > 0) == ours["is_person"]).all()
    assert ((label == 0) == ours["is_background"]).all()
    found = theirs.found.numpy()[0] > 0
    np.testing.assert_allclose(theirs.boxes[0][found], PEOPLE[ours["whose"][found]])


def test_region_proposal_network_has_the_same_layers_and_outputs(ours):
    rpn, theirs = ours["rpn"], package.build_proposer(len(RATIOS))
    assert [v.shape for v in rpn.weights] == [v.shape for v in theirs.weights]
    rpn.set_weights([np.random.default_rng(1).normal(size=v.shape) for v in rpn.weights])
    theirs.set_weights(rpn.get_weights())
    features = tf.random.stateless_normal((2, 5, 7, ours["CHANNELS"]), [0, 1])
    for one, other in zip(rpn(features), theirs(features)):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_deltas(ours):
    anchors, boxes = ours["anchors"][:40], np.resize(PEOPLE, (40, 4))
    wanted = package.encode(tf.constant(anchors), tf.constant(boxes))
    np.testing.assert_allclose(ours["to_deltas"](anchors, boxes), wanted, rtol=1e-4, atol=1e-4)


def test_first_two_losses(ours):
    anchors, used = ours["anchors"], np.zeros(len(ours["anchors"]), "float32")
    used[ours["sampled"]] = 1
    found = ours["is_person"].astype("float32")
    one = chosen(found.astype("int32"), found=found, used=used)
    wanted = targets.objectness_loss(ours["objectness"][:1], one)
    assert float(ours["objectness_loss"]) == pytest.approx(float(wanted), rel=1e-4)
    boxes = np.where(found[:, None] > 0, PEOPLE[ours["whose"]], anchors)
    deltas = package.encode(tf.constant(anchors), tf.constant(boxes))[None]
    wanted = targets.box_loss(ours["deltas"][:1], deltas, tf.constant(found)[None])
    assert float(ours["proposal_box_loss"]) == pytest.approx(float(wanted), rel=1e-4)
    assert 0 < len(ours["sampled"]) <= targets.ANCHORS


def test_other_two_losses(ours):
    label = ours["label"]
    assert 0 < label.sum() < len(label)
    used = np.ones(len(label), "float32")
    wanted = targets.class_loss(ours["logits"][None], chosen(label, used=used))
    assert float(ours["class_loss"]) == pytest.approx(float(wanted), rel=1e-4)
    nearest = PEOPLE[ours["overlap"].argmax(axis=1)]
    boxes = np.where(label[:, None] > 0, nearest, ours["proposals"])
    deltas = package.encode(tf.constant(ours["proposals"]), tf.constant(boxes))[None]
    found = tf.constant(label[None], tf.float32)
    wanted = targets.box_loss(ours["moved"][None], deltas, found)
    assert float(ours["box_loss"]) == pytest.approx(float(wanted), rel=1e-4)
    _, matched, _ = targets.match(
        tf.constant(ours["proposals"][None]),
        tf.constant(PEOPLE[None]),
        tf.constant([[1, 1, 1]]),
        targets.PROPOSAL_HIGH,
        targets.PROPOSAL_HIGH,
    )
    assert (matched.numpy()[0] == label).all()


def test_suppression_keeps_the_boxes_of_the_package(ours):
    boxes, scores = ours["candidates"], ours["scores"]
    found = package._suppress(boxes[None], scores[None, :, None], 64, 0.5)
    count = int(found.valid_detections[0])
    assert 0 < count < len(boxes)
    np.testing.assert_allclose(found.nmsed_boxes[0, :count], boxes[ours["kept"]])


def test_features_crop_features_are_those_of_the_package(ours):
    maps = [tf.constant(one[:1]) for one in ours["maps"]]
    inside = PEOPLE[:, :2].min() > 8 and (PEOPLE[:, 2:] < np.array(SIZE) - 8).all()
    assert inside and (package.levels_of(tf.constant(PEOPLE)) == 0).numpy().all()
    wanted = package.roi_align(maps, tf.constant(PEOPLE[None]))
    found = ours["crop_features"](maps[0][0], PEOPLE, 8)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_average_precision_is_that_of_the_package(scene, capsys):
    rng = np.random.default_rng(3)
    boxes = np.stack([np.concatenate([PEOPLE, PEOPLE[:1] + 40])] * 6).astype("float32")
    labels = np.array([[1, 1, 1, 0], [1, -1, 1, 1]] * 3, "int32")
    noisy = boxes + rng.uniform(-6, 6, boxes.shape).astype("float32")
    score, count = rng.uniform(0.1, 1, (6, 4)).astype("float32"), np.array([4, 3, 4, 2, 4, 1])

    class Network:
        def detect(self, *_, **__):
            parts = {"boxes": noisy, "scores": score, "count": count}
            return SimpleNamespace(**{k: tf.constant(v) for k, v in parts.items()})

    batch = {"pixels": np.zeros((6, 2, 2, 3)), "boxes": boxes, "labels": labels}
    given = {
        "batch": SimpleNamespace(**{k: tf.constant(v) for k, v in batch.items()}),
        "run": SimpleNamespace(network=Network),
    }
    judge = run(scene | given, "def xywh", "judge = COCOeval")["judge"]
    plt.close("all")
    capsys.readouterr()
    truths = [(b[one != 0], one[one != 0]) for b, one in zip(boxes, labels)]
    answers = [(b[:n], s[:n], np.zeros(n, int)) for b, s, n in zip(noisy, score, count)]
    theirs = average_precision(truths, answers, ["person"]).loc["person"]
    assert 0.2 < theirs["AP50"] < 1
    assert judge.stats[:3] == pytest.approx(theirs[["AP", "AP50", "AP75"]].tolist())


def test_mistakes_are_counted_also_where_nothing_is_found(scene, capsys):
    boxes = np.stack([np.concatenate([PEOPLE[:2] + 1, [[0, 60, 10, 90]]])] * 2).astype("float32")
    found = SimpleNamespace(
        boxes=tf.constant(boxes),
        scores=tf.constant([[0.9, 0.8, 0.7]] * 2),
        count=tf.constant([3, 0]),
    )
    network = SimpleNamespace(detect=lambda *_, **__: found)
    run(scene | {"run": SimpleNamespace(network=lambda: network)}, "def draw_found")
    assert capsys.readouterr().out == "1 boxes fit nobody, 4 people are missed\n"
