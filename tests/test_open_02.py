"""02 builds the network and its loss in the open; the package gives the same."""

import re

import numpy as np
import pytest

from helpers.common import ROOT, keras, layers, tf
from helpers.manifest import Labels
from helpers.model import MaskedCrossentropy, build_model, street_features
from tests.open_cells import run_cells

TASKS = {
    "gender": ("male", "female", "unknown"),
    "top_color": tuple("abcdefghijkl"),
    "bottom_color": tuple("mnopqrstuvwx"),
}
SIZE = (160, 64)
STREET = street_features  # kept, as other tests' fixtures put a tiny one in its place


@pytest.fixture(scope="module")
def opened() -> dict:
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (6, *SIZE, 3)), tf.float32)
    targets = {
        task: tf.constant([*rng.integers(0, len(classes), 4), -1, -1], tf.int32)
        for task, classes in TASKS.items()
    }
    names = {"IMAGE_SIZE": SIZE, "images": images, "targets": targets, "tasks": TASKS, "np": np}
    names |= {"keras": keras, "layers": layers}
    return run_cells("02_train_multi_task", "open", names)


@pytest.fixture(scope="module")
def packaged(opened: dict) -> keras.Model:
    """The package's default network, with the weights of the open one after some training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.model.network.street_features", STREET)
        model = build_model(Labels(TASKS), SIZE)
    rng = np.random.default_rng(1)
    start = opened["model"].get_weights()
    weights = [weight + rng.uniform(-0.02, 0.02, weight.shape) for weight in start]
    opened["model"].set_weights(weights)
    model.set_weights(weights)
    return model


def layers_of(model: keras.Model) -> list[tuple]:
    """Kind, shape and settings of each layer; the package's batch normalization is Keras's own."""
    found = []
    for layer in model.layers:
        kind = type(layer).__name__.replace("Fused", "")
        settings = {
            name: value
            for name, value in layer.get_config().items()
            if name in ("strides", "kernel_size", "use_bias", "momentum", "activation", "rate")
            or name in ("pool_size", "padding", "cropping", "units", "filters", "scale", "offset")
        }
        shape = layer.output.shape if not isinstance(layer.output, dict) else None
        found.append((kind, shape, str(settings)))
    return found


def test_layers_and_shapes_are_those_of_the_package(opened: dict, packaged: keras.Model):
    mine, theirs = opened["model"], packaged
    assert sorted(map(str, layers_of(mine))) == sorted(map(str, layers_of(theirs)))
    backbones = [model.get_layer("backbone") for model in (mine, theirs)]
    assert sorted(map(str, layers_of(backbones[0]))) == sorted(map(str, layers_of(backbones[1])))
    assert list(mine.output) == list(theirs.output)
    assert [w.shape for w in mine.weights] == [w.shape for w in theirs.weights]


@pytest.mark.parametrize("training", [False, True])
def test_outputs_are_equal_after_copying_the_weights(opened, packaged, training):
    answers = []
    for model in (opened["model"], packaged):
        keras.utils.set_random_seed(0)
        for layer in model.layers:  # dropout draws at random
            layer.rate = 0.0 if hasattr(layer, "rate") else None
        answers.append(model(opened["images"], training=training))
    for task in TASKS:
        np.testing.assert_allclose(answers[0][task], answers[1][task], atol=1e-5)


def test_losses_by_hand_by_keras_and_by_the_package_are_equal(opened: dict, capsys):
    names = opened | {"mine": opened["model"](opened["images"], training=False)}
    capsys.readouterr()
    names = run_cells("02_train_multi_task", "open-loss", names)
    by_hand = [float(loss) for loss in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    packaged = {task: MaskedCrossentropy(name=task) for task in TASKS}
    assert len(by_hand) == len(TASKS)
    for task, loss in zip(TASKS, by_hand):
        given = names["targets"][task], names["mine"][task]
        assert float(names["losses"][task](*given)) == pytest.approx(loss, abs=1e-3)
        assert float(packaged[task](*given)) == pytest.approx(loss, abs=1e-3)


def test_the_drawing_shows_the_shapes_of_the_network(opened: dict):
    drawing = (ROOT / "images" / "network.svg").read_text(encoding="utf-8")
    shown = re.findall(r'class="shape"[^>]*>([^<]+)<', drawing)
    backbone = opened["model"].get_layer("backbone")
    shapes = [layer.output.shape[1:] for layer in [*backbone.layers, *opened["model"].layers]]
    written = {" × ".join(map(str, shape)) for shape in shapes}
    assert len(shown) == 5
    assert set(shown) <= written
