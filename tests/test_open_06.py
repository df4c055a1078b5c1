"""06 builds and fills a pretrained backbone in the open; the package's gives the same features."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.baselines import _colors
from helpers.common import keras, layers
from helpers.manifest import Manifest
from helpers.model import build_backbone, pool, read_imagenet_weights
from helpers.pipeline import load_images
from tests.open_cells import run_cells

NOTEBOOK = "06_fine_tune_your_own_images"
SIZE = (64, 32)
TASKS = {"pose": ("front", "side"), "color": ("red", "blue", "black")}


@pytest.fixture(scope="module")
def opened() -> dict:
    names = {"IMAGE_SIZE": SIZE, "published": read_imagenet_weights(), "np": np, "pool": pool}
    names |= {"keras": keras, "layers": layers, "tasks": TASKS}
    return run_cells(NOTEBOOK, "open", names)


def test_the_backbone_has_the_layers_the_weights_and_the_features_of_the_package(opened: dict):
    mine, theirs = opened["backbone"], build_backbone(SIZE, "lite0", "imagenet")
    shapes = [
        [(type(x).__name__, x.name, [w.shape for w in x.weights]) for x in m.layers if x.weights]
        for m in (mine, theirs)
    ]
    assert shapes[0] == shapes[1]
    for one, other in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    images = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3)).astype(np.float32)
    np.testing.assert_allclose(mine(images), theirs(images), atol=1e-4)


def test_the_heads_train_alone_and_then_everything(opened: dict):
    names = run_cells(NOTEBOOK, "open-heads", dict(opened))
    model, backbone = names["model"], names["backbone"]
    heads = sum(weight.shape.num_elements() for weight in model.trainable_weights)
    assert backbone.trainable_weights == []
    assert heads == names["trainable"]
    assert {task: output.shape[-1] for task, output in model.output.items()} == {
        "pose": 2,
        "color": 3,
    }
    run_cells(NOTEBOOK, "open-unfreeze", names)
    assert len(backbone.trainable_weights) == len(backbone.weights)
    backbone.trainable = False


def test_a_batch_normalization_of_another_backbone_stays_frozen():
    pixels = keras.Input((8, 8, 3))
    inner = layers.BatchNormalization()(layers.Conv2D(2, 3)(pixels))
    names = {"keras": keras, "layers": layers, "backbone": keras.Model(pixels, inner)}
    run_cells(NOTEBOOK, "open-unfreeze", names)
    assert [layer.trainable for layer in names["backbone"].layers] == [True, True, False]


def test_the_color_histogram_is_that_of_the_baselines(people: Manifest):
    names = run_cells(NOTEBOOK, "open-baseline", {"np": np})
    images = load_images(people, (160, 64))
    np.testing.assert_allclose(names["color_histograms"](images), _colors(people))


@pytest.mark.parametrize("learner", [LogisticRegression(C=0.01), RidgeClassifier(alpha=10)])
def test_a_missing_label_is_neither_learned_nor_scored(learner):
    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(60, 2)), np.repeat([0, 1], 30)
    inputs[labels == 1] += 6
    targets = {"pose": np.where(np.arange(60) % 5, labels, -1)}
    held_out = type("Held", (), {"targets": staticmethod(lambda task: targets[task])})
    names = {"np": np, "make_pipeline": make_pipeline, "StandardScaler": StandardScaler}
    names |= {"tasks": ["pose"], "targets": targets, "validation": held_out}
    names = run_cells(NOTEBOOK, "open-scores", names)
    assert names["fit_and_score"](learner, inputs, np.arange(60), inputs) == {"pose": 1.0}
