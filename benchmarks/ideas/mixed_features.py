"""Manifold mixup (Verma et al. 2019) before each tower, every task with a share of its own."""

import numpy as np

from helpers.common import keras
from helpers.model import soft_targets
from helpers.train import Idea


class MixedFeatures(Idea):
    """Blends each image's features, and its label, with those of the batch in reverse."""

    def network(self, model: keras.Model) -> keras.Model:  # noqa: D102
        self.mixers = {f"{task}_tower": Mixer(name=f"{task}_mixer") for task in model.output}

        def call(layer, x, **how):
            return layer(self.mixers.get(layer.name, lambda x: x)(x), **how)

        return keras.models.clone_model(model, clone_function=lambda x: x, call_function=call)

    def loss(self, task: str, loss: keras.losses.Loss, counts: np.ndarray):  # noqa: D102
        def mixed(targets, probabilities):
            share, labels = self.mixers[f"{task}_tower"].share, soft_targets(targets, len(counts))
            return loss(labels * share + labels[::-1] * (1 - share), probabilities)

        return mixed


@keras.saving.register_keras_serializable("ideas")
class Mixer(keras.layers.Layer):
    """Draws a new share for each batch of a training, from Beta(.4, .4)."""

    def build(self, shape):  # noqa: D102
        self.share = self.add_weight(name="share", initializer="ones", trainable=False)

    def call(self, x, training=False):  # noqa: D102
        if training:
            self.share.assign(keras.random.beta((), 0.4, 0.4))
        return x * self.share + x[::-1] * (1 - self.share) if training else x
