"""Class frequencies: which classes co-occur, and predictions as if all were equally frequent."""

import math

import numpy as np
import pandas as pd

from helpers.manifest import NOT_KNOWN, Manifest


def without_prior(probabilities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Divides each probability by its class's fraction of the training set, and normalizes.

    Logit adjustment after training (Menon et al. 2021, equation 9).
    """
    evened = np.asarray(probabilities, float) / np.where(shares > 0, shares, 1.0)
    return evened / evened.sum(axis=1, keepdims=True)


def co_occurrence(manifest: Manifest) -> pd.DataFrame:
    """Returns how much more often two classes of two tasks co-occur than by chance.

    A square table over (task, class): the fraction of images with both classes over the product
    of their fractions, where both tasks are known; nan within a task or without the class.
    """
    tasks = manifest.labels.tasks
    names = [(task, name) for task, classes in tasks.items() for name in classes]
    # Both (images, all classes): whether it is of the class, and whether its task is known.
    targets = np.column_stack([manifest.targets(task) for task, _ in names])
    known = (targets != NOT_KNOWN).astype(float)
    has = (targets == [tasks[task].index(name) for task, name in names]).astype(float)
    with np.errstate(invalid="ignore"):
        times = (has.T @ has) * (known.T @ known) / ((has.T @ known) * (known.T @ has))
    index = pd.MultiIndex.from_tuples(names, names=["task", "class"])
    of_task = index.get_level_values("task").to_numpy()
    times[of_task[:, None] == of_task] = math.nan
    return pd.DataFrame(times, index, index)
