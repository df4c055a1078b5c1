"""Losses and metrics of several tasks, recomputed with numpy and scikit-learn."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest
from helpers.model import (
    MaskedAccuracy,
    MaskedCrossentropy,
    balance,
    class_counts,
    parse_task_weights,
    weigh_by_uncertainty,
)
from helpers.model.layers import TaskUncertainty

RNG = np.random.default_rng(0)
TARGETS = np.array([0, 2, -1, 1, 2, -1, 0, 2])
PROBABILITIES = RNG.dirichlet(np.ones(3), len(TARGETS)).astype(np.float32)
KNOWN = TARGETS >= 0
# In no alphabetic order, and two with as many classes: swapped heads would train unnoticed.
LABELS = Labels({"zebra": ("a", "b", "c"), "apple": ("x", "y"), "mango": ("u", "v", "w")})


def loss_of(targets=TARGETS, probabilities=PROBABILITIES, **options) -> float:
    return float(MaskedCrossentropy(**options)(targets, probabilities))


def test_masked_loss_is_scikit_learns_over_the_labelled_rows() -> None:
    expected = log_loss(TARGETS[KNOWN], PROBABILITIES[KNOWN], labels=[0, 1, 2])
    assert loss_of() == pytest.approx(expected, rel=1e-5)
    assert loss_of(TARGETS[:, None]) == pytest.approx(expected, rel=1e-5)  # as `fit` hands over


def test_class_weights_are_scikit_learns_sample_weights() -> None:
    weights = np.array([0.5, 3.0, 1.25])
    known = TARGETS[KNOWN]
    expected = log_loss(known, PROBABILITIES[KNOWN], labels=[0, 1, 2], sample_weight=weights[known])
    assert loss_of(class_weights=weights) == pytest.approx(expected, rel=1e-5)


def test_label_smoothing() -> None:
    wanted = np.eye(3)[TARGETS[KNOWN]] * 0.8 + 0.2 / 3
    expected = -(wanted * np.log(PROBABILITIES[KNOWN])).sum(axis=1).mean()
    assert loss_of(label_smoothing=0.2) == pytest.approx(expected, rel=1e-5)
    smooth = keras.losses.CategoricalCrossentropy(label_smoothing=0.2)
    assert expected == pytest.approx(
        float(smooth(np.eye(3)[TARGETS[KNOWN]], PROBABILITIES[KNOWN])), rel=1e-5
    )


def test_a_probability_of_zero_gives_a_finite_loss() -> None:
    loss = loss_of(np.array([0]), np.array([[0.0, 1.0]], np.float32))
    assert loss == pytest.approx(-np.log(1e-7), rel=1e-5)


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.0]])
def test_a_batch_without_labels_gives_nothing_and_finite_gradients(weights) -> None:
    logits = tf.Variable(RNG.normal(size=(4, 3)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = MaskedCrossentropy(weights)(np.full(4, -1), tf.nn.softmax(logits))
    assert float(loss) == 0
    assert np.array_equal(tape.gradient(loss, logits), np.zeros((4, 3)))


def test_rows_without_a_label_get_no_gradient() -> None:
    logits = tf.Variable(np.log(PROBABILITIES))
    with tf.GradientTape() as tape:
        loss = MaskedCrossentropy()(TARGETS, tf.nn.softmax(logits))
    gradient = tape.gradient(loss, logits).numpy()
    expected = (PROBABILITIES - np.eye(3)[TARGETS]) * KNOWN[:, None] / KNOWN.sum()
    assert np.allclose(gradient, expected, atol=1e-6)


def test_masked_accuracy() -> None:
    metric = MaskedAccuracy()
    metric.update_state(TARGETS[:3], PROBABILITIES[:3])
    metric.update_state(TARGETS[3:, None], PROBABILITIES[3:])
    metric.update_state(np.full(5, -1), RNG.dirichlet(np.ones(3), 5))
    expected = (PROBABILITIES.argmax(axis=1) == TARGETS)[KNOWN].mean()
    assert float(metric.result()) == pytest.approx(expected)


def test_uncertainty_weighs_as_the_paper_says() -> None:
    inputs = keras.Input((3,))
    passed = TaskUncertainty(3, name="task_uncertainty")(inputs)
    model = keras.Model(inputs, passed)
    variances = model.get_layer("task_uncertainty").log_variance
    variances.assign([0.0, -1.0, 0.7])
    losses = weigh_by_uncertainty(
        model, {task: MaskedCrossentropy(name=task) for task in LABELS.tasks}
    )
    assert list(losses) == list(LABELS.tasks)
    plain = loss_of()
    with tf.GradientTape() as tape:
        total = losses["mango"](TARGETS, PROBABILITIES)
    assert float(total) == pytest.approx(np.exp(-0.7) * plain + 0.35, rel=1e-5)
    gradient = tape.gradient(total, variances.value)
    assert np.allclose(gradient, [0, 0, 0.5 - np.exp(-0.7) * plain], atol=1e-6)
    assert np.array_equal(model(np.ones((1, 3))), np.ones((1, 3)))


def test_balanced_weights_are_scikit_learns(people: Manifest) -> None:
    weights = balance(class_counts(people))
    for task, classes in people.labels.tasks.items():
        known = people.targets(task)[people.targets(task) >= 0]
        expected = compute_class_weight("balanced", classes=np.arange(len(classes)), y=known)
        assert np.allclose(weights[task], expected)


def test_a_class_without_rows_weighs_nothing(people: Manifest) -> None:
    labels = Labels({"age": (*people.labels.tasks["age"], "ancient")})
    weights = balance(class_counts(Manifest(people.frame, labels, people.folder)))
    assert weights["age"][2] == 0 and np.isfinite(weights["age"]).all()


def test_task_weights() -> None:
    assert parse_task_weights("", LABELS) == {"zebra": 1, "apple": 1, "mango": 1}
    assert parse_task_weights("mango=0.5,zebra=2", LABELS) == {"zebra": 2, "apple": 1, "mango": 0.5}
    assert parse_task_weights("*=0.5,zebra=2", LABELS) == {"zebra": 2, "apple": 0.5, "mango": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mangoo=1", "Did you mean 'mango'"),
        ("mango", "such as mango=2, found 'mango'"),
        ("mango=much", "found 'mango=much'"),
        ("mango=-1", "at least 0"),
        ("mango=nan", "at least 0"),
        ("mango=inf", "at least 0"),
        ("uncertain", "No task 'uncertain'"),
    ],
)
def test_wrong_task_weights(text: str, message: str) -> None:
    with pytest.raises(WorkshopError, match=message):
        parse_task_weights(text, LABELS)


@pytest.mark.parametrize("tasks", [["zebra", "apple", "mango"], ["mango"]])
def test_what_fit_logs_is_what_numpy_counts(tasks: list[str]) -> None:
    """A learning rate of 0: the whole epoch sees the same network, so numpy can repeat it."""
    from helpers.train import Recipe, Stage, compile_model

    rng = np.random.default_rng(4)
    labels, rows, batch = LABELS.select(tasks), 21, 8
    inputs = rng.normal(size=(rows, 5)).astype(np.float32)
    targets = {
        task: rng.integers(-1, len(classes), rows).astype(np.int32)
        for task, classes in labels.tasks.items()
    }
    x = keras.Input((5,))
    heads = {
        task: layers.Dense(len(classes), activation="softmax", name=task)(x)
        for task, classes in labels.tasks.items()
    }
    model = keras.Model(x, heads)
    compile_model(
        model,
        labels,
        {},
        Recipe(task_weights=f"{tasks[-1]}=0.25", weight_decay=0.0),
        Stage(epochs=1, learning_rate=1e-12, schedule="constant"),
        3,
    )
    data = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(batch)
    logs = {name: values[0] for name, values in model.fit(data, verbose=0).history.items()}
    probabilities = model.predict(inputs, verbose=0)
    total = 0
    for task in tasks:
        parts = [slice(start, start + batch) for start in range(0, rows, batch)]
        losses = [loss_of(targets[task][part], probabilities[task][part]) for part in parts]
        # Keras weighs the batches of the total by their rows, those of a task not
        total += np.average(losses, weights=[8, 8, 5]) * (0.25 if task == tasks[-1] else 1)
        known = targets[task] >= 0
        right = (probabilities[task].argmax(axis=1) == targets[task])[known].mean()
        prefix = f"{task}_" if len(tasks) > 1 else ""
        assert logs[f"{prefix}accuracy"] == pytest.approx(right, abs=1e-6)
        if len(tasks) > 1:
            assert logs[f"{task}_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert logs["loss"] == pytest.approx(total, rel=1e-4)
