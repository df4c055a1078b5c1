"""The one place where an idea of your own enters a training."""

import numpy as np

from helpers.common import keras, tf
from helpers.manifest import Labels, Manifest


class Idea:
    """Something to try in a training: override what it changes; the rest is the recipe's.

    A run that resumes needs the same idea again, and a layer of your own in a saved model needs
    `keras.saving.register_keras_serializable`.
    """

    def weights(self, training: Manifest) -> np.ndarray | None:
        """Returns the sampling weight of every row, (n,), sums to 1; None: as the recipe says."""
        return None

    def batches(self, batches: tf.data.Dataset, labels: Labels) -> tf.data.Dataset:
        """Returns the batches to train on; targets may become float (batch, classes)."""
        return batches

    def network(self, model: keras.Model) -> keras.Model:
        """Returns the network to train, from that of `build_model`, before it is compiled."""
        return model

    def loss(self, task: str, loss: keras.losses.Loss, counts: np.ndarray) -> keras.losses.Loss:
        """Returns the loss of a task; `counts` are the training rows of each class, (classes,)."""
        return loss
