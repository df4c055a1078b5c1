"""Maps of where a head looks, held to heads whose gaze is known because it was built in."""

import keras
import numpy as np
import pytest

from helpers.common import WorkshopError
from helpers.model import build_model, grad_cam
from helpers.model.network import STRIPES
from tests.conftest import IMAGE_SIZE, LABELS

IMAGES = np.random.default_rng(0).integers(0, 256, (6, *IMAGE_SIZE, 3)).astype(np.uint8)

pytestmark = pytest.mark.usefixtures("tiny_backbone")


def model_of(pooling: str, tower: int = 8, size=IMAGE_SIZE, **options) -> keras.Model:
    keras.utils.set_random_seed(3)
    return build_model(LABELS, size, pooling=pooling, tower=tower, **options)


def test_maps_are_as_large_as_the_images_and_reach_from_0_to_1() -> None:
    maps = grad_cam(model_of("average+max+stripes"), IMAGES, "gender")
    assert maps.shape == IMAGES.shape[:3]
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert set(maps.max(axis=(1, 2)).round(5)) <= {0.0, 1.0}


@pytest.mark.parametrize("backbone", ["street", "lite0"])
def test_a_head_that_sees_only_the_lowest_stripe_looks_there(backbone: str) -> None:
    weights = "imagenet" if backbone == "lite0" else None
    times = 4 if weights else 1  # a place of its features is 16 pixels high
    images = IMAGES.repeat(times, axis=1).repeat(times, axis=2)
    model = model_of("stripes", size=images.shape[1:3], backbone=backbone, weights=weights)
    tower = model.get_layer("age_tower")
    (kernel,) = tower.get_weights()
    kernel[: len(kernel) * (STRIPES - 1) // STRIPES] = 0
    tower.set_weights([kernel])
    maps = grad_cam(model, images, "age")
    half = images.shape[1] // 2
    assert maps[:, half:].max() == 1
    assert maps[:, :half].max() == 0


def test_without_a_tower_the_map_is_the_class_activation_map() -> None:
    model = model_of("average", tower=0)
    features = model.get_layer("backbone")(IMAGES.astype(np.float32), training=False).numpy()
    kernel, _ = model.get_layer("gender").get_weights()
    maps = grad_cam(model, IMAGES, "gender")
    answers = model(IMAGES.astype(np.float32), training=False)["gender"].numpy().argmax(axis=1)
    # Zhou et al. 2016
    expected = np.maximum(np.einsum("nrcf,fn->nrc", features, kernel[:, answers]), 0)
    factor = IMAGE_SIZE[0] // expected.shape[1]
    for seen, cam in zip(maps, expected):
        if cam.max() > 0:
            blocks = seen.reshape(cam.shape[0], factor, cam.shape[1], factor).mean(axis=(1, 3))
            assert np.corrcoef(blocks.ravel(), cam.ravel())[0, 1] > 0.95


def test_another_class_has_another_map() -> None:
    model, maps = model_of("stripes"), []
    head = model.get_layer("gender")
    for bias in ([9.0, 0.0], [0.0, 9.0]):  # makes one of the classes the most probable one
        head.bias.assign(bias)
        maps.append(grad_cam(model, IMAGES, "gender"))
    assert np.abs(maps[0] - maps[1]).max() > 0.5


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(WorkshopError, match="top_color"):
        grad_cam(model_of("average"), IMAGES, "shoes")
