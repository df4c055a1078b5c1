"""Balanced sampling: of an image's labels the rarest one decides how often it comes.

The weight of class c is n / (k n_c) of n rows in k classes (King & Zeng 2001, "balanced"); a row
is drawn by the largest weight of its labels, and like the average row where a label is missing.
"""

import numpy as np

from helpers.manifest import Manifest
from helpers.model import balance, class_counts
from helpers.train import Idea


class Rarest(Idea):
    """Draws images by their rarest label."""

    def weights(self, training: Manifest) -> np.ndarray:  # noqa: D102
        highest = np.zeros(len(training))
        for task, weights in balance(class_counts(training)).items():
            targets = training.targets(task)
            highest = np.maximum(highest, np.where(targets >= 0, weights[targets], 1.0))
        return highest / highest.sum()
