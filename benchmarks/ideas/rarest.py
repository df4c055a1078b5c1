"""Balanced sampling: class c weighs n / (k n_c) of n rows in k classes (King & Zeng 2001)."""

import numpy as np

from helpers.manifest import Manifest
from helpers.model import balance, class_counts
from helpers.train import Idea


class Rarest(Idea):
    """Draws images by their rarest label, and like the average row where one is missing."""

    def weights(self, training: Manifest) -> np.ndarray:  # noqa: D102
        highest = np.zeros(len(training))
        for task, weights in balance(class_counts(training)).items():
            targets = training.targets(task)
            highest = np.maximum(highest, np.where(targets >= 0, weights[targets], 1.0))
        return highest / highest.sum()
