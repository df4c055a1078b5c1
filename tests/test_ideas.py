"""The ideas that are measured: losses and sampling against numpy, mixing, other networks."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from benchmarks.ideas import IDEAS, find_idea
from helpers.common import ROOT, WorkshopError
from helpers.manifest import Labels, Manifest
from helpers.model import build_model
from helpers.model.losses import MaskedCrossentropy
from helpers.train import Idea

RNG = np.random.default_rng(0)
TARGETS = np.array([0, 2, -1, 1, 2, -1, 0, 2])
PROBABILITIES = RNG.dirichlet(np.ones(3), len(TARGETS)).astype(np.float32)
KNOWN = TARGETS >= 0
RIGHT = PROBABILITIES[KNOWN, TARGETS[KNOWN]]
COUNTS = np.array([70, 20, 10])
LABELS = Labels({"zebra": ("a", "b", "c"), "apple": ("x", "y")})


@pytest.mark.parametrize("name", IDEAS)
def test_every_idea_has_a_name_and_a_short_file(name: str) -> None:
    assert isinstance(find_idea(name), Idea)
    for path in (ROOT / "benchmarks" / "ideas").glob("*.py"):
        assert len(path.read_text().splitlines()) < 40, path


def test_an_idea_of_your_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from helpers.train import Idea\nfrom benchmarks.ideas.mixup import MixUp\n"
        "class Mine(MixUp):\n    pass\n"
    )
    assert type(find_idea(str(file))).__name__ == "Mine"
    file.write_text("from helpers.train import Idea\n")
    with pytest.raises(WorkshopError, match=r"mine\.py: expected one subclass .*found 0"):
        find_idea(str(file))


# losses


def loss_of(idea: str, inner: keras.losses.Loss, targets=TARGETS, counts=COUNTS) -> float:
    return float(find_idea(idea).loss("task", inner, counts)(targets, PROBABILITIES))


def test_focal_loss() -> None:
    expected = -((1 - RIGHT) ** 2 * np.log(RIGHT)).mean()
    assert loss_of("focal loss", MaskedCrossentropy()) == pytest.approx(expected, rel=1e-5)


def test_focal_loss_with_weights_and_smooth_labels() -> None:
    weights, smooth = np.array([0.5, 3.0, 1.25]), 0.1
    own = weights[TARGETS[KNOWN], None]
    wanted = own * (np.eye(3)[TARGETS[KNOWN]] * (1 - smooth) + smooth / 3)
    p = PROBABILITIES[KNOWN]
    expected = -(wanted * (1 - p) ** 2 * np.log(p)).sum() / own.sum()
    found = loss_of("focal loss", MaskedCrossentropy(weights, smooth))
    assert found == pytest.approx(expected, rel=1e-5)


def test_focal_gradients_are_finite_where_all_is_known() -> None:
    loss = find_idea("focal loss").loss("task", MaskedCrossentropy(), COUNTS)
    sure = tf.Variable(np.float32([[1, 0, 0], [0, 1, 0]]))
    with tf.GradientTape() as tape:
        value = loss(np.array([0, 0]), sure)
    assert np.isfinite(tape.gradient(value, sure)).all() and float(value) > 1


def test_logit_adjustment_is_a_softmax_of_shifted_logits() -> None:
    logits = np.log(PROBABILITIES[KNOWN]) + np.log(COUNTS / COUNTS.sum())
    adjusted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(adjusted[np.arange(KNOWN.sum()), TARGETS[KNOWN]]).mean()
    found = loss_of("logit adjustment", MaskedCrossentropy())
    assert found == pytest.approx(expected, rel=1e-5)
    none = loss_of("logit adjustment", MaskedCrossentropy(), counts=np.array([9, 0, 9]))
    assert np.isfinite(none)  # a class without rows keeps a prior


@pytest.mark.parametrize("idea", ["focal loss", "logit adjustment"])
def test_shares_of_one_label_are_that_label(idea: str) -> None:
    inner = MaskedCrossentropy(np.array([0.5, 3.0, 1.25]), 0.1)
    shares = np.eye(3, dtype=np.float32)[TARGETS] * KNOWN[:, None]
    assert loss_of(idea, inner) == pytest.approx(loss_of(idea, inner, shares), rel=1e-6)


# images


def test_batches_become_mixed_ones() -> None:
    """The label tells what is in an image; one that is not known leaves its part empty."""
    zebra = np.array([0, 1, -1, 2] * 4, np.int32)
    values = np.array([0, 100, 200, 40] * 4, np.uint8)  # the image's, by its class
    images = np.broadcast_to(values[:, None, None, None], (16, 8, 4, 3)).copy()
    targets = {"zebra": zebra, "apple": np.full(16, -1, np.int32)}
    batches = tf.data.Dataset.from_tensors((images, targets)).repeat(3)
    keras.utils.set_random_seed(3)
    mixed = find_idea("MixUp").batches(batches, LABELS)
    assert mixed.element_spec[0] == batches.element_spec[0]
    found = list(mixed.as_numpy_iterator())
    keras.utils.set_random_seed(3)
    again = list(find_idea("MixUp").batches(batches, LABELS).as_numpy_iterator())
    np.testing.assert_array_equal(found[1][0], again[1][0])
    assert (found[0][0] != found[1][0]).any()  # each batch is mixed in its own way
    for images, shares in found:
        assert images.dtype == np.uint8 and shares["zebra"].dtype == np.float32
        assert shares["zebra"].shape == (16, 3) and (shares["apple"] == 0).all()
        unknown = 1 - shares["zebra"].sum(axis=1)
        own = shares["zebra"].max(axis=1)[unknown < 0.01]
        assert own.min() > 0.49 and len(np.unique(own)) > 2
        expected = shares["zebra"] @ [0, 100, 40] + 200 * unknown
        np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), expected, atol=1)


def test_chances_follow_the_rarest_label(tmp_path: Path) -> None:
    """30 images, 27 of them of the frequent class; one without a label."""
    kinds = ["rare"] * 3 + ["often"] * 26 + [""]
    sides = ["left" if i % 2 else "right" for i in range(30)]
    frame = pd.DataFrame({"image_path": map(str, range(30)), "kind": kinds, "side": sides})
    labels = Labels({"kind": ("often", "rare"), "side": ("left", "right")})
    drawn_by = find_idea("balanced sampling").weights(Manifest(frame, labels, tmp_path))
    assert drawn_by.shape == (30,) and drawn_by.sum() == pytest.approx(1)
    assert drawn_by[:3].min() > 4 * drawn_by[3:].max()
    assert drawn_by[0] / drawn_by[29] == pytest.approx(29 / (2 * 3))  # the last as the average row


def test_mixed_features_blend_each_tasks_labels_by_its_own_share() -> None:
    idea, network = find_idea("mixed features"), build_model(LABELS, (16, 16))
    images = RNG.uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)
    plain = network(images, training=False)
    network = idea.network(network)
    for task, found in network(images, training=False).items():
        np.testing.assert_array_equal(found, plain[task])  # while predicting nothing changes
    network(images, training=True)
    shares = {task: float(idea.mixers[f"{task}_tower"].share) for task in LABELS.tasks}
    assert shares["zebra"] != shares["apple"]
    targets, p = np.array([0, 2, -1, 1]), PROBABILITIES[:4]
    labels = np.eye(4)[targets][:, :3]
    wanted = labels * shares["zebra"] + labels[::-1] * (1 - shares["zebra"])
    found = float(idea.loss("zebra", MaskedCrossentropy(), COUNTS)(targets, p))
    assert found == pytest.approx(-(wanted * np.log(p)).sum() / wanted.sum(), rel=1e-5)


def test_distillation_asks_the_teacher(tmp_path: Path) -> None:
    with pytest.raises(
        WorkshopError, match=r"expected a teacher, a saved model, found none\. Name"
    ):
        find_idea("distilled")
    teacher = build_model(LABELS, (32, 16))
    teacher.save(tmp_path / "best.keras")
    images = RNG.integers(0, 256, (3, 16, 16, 3), np.uint8)
    labels = {"zebra": np.int32([0, -1, 2]), "apple": np.int32([1, 0, -1])}
    batches = tf.data.Dataset.from_tensors((images, labels))
    idea = find_idea(f"distilled:{tmp_path / 'best.keras'}")
    seen, targets = next(iter(idea.batches(batches, LABELS)))
    np.testing.assert_array_equal(seen, images)
    answers = teacher(tf.image.resize(tf.cast(images, tf.float32), (32, 16)))
    np.testing.assert_allclose(targets["apple"][2], answers["apple"][2], atol=1e-6)  # no label
    wanted = 0.3 * np.eye(3)[0] + 0.7 * answers["zebra"][0]
    np.testing.assert_allclose(targets["zebra"][0], wanted, atol=1e-6)
