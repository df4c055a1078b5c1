"""The seam for an idea that no flag has: it may change sampling, batches, network or loss."""

import numpy as np

from helpers.common import keras, tf
from helpers.manifest import Labels, Manifest


class Idea:
    """Changes nothing; a subclass overrides what it changes."""

    def weights(self, training: Manifest) -> np.ndarray | None:
        """Returns the sampling weight of every row, (n,), sum 1; None: as the recipe says."""
        return None

    def batches(self, batches: tf.data.Dataset, labels: Labels) -> tf.data.Dataset:
        """Returns the batches: images uint8 (batch, h, w, 3), {task: int32 (batch,) or shares}."""
        return batches

    def network(self, model: keras.Model) -> keras.Model:
        """Returns the network of `build_model`, before it is compiled."""
        return model

    def loss(self, task: str, loss: keras.losses.Loss, counts: np.ndarray) -> keras.losses.Loss:
        """Returns the loss of a task; `counts` are the rows of each class in training."""
        return loss
