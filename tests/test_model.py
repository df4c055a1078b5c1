"""The network: heads from labels, any backbone by name, pixels scaled as published."""

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.applications import imagenet_utils

from helpers.common import WorkshopError
from helpers.manifest import Labels
from helpers.model import build_backbone, build_model, load_model, pool, street_features
from helpers.model.layers import EvenLight, FusedBatchNormalization, ScalePixels, TaskUncertainty
from helpers.model.network import _SCALING, OWN_BACKBONES, PRETRAINED, STRIPES, backbone_names
from tests.conftest import IMAGE_SIZE, LABELS

STREET = street_features  # kept, as the fixtures put a tiny one in its place
RNG = np.random.default_rng(0)
PUBLISHED = [name for name in backbone_names() if name not in (*OWN_BACKBONES, PRETRAINED)]
PIXELS = RNG.integers(0, 256, (3, *IMAGE_SIZE, 3)).astype(np.float32)


pytestmark = pytest.mark.usefixtures("tiny_backbone")


@pytest.fixture(scope="module")
def model(tiny_backbone) -> keras.Model:
    return build_model(LABELS, IMAGE_SIZE, task_uncertainty=True)


def test_heads_are_named_and_sized_by_the_labels(model: keras.Model) -> None:
    assert set(model.output) == set(LABELS.tasks) == set(model.output_names)
    answers = model.predict_on_batch(PIXELS)
    for task, classes in LABELS.tasks.items():
        assert answers[task].shape == (3, len(classes))
        assert np.allclose(answers[task].sum(axis=1), 1, atol=1e-6)
        assert model.get_layer(task).units == len(classes)


def test_each_output_is_its_own_heads(model: keras.Model) -> None:
    for task in LABELS.tasks:
        alone = keras.Model(model.input, model.get_layer(task).output)
        assert np.allclose(alone(PIXELS), model(PIXELS)[task], atol=1e-6)


def test_a_tower_of_none(model: keras.Model) -> None:
    small = build_model(LABELS, IMAGE_SIZE, tower=0, pooling="average")
    assert small.count_params() < model.count_params()
    assert small(PIXELS)["gender"].shape == (3, 2)


def test_a_saved_model_is_the_same_model(model: keras.Model, tmp_path) -> None:
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    for task, expected in model(PIXELS).items():
        assert np.array_equal(loaded(PIXELS)[task], expected)
    assert isinstance(loaded.get_layer("task_uncertainty"), TaskUncertainty)


@pytest.mark.parametrize("name", ["mobilenetv3small"])
def test_a_published_backbone_in_any_case(name: str) -> None:
    backbone = build_backbone((32, 32), name)
    features = backbone(np.zeros((1, 32, 32, 3), np.float32))
    assert backbone.name == "backbone" and features.shape[1:3] == (1, 1)


def test_the_default_backbone_takes_any_size() -> None:
    import helpers.model.network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(helpers.model.network, "street_features", STREET)
        backbone = build_backbone((160, 64))
        features = backbone(np.zeros((2, 160, 64, 3), np.float32))
        assert features.shape[0] == 2 and features.shape[1] > features.shape[2] > 1
        assert build_backbone((16, 17)).output.shape[-1] == features.shape[-1]


def test_the_names_are_those_of_keras() -> None:
    names = backbone_names()
    assert names[0] == "street" and {"DenseNet121", "ResNet50", "ConvNeXtTiny"} <= set(names)
    assert names == [*OWN_BACKBONES, PRETRAINED, *PUBLISHED]
    assert all(hasattr(keras.applications, name) for name in PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_backbone_gets_its_pixels_as_published(name: str) -> None:
    """Where the module's own `preprocess_input` does nothing, the network scales by itself."""
    module = importlib.import_module(getattr(keras.applications, name).__module__)
    mode = next((mode for mode, names in _SCALING.items() if name in names), None)
    expected = module.preprocess_input(PIXELS.copy())
    assert np.allclose(ScalePixels(mode)(PIXELS) if mode else PIXELS, expected, atol=1e-4)


@pytest.mark.parametrize("mode", ["caffe", "torch", "tf"])
def test_scaling_is_keras_own(mode: str) -> None:
    layer = ScalePixels.from_config(ScalePixels(mode).get_config())
    expected = imagenet_utils.preprocess_input(PIXELS.copy(), mode=mode)
    assert np.allclose(layer(PIXELS), expected, atol=1e-4)


@pytest.mark.parametrize("rows", [STRIPES, 10, 7])
def test_pooling_is_numpys(rows: int) -> None:
    features = RNG.normal(size=(2, rows, 3, 5)).astype(np.float32)
    inputs = keras.Input(features.shape[1:])
    found = keras.Model(inputs, pool(inputs, "average+max+stripes"))(features)
    expected = [features.mean(axis=(1, 2)), features.max(axis=(1, 2))]
    for i in range(STRIPES):  # each row belongs to the stripes that it touches
        top, bottom = int(i * rows / STRIPES), int(np.ceil((i + 1) * rows / STRIPES))
        expected.append(features[:, top:bottom].mean(axis=(1, 2)))
    assert np.allclose(found, np.concatenate(expected, axis=1), atol=1e-6)


def test_flat_pooling_keeps_every_place() -> None:
    features = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    inputs = keras.Input(features.shape[1:])
    found = keras.Model(inputs, pool(inputs, "flat+max"))(features)
    expected = np.concatenate([features.reshape(2, -1), features.max(axis=(1, 2))], axis=1)
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("name", "shape"), [("sign", (4, 4, 96)), ("lenet", (1, 1, 84))])
def test_backbones_of_small_images(name: str, shape: tuple[int, ...]) -> None:
    assert build_backbone((32, 32), name).output.shape[1:] == shape


def test_lenet_has_the_published_number_of_weights() -> None:
    model = build_model(Labels({"sign": tuple("abcdefghij")}), (32, 32), backbone="lenet",
                        pooling="average", tower=0)  # fmt: skip
    # LeNet-5 of three colors: 456 + 2,416 + 48,120 + 10,164 + 850
    assert model.count_params() == 62_006


def test_the_sign_backbone_sees_the_same_in_the_dark() -> None:
    backbone = build_backbone((32, 32), "sign")
    bright = RNG.integers(60, 250, (2, 32, 32, 3)).astype(np.float32)
    one, other = backbone(bright).numpy(), backbone(bright * 0.4).numpy()
    assert np.abs(one - other).max() < 0.02 * np.abs(one).max()


def test_even_light_is_numpys() -> None:
    pixels = RNG.uniform(0, 255, (1, 9, 8, 3)).astype(np.float32)

    def mean(values: np.ndarray) -> np.ndarray:
        rows = [[values[0, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean((0, 1))
                 for x in range(8)] for y in range(9)]  # fmt: skip
        return np.array(rows)[None]

    offset = pixels - mean(pixels)
    expected = offset / np.sqrt(mean(offset**2) + 4)
    layer = EvenLight.from_config(EvenLight(3).get_config())
    assert np.allclose(layer(pixels), expected, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_stripes_of_a_map_with_fewer_rows(rows: int) -> None:
    inputs = keras.Input((rows, 2, 5))
    features = RNG.normal(size=(2, rows, 2, 5)).astype(np.float32)
    found = keras.Model(inputs, pool(inputs, "stripes"))(features)
    assert found.shape == (2, 5 * STRIPES) and np.isfinite(found).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "densnet121"}, "Did you mean 'DenseNet121'"),
        ({"backbone": "stret"}, "Did you mean 'street'"),
        ({"backbone": "qqqq"}, "found 'qqqq'"),
        ({"pooling": "average+median"}, "found median"),
        ({"pooling": ""}, "average, max, stripes"),
        ({"weights": "imagenet"}, "there are none of it"),
        ({"weights": "nowhere.keras"}, r"nowhere\.keras: expected a saved Keras model, found none"),
        ({"backbone": "Xception"}, "Xception: .*71"),  # needs 71 pixels
    ],
)
def test_what_cannot_be_built_is_told(options: dict, message: str) -> None:
    with pytest.raises(WorkshopError, match=message):
        build_model(LABELS, IMAGE_SIZE, **options)


def test_imagenet_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(keras.applications.MobileNetV3Small.__module__)

    def fail(*_, **__):
        raise Exception("URL fetch failure on https://x: None -- name resolution")

    monkeypatch.setattr(module.file_utils, "get_file", fail)
    with pytest.raises(WorkshopError, match=r"MobileNetV3Small: .*URL fetch.*--weights none"):
        build_model(LABELS, (32, 32), backbone="MobileNetV3Small", weights="imagenet")


def test_weights_of_a_saved_model(model: keras.Model, tmp_path) -> None:
    path = tmp_path / "model.keras"
    model.save(path)
    other = Labels({"bag": ("yes", "no")})
    taken = build_model(other, (48, 32), weights=str(path))  # another size, other heads
    for old, new in zip(model.get_layer("backbone").weights, taken.get_layer("backbone").weights):
        assert np.array_equal(old, new)
    with pytest.raises(WorkshopError, match=r"model\.keras: expected a model of helpers\.train"):
        build_model(LABELS, (32, 32), backbone="MobileNetV3Small", weights=str(path))


def test_weights_of_a_stranger(tmp_path) -> None:
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(tmp_path / "stranger.keras")
    with pytest.raises(WorkshopError, match=r"expected a model of helpers\.train.*backbone"):
        build_model(LABELS, IMAGE_SIZE, weights=str(tmp_path / "stranger.keras"))
    (tmp_path / "text.keras").write_text("I am a text")
    with pytest.raises(WorkshopError, match="expected a saved Keras model"):
        build_model(LABELS, IMAGE_SIZE, weights=str(tmp_path / "text.keras"))


@pytest.mark.parametrize("task", ["loss", "1st", "a.b", "a-b", "TopColor"])
def test_a_task_may_have_any_plain_name(task: str) -> None:
    model = build_model(Labels({task: ("a", "b")}), IMAGE_SIZE)
    assert set(model.predict(PIXELS, verbose=0)) == {task}


@pytest.mark.parametrize("task", ["top color", "Größe", "is it (old)?", "a:b", "_a", "-"])
def test_but_none_that_tensorflow_refuses_later(task: str) -> None:
    with pytest.raises(WorkshopError, match="Rename that column"):
        build_model(Labels({task: ("a", "b")}), IMAGE_SIZE)


@pytest.mark.parametrize("task", ["max", "image", "backbone"])
def test_nor_that_of_another_layer(task: str) -> None:
    with pytest.raises(WorkshopError, match=f'"{task}" is used 2 times.*Rename the task'):
        build_model(Labels({task: ("a", "b")}), IMAGE_SIZE)


@pytest.mark.parametrize("trainable", [True, False])
def test_fused_normalization_does_what_that_of_keras_does(trainable: bool) -> None:
    """Outputs, gradients and moving statistics, after some steps and at inference."""
    plain = keras.layers.BatchNormalization(momentum=0.9, trainable=trainable)
    fused = FusedBatchNormalization(momentum=0.9, trainable=trainable)
    for layer in (plain, fused):
        layer.build((None, 5, 4, 6))
        layer.gamma.assign(np.linspace(0.5, 2, 6))
        layer.beta.assign(np.linspace(-1, 1, 6))
    for step in range(3):
        x = tf.constant(RNG.normal(2, 3, (7, 5, 4, 6)).astype(np.float32) * (step + 1))
        pull = tf.constant(RNG.normal(size=x.shape).astype(np.float32))
        found = []
        for layer in (plain, fused):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
                loss = tf.reduce_sum(y * pull)
            found.append((y, *tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])))
        for ours, theirs in zip(found[1], found[0]):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    for ours, theirs in zip(fused.weights, plain.weights):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(fused(x), plain(x), rtol=1e-5, atol=1e-5)
