import keras
import numpy as np
import pytest

from helpers.model import build_model
from helpers.workshop import exercises
from tests.conftest import IMAGE_SIZE, LABELS


def test_original_grad_cam_averages_the_slopes_first():
    def original(features, slopes):
        weights = slopes.mean(axis=(1, 2), keepdims=True)
        return np.maximum((weights * features).sum(axis=-1), 0)

    assert exercises.is_right("04-grad-cam", original)
    hires = lambda features, slopes: np.maximum((slopes * features).sum(axis=-1), 0)  # noqa: E731
    assert not exercises.is_right("04-grad-cam", hires)
    signed = lambda f, s: (s.mean(axis=(1, 2), keepdims=True) * f).sum(axis=-1)  # noqa: E731
    assert not exercises.is_right("04-grad-cam", signed)


def test_price_is_lowest_where_every_tenth_answer_is_wrong():
    confidence = np.linspace(0.5, 1, 1000)
    targets = np.zeros(1000, int)
    targets[:500:2] = 1  # below .75 every second answer is wrong, above none
    probabilities = np.column_stack([confidence, 1 - confidence])
    assert exercises.is_right("04-price", 0.75, targets, probabilities)
    assert not exercises.is_right("04-price", 0.5, targets, probabilities)
    assert not exercises.is_right("04-price", 0.9, targets, probabilities)
    assert not exercises.is_right("04-price", np.inf, targets, probabilities)


@pytest.fixture
def model(tiny_backbone) -> keras.Model:
    return build_model(LABELS, IMAGE_SIZE, tower=8)


def test_one_task_alone_has_one_output_that_is_the_models(model, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, *IMAGE_SIZE, 3)).astype("float32")
    alone = keras.Model(model.input, {"gender": model.output["gender"]})
    alone.export(tmp_path / "alone.tflite", format="litert", verbose=False)
    assert exercises.is_right("04-one-task", tmp_path / "alone.tflite", model, images)
    model.export(tmp_path / "all.tflite", format="litert", verbose=False)
    assert not exercises.is_right("04-one-task", tmp_path / "all.tflite", model, images)
