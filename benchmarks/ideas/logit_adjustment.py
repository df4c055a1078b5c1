"""Logit adjustment (Menon et al. 2021, eq. 10): training with the softmax of f_c + log pi_c."""

import numpy as np

from helpers.common import keras
from helpers.train import Idea


class LogitAdjustment(Idea):
    """Wraps each loss: the network learns as if all classes were equally frequent (pi_c)."""

    def loss(self, task: str, loss: keras.losses.Loss, counts: np.ndarray):  # noqa: D102
        # a class without rows counts as half a row: of 0 nothing would be learned
        return Adjusted(loss, np.maximum(counts, 0.5) / max(counts.sum(), 1))


class Adjusted(keras.losses.Loss):
    """A loss of probabilities that are multiplied by `prior`, (classes,), and sum to 1 again."""

    def __init__(self, loss: keras.losses.Loss, prior: np.ndarray):
        super().__init__(name=loss.name, reduction="none")
        self.inner, self.prior = loss, prior

    def call(self, targets, probabilities):  # noqa: D102
        ops = keras.ops
        weighed = probabilities * ops.convert_to_tensor(self.prior, probabilities.dtype)
        return self.inner(targets, weighed / ops.sum(weighed, axis=-1, keepdims=True))
