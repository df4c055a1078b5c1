"""The rows that count: those with a known label, checked against their probabilities."""

from collections.abc import Sequence

import numpy as np

from helpers.common import expected
from helpers.manifest import NOT_KNOWN


def labelled(
    targets: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str] | None = None,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the labelled rows, checked; `groups` are the rows' numbers where None."""
    targets = np.asarray(targets)
    probabilities = np.asarray(probabilities, float)
    groups = np.arange(len(targets)) if groups is None else np.asarray(groups)
    columns = "classes" if classes is None else len(classes)
    fits = targets.ndim == 1 and probabilities.ndim == 2 and len(targets) == len(probabilities)
    if not fits or (classes is not None and probabilities.shape[1] != columns):
        shape = f"({len(np.atleast_1d(targets))}, {columns})"
        what = f"probabilities of shape {shape} for targets of shape {targets.shape}"
        fix = "Predict the same rows, with a network of the same classes."
        raise expected(what, probabilities.shape, fix)
    if groups.shape != targets.shape:
        what = f"one group or value per row, shape {targets.shape}"
        raise expected(what, groups.shape, "Take them from the same manifest.")
    _check_values(targets, probabilities)
    rows = targets != NOT_KNOWN
    return targets[rows].astype(int), probabilities[rows], groups[rows]


def _check_values(targets: np.ndarray, probabilities: np.ndarray) -> None:
    if len(targets) and not (targets.min() >= NOT_KNOWN and targets.max() < probabilities.shape[1]):
        what = f"targets from -1 (not known) to {probabilities.shape[1] - 1}"
        found = f"{targets.min()} to {targets.max()}"
        raise expected(what, found, "Use the labels.json of the run.")
    sums = probabilities.sum(axis=1)
    # float16 and int8 networks sum to 1 only within a few percent.
    bad = np.flatnonzero(~(np.abs(sums - 1) < 0.05) | (probabilities < 0).any(axis=1))
    if len(bad):
        found = f"a sum of {sums[bad[0]]:.3g} in row {bad[0]}, and {len(bad)} such rows"
        fix = "Give softmax outputs, not logits; nan means that the training diverged."
        raise expected("every row of the probabilities to be positive and sum to 1", found, fix)
