"""Soft targets, sampling for rare classes, statistics of pixels and rates, against numpy."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest

from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest
from helpers.model import (
    MaskedAccuracy,
    MaskedCrossentropy,
    build_backbone,
    compute_sampling_weights,
)
from helpers.model.losses import labels_of
from helpers.pipeline import (
    AUGMENTATIONS,
    Augmentation,
    augment,
    channel_statistics,
    training_batches,
)
from helpers.train.schedules import CYCLES, Cyclic

RNG = np.random.default_rng(0)
TARGETS = np.array([0, 2, -1, 1, 2, -1, 0, 2])
PROBABILITIES = RNG.dirichlet(np.ones(3), len(TARGETS)).astype(np.float32)
KNOWN = TARGETS >= 0


def test_the_loss_of_soft_targets() -> None:
    """Also where a part of them is not known: it counts for nothing."""
    soft = np.float32([[1, 0, 0], [0.25, 0, 0.75], [0.5, 0, 0], [0, 0, 0]])
    p, weights = PROBABILITIES[:4], np.array([1.0, 2.0, 3.0])
    weighed = soft * weights
    wanted = -(weighed * np.log(p)).sum() / weighed.sum()
    assert float(MaskedCrossentropy(weights)(soft, p)) == pytest.approx(wanted, rel=1e-5)
    assert labels_of(soft, 3).numpy().tolist() == [0, 2, 0, -1]
    accuracy = MaskedAccuracy()
    accuracy.update_state(soft, p)
    assert float(accuracy.result()) == pytest.approx((p[:3].argmax(1) == [0, 2, 0]).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_soft_targets_of_one_label_are_that_label(smoothing: float) -> None:
    loss = MaskedCrossentropy(np.array([0.5, 3.0, 1.25]), smoothing)
    shares = np.eye(3, dtype=np.float32)[TARGETS] * KNOWN[:, None]
    hard, soft = (float(loss(targets, PROBABILITIES)) for targets in (TARGETS, shares))
    assert hard == pytest.approx(soft, rel=1e-6)


# images


def flat_images(count: int = 64) -> np.ndarray:
    """Each of one value: 0, 3, 6, ..."""
    return np.broadcast_to(
        (np.arange(count) * 3).astype(np.uint8)[:, None, None, None], (count, 20, 10, 3)
    )


def test_randaugment_goes_all_the_way_in_one_of_the_ways() -> None:
    a = Augmentation(brightness=0.2, operations=1)
    grey = np.arange(64) * 3
    shifts = (
        augment(flat_images(), a, np.random.default_rng(0)).astype(int) - grey[:, None, None, None]
    )
    inside = (grey > 60) & (grey < 190)
    assert set(np.unique(shifts[inside])) == {-51, 0, 51}  # .2 of 255, up or down
    changed = (shifts[inside] != 0).any(axis=(1, 2, 3)).mean()
    assert 0.03 < changed < 0.35  # one of seven ways
    assert AUGMENTATIONS["randaugment"].operations == 2


@pytest.fixture
def skewed(tmp_path) -> Manifest:
    """30 images, 27 of them of the frequent class; one without a label."""
    from PIL import Image

    rows = []
    for i in range(30):
        name = f"{i}.png"
        Image.new("RGB", (8, 16), (i * 8, 0, 255)).save(tmp_path / name)
        kind = "" if i == 29 else "rare" if i < 3 else "often"
        rows.append({"image_path": name, "kind": kind, "side": "left" if i % 2 else "right"})
    labels = Labels({"kind": ("often", "rare"), "side": ("left", "right")})
    return Manifest(pd.DataFrame(rows), labels, tmp_path)


def test_chances_make_classes_equally_frequent(skewed: Manifest) -> None:
    drawn_by = compute_sampling_weights(skewed, "kind")
    assert drawn_by.sum() == pytest.approx(1)
    targets = skewed.targets("kind")
    assert drawn_by[targets == 0].sum() == pytest.approx(drawn_by[targets == 1].sum())
    assert drawn_by[29] == pytest.approx(1 / 30)
    assert compute_sampling_weights(skewed, "") is None
    with pytest.raises(WorkshopError, match="No task 'kin'"):
        compute_sampling_weights(skewed, "kin")


def test_large_groups_come_less_often(skewed: Manifest) -> None:
    assert compute_sampling_weights(skewed, "groups") is None  # each image is a group of its own
    groups = ["crowd"] * 16 + ["pair"] * 4 + [f"one {i}" for i in range(10)]
    grouped = replace(skewed, frame=skewed.frame.assign(group=groups))
    drawn_by = compute_sampling_weights(grouped, "groups")
    assert drawn_by.sum() == pytest.approx(1)
    crowd, pair, one = (
        drawn_by[:16].sum(),
        drawn_by[16:20].sum(),
        drawn_by[20],
    )
    assert (crowd / one, pair / one) == (pytest.approx(4), pytest.approx(2))
    assert len(set(drawn_by[:16])) == 1
    pairs = replace(skewed, frame=skewed.frame.assign(group=[f"pair {i // 2}" for i in range(30)]))
    assert compute_sampling_weights(pairs, "groups") is None


def test_batches_are_drawn_by_chance(skewed: Manifest, tmp_path, monkeypatch) -> None:
    from helpers.pipeline import load_images

    monkeypatch.setattr(load_images, "__defaults__", (tmp_path / "cache",))
    drawn_by = compute_sampling_weights(skewed, "kind")
    drawn = training_batches(skewed, (16, 8), 10, sampling_weights=drawn_by, seed=3)
    batches = list(drawn.take(30).as_numpy_iterator())  # ten epochs
    kinds = np.concatenate([targets["kind"] for _, targets in batches])
    assert kinds.shape == (300,) and 0.4 < (kinds[kinds >= 0] == 1).mean() < 0.6
    again = next(iter(drawn))
    np.testing.assert_array_equal(again[0], batches[0][0])
    np.testing.assert_array_equal(again[1]["kind"], batches[0][1]["kind"])


def test_statistics_are_numpys_of_rgb(skewed: Manifest, tmp_path, monkeypatch) -> None:
    from helpers.pipeline import load_images

    monkeypatch.setattr(load_images, "__defaults__", (tmp_path / "cache",))
    mean, std = channel_statistics(skewed, (16, 8))
    reds = np.arange(30) * 8
    np.testing.assert_allclose(mean, [reds.mean(), 0, 255], atol=1e-6)
    np.testing.assert_allclose(std, [reds.std(), 0, 0], atol=1e-4)


# the network


@pytest.mark.parametrize("backbone", ["residual", "dense"])
def test_our_backbones_take_an_initialization(backbone: str) -> None:
    network = build_backbone((64, 32), backbone, initialization="he_normal")
    assert network.output_shape[:3] == (None, 4, 2)
    convolution = next(x for x in network.layers if isinstance(x, keras.layers.Conv2D))
    assert isinstance(convolution.kernel_initializer, keras.initializers.HeNormal)


def test_a_published_network_keeps_its_own_initialization() -> None:
    with pytest.raises(WorkshopError, match="as it was published"):
        build_backbone((64, 64), "MobileNetV2", initialization="he_normal")


def test_a_cyclic_rate_is_half_as_high_each_time() -> None:
    cycle = Cyclic(0.01, 80)
    rates = np.array([float(cycle(step)) for step in range(81)])
    tops = rates[10::20]
    low = 0.01 / 25
    np.testing.assert_allclose(tops - low, (0.01 - low) / 2 ** np.arange(CYCLES), rtol=1e-4)
    np.testing.assert_allclose(rates[::20], low, rtol=1e-4)
