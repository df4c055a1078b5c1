"""Two images in one: what MixUp and CutMix have in common."""

import numpy as np

from helpers.common import CORES, tf
from helpers.manifest import Labels
from helpers.train import Idea


class Mixing(Idea):
    """Puts a part of another image of the batch into each, and mixes the labels likewise."""

    def mix(self, images: np.ndarray, rng: np.random.Generator) -> tuple:
        """Returns images mixed (uint8), the row of each one's partner (int32), its label's part."""
        raise NotImplementedError

    def batches(self, batches: tf.data.Dataset, labels: Labels) -> tf.data.Dataset:
        """Mixes each batch; a missing label leaves its part of the soft label at 0."""
        seed = np.random.randint(2**31)  # a training has set the state by its recipe's seed

        def blend(images: np.ndarray, step: int) -> tuple:
            return self.mix(images, np.random.default_rng([seed, step]))

        def mixed(step: tf.Tensor, batch: tuple) -> tuple:
            images, shares = batch[0], {}
            types = (tf.uint8, tf.int32, tf.float32)
            found, partner, own = tf.numpy_function(blend, [images, step], types)
            partner, own = tf.ensure_shape(partner, [None]), tf.ensure_shape(own, [None])[:, None]
            for task, classes in labels.tasks.items():
                one = tf.one_hot(batch[1][task], len(classes))  # of -1 all zeros
                shares[task] = one * own + tf.gather(one, partner) * (1 - own)
            return tf.ensure_shape(found, images.shape), shares

        return batches.enumerate().map(mixed, num_parallel_calls=CORES)
