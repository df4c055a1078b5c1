"""Losses, sampling and mixing for rare classes, against numpy; balanced gradients."""

from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest
from helpers.model import MaskedAccuracy, build_model, labels_of, priors, sampling_chances
from helpers.model.losses import MaskedCrossentropy
from helpers.model.network import BalanceGradients
from helpers.pipeline import (
    AUGMENTATIONS,
    Augmentation,
    augment,
    channel_statistics,
    mix,
    training_batches,
)
from helpers.pipeline.batches import share_labels
from helpers.train.schedules import CYCLES, Cyclic

RNG = np.random.default_rng(0)
TARGETS = np.array([0, 2, -1, 1, 2, -1, 0, 2])
PROBABILITIES = RNG.dirichlet(np.ones(3), len(TARGETS)).astype(np.float32)
KNOWN = TARGETS >= 0
RIGHT = PROBABILITIES[KNOWN, TARGETS[KNOWN]]


def test_focal_loss() -> None:
    expected = -((1 - RIGHT) ** 2 * np.log(RIGHT)).mean()
    assert float(MaskedCrossentropy(focal=2.0)(TARGETS, PROBABILITIES)) == pytest.approx(expected)


def test_logit_adjustment_is_a_softmax_of_shifted_logits() -> None:
    shares, strength = np.array([0.7, 0.2, 0.1]), 0.5
    logits = np.log(PROBABILITIES[KNOWN]) + strength * np.log(shares)
    adjusted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(adjusted[np.arange(KNOWN.sum()), TARGETS[KNOWN]]).mean()
    prior = priors({"task": np.array([70, 20, 10])}, strength)["task"]
    found = float(MaskedCrossentropy(prior=prior)(TARGETS, PROBABILITIES))
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_class_without_rows_keeps_a_prior() -> None:
    assert priors({"task": np.array([9, 0])}, 1.0)["task"][1] > 0


def test_the_loss_of_mixed_labels_is_the_mixed_loss() -> None:
    """Also where one of the two labels is not known: it counts for nothing."""
    share, partner = np.float32([1, 0.75, 0.5, 0.5]), np.int32([1, 0, 3, 2])
    targets = np.int32([0, 2, -1, -1])
    partner[2] = 0  # the third picture: not known, half of it is the first, of class 0
    shares = share_labels(tf.constant(targets), tf.constant(partner), tf.constant(share), 3)
    expected = np.float32([[1, 0, 0], [0.25, 0, 0.75], [0.5, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(shares, expected)
    p, weights = PROBABILITIES[:4], np.array([1.0, 2.0, 3.0])
    weighed = expected * weights
    wanted = -(weighed * np.log(p)).sum() / weighed.sum()
    found = float(MaskedCrossentropy(weights)(shares, p))
    assert found == pytest.approx(wanted, rel=1e-5)
    assert labels_of(shares, 3).numpy().tolist() == [0, 2, 0, -1]
    accuracy = MaskedAccuracy()
    accuracy.update_state(shares, p)
    assert float(accuracy.result()) == pytest.approx((p[:3].argmax(1) == [0, 2, 0]).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_shares_of_one_label_are_that_label(smoothing: float) -> None:
    loss = MaskedCrossentropy(np.array([0.5, 3.0, 1.25]), smoothing, focal=1.0)
    shares = np.eye(3, dtype=np.float32)[TARGETS] * KNOWN[:, None]
    hard, soft = (float(loss(targets, PROBABILITIES)) for targets in (TARGETS, shares))
    assert hard == pytest.approx(soft, rel=1e-6)


# pictures


def flat_pictures(count: int = 64) -> np.ndarray:
    """Each of one value: 0, 3, 6, ..."""
    return np.broadcast_to(
        (np.arange(count) * 3).astype(np.uint8)[:, None, None, None], (count, 20, 10, 3)
    )


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_a_picture_is_shared_as_its_label_is(kind: str) -> None:
    pictures = flat_pictures()
    before = pictures.copy()
    mixed, partner, share = mix(pictures, kind, np.random.default_rng(1))
    again = mix(pictures, kind, np.random.default_rng(1))
    assert all(np.array_equal(a, b) for a, b in zip(again, (mixed, partner, share)))
    assert mixed.dtype == np.uint8 and (pictures == before).all()
    own = np.arange(64) * 3.0
    expected = own * share + own[partner] * (1 - share)
    np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), expected, atol=1)
    assert share.min() >= (0.5 if kind == "mixup" else 0) and share.max() <= 1
    assert len(np.unique(share)) > 20
    if kind == "cutmix":  # nothing in between
        assert ((mixed == pictures) | (mixed == pictures[partner])).all()


def test_randaugment_goes_all_the_way_in_one_of_the_ways() -> None:
    a = Augmentation(brightness=0.2, operations=1)
    grey = np.arange(64) * 3
    shifts = (
        augment(flat_pictures(), a, np.random.default_rng(0)).astype(int)
        - grey[:, None, None, None]
    )
    inside = (grey > 60) & (grey < 190)
    assert set(np.unique(shifts[inside])) == {-51, 0, 51}  # .2 of 255, up or down
    changed = (shifts[inside] != 0).any(axis=(1, 2, 3)).mean()
    assert 0.03 < changed < 0.35  # one of seven ways
    assert AUGMENTATIONS["randaugment"].operations == 2


@pytest.fixture
def skewed(tmp_path) -> Manifest:
    """30 pictures, 27 of them of the frequent class; one without a label."""
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
    chances = sampling_chances(skewed, "kind")
    assert chances.sum() == pytest.approx(1)
    targets = skewed.targets("kind")
    assert chances[targets == 0].sum() == pytest.approx(chances[targets == 1].sum())
    assert chances[29] == pytest.approx(1 / 30)
    assert sampling_chances(skewed, "") is None
    rarest = sampling_chances(skewed, "rarest")
    assert rarest[:3].min() > 4 * rarest[3:].max()
    with pytest.raises(WorkshopError, match="No task 'kin'"):
        sampling_chances(skewed, "kin")


def test_large_groups_come_less_often(skewed: Manifest) -> None:
    assert sampling_chances(skewed, "groups") is None  # each picture is a group of its own
    groups = ["crowd"] * 16 + ["pair"] * 4 + [f"one {i}" for i in range(10)]
    grouped = replace(skewed, frame=skewed.frame.assign(group=groups))
    chances = sampling_chances(grouped, "groups")
    assert chances.sum() == pytest.approx(1)
    crowd, pair, one = chances[:16].sum(), chances[16:20].sum(), chances[20]
    assert (crowd / one, pair / one) == (pytest.approx(4), pytest.approx(2))
    assert len(set(chances[:16])) == 1
    pairs = replace(skewed, frame=skewed.frame.assign(group=[f"pair {i // 2}" for i in range(30)]))
    assert sampling_chances(pairs, "groups") is None


def test_batches_are_drawn_by_chance_and_mixed(skewed: Manifest, tmp_path, monkeypatch) -> None:
    from helpers.pipeline import load_pictures

    monkeypatch.setattr(load_pictures, "__defaults__", (tmp_path / "cache",))
    drawn = training_batches(
        skewed, (16, 8), 10, chances=sampling_chances(skewed, "kind"), mixed="mixup", seed=3
    )
    batches = list(drawn.take(30).as_numpy_iterator())  # ten epochs
    shares = np.concatenate([targets["kind"] for _, targets in batches])
    assert shares.shape == (300, 2) and shares.dtype == np.float32
    assert 0.4 < shares[:, 1].sum() / shares.sum() < 0.6
    again = next(iter(drawn))
    np.testing.assert_array_equal(again[0], batches[0][0])
    np.testing.assert_array_equal(again[1]["kind"], batches[0][1]["kind"])


def test_statistics_are_numpys_of_rgb(skewed: Manifest, tmp_path, monkeypatch) -> None:
    from helpers.pipeline import load_pictures

    monkeypatch.setattr(load_pictures, "__defaults__", (tmp_path / "cache",))
    mean, deviation = channel_statistics(skewed, (16, 8))
    reds = np.arange(30) * 8
    np.testing.assert_allclose(mean, [reds.mean(), 0, 255], atol=1e-6)
    np.testing.assert_allclose(deviation, [reds.std(), 0, 0], atol=1e-4)


# the network


def test_every_task_pulls_equally_hard() -> None:
    """The gradient is the sum of the tasks' gradients, each scaled to the mean of their norms."""
    rng = np.random.default_rng(0)
    x = tf.Variable(rng.normal(size=(4, 3)).astype(np.float32))
    pulls = [rng.normal(size=(4, 3)).astype(np.float32) * size for size in (1, 100)]
    layer = BalanceGradients(3)
    with tf.GradientTape() as tape:
        copies = layer(x, training=True)
        loss = sum(tf.reduce_sum(copy * pull) for copy, pull in zip(copies, [*pulls, 0 * pulls[0]]))
    norms = [np.linalg.norm(pull) for pull in pulls]
    expected = sum(pull * np.mean(norms) / norm for pull, norm in zip(pulls, norms))
    np.testing.assert_allclose(tape.gradient(loss, x), expected, rtol=1e-4)
    assert all(np.array_equal(copy, x) for copy in layer(x))


@pytest.mark.parametrize("backbone", ["residual", "dense"])
def test_our_backbones_take_their_style(backbone: str) -> None:
    from helpers.model import Style, build_backbone

    by_batch = build_backbone((64, 32), backbone)
    by_group = build_backbone((64, 32), backbone, style=Style("group", "he_normal"))
    assert by_batch.output_shape[:3] == by_group.output_shape[:3] == (None, 4, 2)
    kinds = {type(layer).__name__ for layer in by_group.layers}
    assert "GroupNormalization" in kinds and "BatchNormalization" not in kinds
    convolution = next(x for x in by_group.layers if isinstance(x, keras.layers.Conv2D))
    assert isinstance(convolution.kernel_initializer, keras.initializers.HeNormal)


def test_a_published_network_keeps_its_own_layers() -> None:
    from helpers.model import Style, build_backbone

    with pytest.raises(WorkshopError, match="as they were published"):
        build_backbone((64, 64), "MobileNetV2", style=Style("group"))


def test_a_network_of_all_ideas_predicts(tiny_backbone: None) -> None:
    from helpers.model import Style

    labels = Labels({"gender": ("male", "female"), "age": ("old", "young")})
    model = build_model(
        labels, (32, 16), tower=8, balance_gradients=True, style=Style("group"), pixels="dataset"
    )
    answers = model.predict(np.zeros((2, 32, 16, 3), np.uint8), verbose=0)
    assert {task: value.shape for task, value in answers.items()} == {
        "gender": (2, 2),
        "age": (2, 2),
    }


def test_a_cyclic_rate_is_half_as_high_each_time() -> None:
    cycle = Cyclic(0.01, 80)
    rates = np.array([float(cycle(step)) for step in range(81)])
    tops = rates[10::20]
    low = 0.01 / 25
    np.testing.assert_allclose(tops - low, (0.01 - low) / 2 ** np.arange(CYCLES), rtol=1e-4)
    np.testing.assert_allclose(rates[::20], low, rtol=1e-4)
