"""The loss of a task, and how the losses of several tasks become one."""

from collections.abc import Mapping

import numpy as np

from helpers.common import expected, keras
from helpers.manifest import Labels, Manifest
from helpers.model.layers import TaskUncertainty

ops = keras.ops


class MaskedCrossentropy(keras.losses.Loss):
    """Cross-entropy over labelled rows: Keras's `ignore_class` knows no smoothing or weights."""

    def __init__(self, class_weights=None, label_smoothing: float = 0.0, name: str = "loss"):
        # No reduction by Keras: it would divide by all rows, and this mean is over labelled ones.
        super().__init__(name=name, reduction="none")
        self.class_weights, self.label_smoothing = class_weights, label_smoothing
        self.mean_over_workers = lambda value: value  # `helpers.cloud.script` has several

    def call(self, targets, probabilities):
        """Returns the mean loss of a batch, a scalar; 0 where no row is labelled.

        `targets` are int (batch,), -1 where not known, or soft: float (batch, classes), which sum
        to less than 1 where a part is not known.
        """
        classes = probabilities.shape[-1]
        wanted = soft_targets(targets, classes, probabilities.dtype)
        if self.class_weights is not None:
            wanted = wanted * ops.convert_to_tensor(self.class_weights, probabilities.dtype)
        weight = ops.sum(wanted, axis=-1, keepdims=True)
        smooth = self.label_smoothing
        wanted = wanted * (1 - smooth) + weight * smooth / classes
        # 1e-7: the smallest probability that Keras itself lets into a logarithm
        loss = -ops.sum(wanted * ops.log(ops.maximum(probabilities, 1e-7)))
        loss = loss / ops.maximum(self.mean_over_workers(ops.sum(weight)), 1e-7)
        # the value is that of all workers, the gradient that of this one
        return loss + ops.stop_gradient(self.mean_over_workers(loss) - loss)


def soft_targets(targets, classes: int, dtype: str = "float32"):
    """Returns targets as (batch, classes), all 0 where not known; they may be soft already."""
    if _are_soft(targets, classes):
        return ops.cast(targets, dtype)
    targets = ops.reshape(targets, (-1,))  # Keras hands over (batch, 1)
    known = ops.cast(targets >= 0, dtype)
    return ops.one_hot(ops.maximum(targets, 0), classes, dtype=dtype) * known[:, None]


def labels_of(targets, classes: int):
    """Returns one label for each row, (batch,): of soft targets the largest one."""
    if not _are_soft(targets, classes):
        return ops.cast(ops.reshape(targets, (-1,)), "int64")
    largest = ops.cast(ops.argmax(targets, axis=-1), "int64")
    return ops.where(ops.max(targets, axis=-1) > 0, largest, ops.full_like(largest, -1))


def _are_soft(targets, classes: int) -> bool:
    return classes > 1 and len(targets.shape) == 2 and targets.shape[-1] == classes


class MaskedAccuracy(keras.metrics.Mean):
    """Fraction of the labelled rows whose most probable class is the label."""

    def update_state(self, targets, probabilities, sample_weight=None):
        """Adds a batch; the arguments are those of `MaskedCrossentropy`."""
        targets = labels_of(targets, probabilities.shape[-1])
        guess = ops.cast(ops.argmax(probabilities, axis=-1), targets.dtype)
        right = ops.cast(guess == targets, "float32")
        super().update_state(right, sample_weight=ops.cast(targets >= 0, "float32"))


def class_counts(manifest: Manifest) -> dict[str, np.ndarray]:
    """Returns for each task how many rows each of its classes has, int (classes,)."""
    return {  # the first count is that of -1, which is not known
        task: np.bincount(manifest.targets(task) + 1, minlength=len(classes) + 1)[1:]
        for task, classes in manifest.labels.tasks.items()
    }


def balance(counts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns float32 (classes,) for each task: weights that let its classes count alike.

    They are labelled rows / (classes * rows of the class) (King & Zeng 2001); 0 without rows.
    """
    with np.errstate(divide="ignore"):
        return {
            task: np.where(rows > 0, rows.sum() / (len(rows) * rows), 0).astype(np.float32)
            for task, rows in counts.items()
        }


def compute_sampling_weights(manifest: Manifest, sampling: str) -> np.ndarray | None:
    """Returns the sampling weight of each row, float (n,), which sums to 1; None: each row once.

    With the name of a task, its classes come equally often, and a row without a label as often as
    the average row. With "groups" a group comes as often as the square root of its images: between
    each image once and each group equally often (Mahajan et al. 2018 sample hashtags so).
    """
    if not sampling:
        return None
    if sampling == "groups":
        _, group, sizes = np.unique(manifest.groups, return_inverse=True, return_counts=True)
        if len(set(sizes)) == 1:
            return None
        sampling_weights = sizes[group] ** -0.5
    else:
        manifest = manifest.select([sampling])
        weights = balance(class_counts(manifest))[sampling]
        targets = manifest.targets(sampling)
        sampling_weights = np.where(targets >= 0, weights[targets], 1.0)  # 1 is the mean weight
    return sampling_weights / sampling_weights.sum()


class UncertaintyWeighted(keras.losses.Loss):
    """exp(-s) * loss + s / 2, where s is the task's log-variance (Kendall, Gal & Cipolla 2018)."""

    def __init__(self, loss: keras.losses.Loss, uncertainty: TaskUncertainty, index: int):
        super().__init__(name=loss.name, reduction="none")
        self.loss, self.uncertainty, self.index = loss, uncertainty, index

    def call(self, targets, probabilities):
        """Returns a scalar; the arguments are those of the task's loss."""
        log_variance = self.uncertainty.log_variance[self.index]
        return ops.exp(-log_variance) * self.loss(targets, probabilities) + log_variance / 2


def weigh_by_uncertainty(
    model: keras.Model, losses: Mapping[str, keras.losses.Loss]
) -> dict[str, keras.losses.Loss]:
    """Wraps each task's loss for a model that `build_model` gave task_uncertainty=True."""
    layer = model.get_layer("task_uncertainty")
    numbered = enumerate(losses.items())
    return {task: UncertaintyWeighted(loss, layer, i) for i, (task, loss) in numbered}


def parse_task_weights(text: str, labels: Labels) -> dict[str, float]:
    """Reads "gender=1,top_color=2", or "*=0.5,gender=1" where all others weigh half and not 1."""
    named = {}
    for part in filter(None, text.split(",")):
        task, _, value = part.partition("=")
        if task != "*":
            labels.select([task])  # says which tasks there are, where this one is not among them
        try:
            named[task] = float(value)
        except ValueError:
            named[task] = -1.0
        if not 0 <= named[task] < np.inf:
            raise expected(f"a task weight such as {task}=2", repr(part), "Weights are at least 0.")
    return {task: named.get(task, named.get("*", 1.0)) for task in labels.tasks}
