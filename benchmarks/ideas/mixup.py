"""MixUp (Zhang et al. 2018): s x_i + (1 - s) x_j and s y_i + (1 - s) y_j, s from Beta(a, a)."""

import numpy as np

from helpers.common import CORES, tf
from helpers.manifest import Labels
from helpers.train import Idea

SPREAD = 0.2  # a: as in the paper for small data sets


class MixUp(Idea):
    """Blends each image of a batch with another one; s is the larger part: it stays visible."""

    def batches(self, batches: tf.data.Dataset, labels: Labels) -> tf.data.Dataset:
        """Mixes each batch; a missing label leaves its part of the soft label at 0."""
        seed = np.random.randint(2**31)  # a training has set the state by its recipe's seed

        def draw(step: int, count: int) -> tuple:
            rng = np.random.default_rng([seed, step])
            share = rng.beta(SPREAD, SPREAD, count).astype(np.float32)
            return rng.permutation(count), np.maximum(share, 1 - share)[:, None]

        def mixed(step: tf.Tensor, batch: tuple) -> tuple:
            images, shares = tf.cast(batch[0], tf.float32), {}
            partner, own = tf.numpy_function(draw, [step, len(images)], (tf.int64, tf.float32))
            partner, own = tf.ensure_shape(partner, [None]), tf.ensure_shape(own, [None, 1])
            for task, classes in labels.tasks.items():
                one = tf.one_hot(batch[1][task], len(classes))  # of -1 all zeros
                shares[task] = one * own + tf.gather(one, partner) * (1 - own)
            part = own[..., None, None]
            blended = images * part + tf.gather(images, partner) * (1 - part)
            return tf.cast(tf.round(blended), tf.uint8), shares

        return batches.enumerate().map(mixed, num_parallel_calls=CORES)
