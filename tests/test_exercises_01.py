from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.common import tf
from helpers.manifest import Labels, Manifest
from helpers.workshop import exercises

TABLE = pd.DataFrame({"group": ["p1", "p1", "p2", "p3", "p3", "p4", "p5", "p6"]})


@pytest.mark.parametrize(
    "first, right",
    [
        ([0, 1, 2, 5], True),
        ([0, 2, 5, 6], False),  # one image of p1 on each side
        ([2], False),  # no half
        ([], False),
    ],
)
def test_halves_keep_people_whole(first, right):
    side = np.full(len(TABLE), "second")
    side[first] = "first"
    assert exercises.is_right("01-halves", side, TABLE) == right
    assert exercises.is_right("01-halves", pd.Series(side), TABLE) == right


def light(image):
    return tf.image.random_brightness(image, 30)


@pytest.mark.parametrize(
    "change, right",
    [
        (light, True),
        (lambda image: tf.roll(light(image), 2, axis=1), True),
        (lambda image: image, False),  # nothing changes
        (lambda image: tf.image.flip_left_right(light(image)), False),
        (lambda image: tf.image.random_flip_left_right(light(image)), False),
        (lambda image: tf.image.rot90(light(image)), False),
        (lambda image: light(image)[..., ::-1], False),  # red becomes blue
        (lambda image: light(image)[:20], False),
    ],
)
def test_an_augmentation_of_signs_leaves_side_and_color(change, right):
    tf.random.set_seed(0)
    assert exercises.is_right("01-signs", change) == right


@pytest.fixture
def validation():
    labels = Labels({"gender": ("male", "female")})
    names = ["male", "", "female"] * 12
    paths = [f"{i}.jpg" for i in range(36)]
    frame = pd.DataFrame({"image_path": paths, "gender": names})
    return Manifest(frame, labels, Path())


def pairs(validation, size=48, high=1.0, batch=32, order=1):
    pixels = np.random.default_rng(0).uniform(0, high, (36, size, size, 3))
    targets = validation.targets("gender")[::order]
    return tf.data.Dataset.from_tensor_slices((pixels, targets)).batch(batch)


def test_a_pipeline_has_size_scale_batches_and_order(validation):
    assert exercises.is_right("01-pipeline", pairs(validation), validation)
    for wrong in ({"size": 40}, {"high": 255.0}, {"batch": 16}, {"order": -1}):
        assert not exercises.is_right("01-pipeline", pairs(validation, **wrong), validation)
