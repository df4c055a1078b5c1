import numpy as np
import pandas as pd
import pytest

from helpers.common import keras, layers
from helpers.workshop import exercises


def rows_of(folder, pattern="*/*.jpg"):
    files = sorted(folder.glob(pattern))
    parts = [(str(f.relative_to(folder)), f.parent.name, f.name.split("_")[0]) for f in files]
    return pd.DataFrame(parts, columns=["image_path", "label", "group"])


def test_the_table_has_each_image_its_class_and_its_person():
    assert exercises.is_right("06-folder", rows_of)
    assert not exercises.is_right("06-folder", lambda folder: rows_of(folder, "*/*"))
    by_file = lambda folder: rows_of(folder).assign(group=lambda t: t["image_path"])  # noqa: E731
    assert not exercises.is_right("06-folder", by_file)


def network():
    pixels = keras.Input((8, 8, 3))
    x = pixels
    for name in ("stem", "block_4_project", "block_5_expand"):
        x = layers.Conv2D(2, 3, padding="same", name=name)(x)
    backbone = keras.Model(pixels, x, name="backbone")
    image = keras.Input((8, 8, 3))
    head = layers.Dense(2, activation="softmax", name="a")
    return keras.Model(image, {"a": head(layers.Flatten()(backbone(image)))})


@pytest.mark.parametrize("frozen, right", [(2, True), (1, False), (3, False), (0, False)])
def test_the_first_layers_are_frozen_and_no_others(frozen, right):
    model = network()
    backbone = model.get_layer("backbone")
    for layer in backbone.layers[: frozen + 1]:  # the first is the input
        layer.trainable = False
    assert not exercises.is_right("06-freeze", model, backbone)  # not compiled yet
    model.compile(loss="sparse_categorical_crossentropy")
    assert exercises.is_right("06-freeze", model, backbone) == right


def test_the_stored_features_teach_a_head_on_the_extractor():
    image = keras.Input((2, 2, 3))
    extractor = keras.Model(image, layers.Flatten()(image))
    head = layers.Dense(2, activation="softmax", name="a")
    images = np.zeros((10, 2, 2, 3), np.float32)
    images[5:] = 1
    targets = {"a": np.repeat([0, 1], 5)}
    whole = keras.Model(image, {"a": head(extractor(image))})
    head.set_weights([np.tile([-1.0, 1.0], (12, 1)), np.array([6.0, -6.0])])
    assert exercises.is_right("06-stored", whole, extractor, images, targets)
    without = keras.Model(image, {"a": head(layers.Flatten()(image))})
    assert not exercises.is_right("06-stored", without, extractor, images, targets)
    head.set_weights([np.tile([1.0, -1.0], (12, 1)), np.array([-6.0, 6.0])])
    assert not exercises.is_right("06-stored", whole, extractor, images, targets)
