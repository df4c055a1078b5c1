"""Group normalization (Wu & He 2018) over groups of channels, instead of batch normalization."""

from helpers.common import keras, layers
from helpers.train import Idea


class GroupNormalized(Idea):
    """Replaces every batch normalization; all other layers stay the same objects."""

    def network(self, model: keras.Model) -> keras.Model:  # noqa: D102
        return keras.models.clone_model(model, None, in_groups, call, recursive=True)


def in_groups(layer: layers.Layer) -> layers.Layer:
    """Returns the layer, or what takes the place of a batch normalization."""
    if not isinstance(layer, layers.BatchNormalization):
        return layer
    options = {"name": layer.name, "trainable": layer.trainable}
    if layer.input_spec.ndim == 2:  # groups of a vector would have few numbers: one group of all
        return layers.LayerNormalization(**options)
    return layers.GroupNormalization(groups=8, **options)


def call(layer: layers.Layer, *inputs, mask=None, **options):
    """Calls a layer without the mask that batch normalization knows, and images never have."""
    return layer(*inputs, **options)
