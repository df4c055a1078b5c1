"""Balanced gradients: g_i mean_j(|g_j|) / |g_i|, as of GradNorm (Chen et al. 2018, alpha = 0)."""

from benchmarks.ideas.equal_pull import EqualPull
from helpers.common import keras, layers
from helpers.train import Idea


class BalancedGradients(Idea):
    """Puts `EqualPull` before the towers, where a gradient is free (Sener & Koltun 2018)."""

    def network(self, model: keras.Model) -> keras.Model:  # noqa: D102
        kind = "tower" if any(x.name.endswith("_tower") for x in model.layers) else "dropout"
        firsts, features = [f"{task}_{kind}" for task in model.output], []

        def call(layer: layers.Layer, *inputs, **options):
            if layer.name in firsts:
                features[:] = features or EqualPull()([*inputs] * len(firsts))
                inputs = [features.pop()]
            return layer(*inputs, **options)

        return keras.models.clone_model(model, clone_function=lambda x: x, call_function=call)
