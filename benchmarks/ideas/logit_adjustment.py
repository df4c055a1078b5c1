"""Logit adjustment: the network learns to score as if all classes were equally frequent.

While training, the softmax is that of the logits f_c + t log pi_c, where pi_c is the fraction of
class c in training and t = 1 (Menon et al. 2021, equation 10). Predictions are left as they are.
"""

import numpy as np

from helpers.common import keras
from helpers.train import Idea

STRENGTH = 1.0  # t


class LogitAdjustment(Idea):
    """Wraps the loss of each task."""

    def loss(self, task: str, loss: keras.losses.Loss, counts: np.ndarray):  # noqa: D102
        # a class without rows counts as half a row: of 0 nothing would be learned
        return Adjusted(loss, (np.maximum(counts, 0.5) / max(counts.sum(), 1)) ** STRENGTH)


class Adjusted(keras.losses.Loss):
    """A loss of probabilities that are multiplied by `prior`, (classes,), and sum to 1 again."""

    def __init__(self, loss: keras.losses.Loss, prior: np.ndarray):
        super().__init__(name=loss.name, reduction="none")
        self.inner, self.prior = loss, prior

    def call(self, targets, probabilities):  # noqa: D102
        ops = keras.ops
        weighed = probabilities * ops.convert_to_tensor(self.prior, probabilities.dtype)
        return self.inner(targets, weighed / ops.sum(weighed, axis=-1, keepdims=True))
