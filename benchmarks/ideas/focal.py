"""Focal loss (Lin et al. 2017): -(1 - p)^g log p, so that what is known already counts less."""

import numpy as np

from helpers.common import keras
from helpers.train import Idea


class Focal(Idea):
    """Wraps the loss of each task."""

    def loss(self, task: str, loss: keras.losses.Loss, counts: np.ndarray):  # noqa: D102
        return FocalLoss(loss)


class FocalLoss(keras.losses.Loss):
    """The loss of p^((1 - p)^g): so masks, soft labels and class weights stay the core's."""

    def __init__(self, loss: keras.losses.Loss, exponent: float = 2.0):
        super().__init__(name=loss.name, reduction="none")
        self.inner, self.exponent = loss, exponent

    def call(self, targets, probabilities):  # noqa: D102
        ops = keras.ops
        # not of 0: the gradient of a power between 0 and 1 is infinite there
        factor = ops.maximum(1 - probabilities, 1e-7) ** self.exponent
        return self.inner(targets, ops.exp(factor * ops.log(ops.maximum(probabilities, 1e-7))))
