"""The layers that Keras lacks. A saved model names them "workshop>EvenLight" and so on."""

import numpy as np

from helpers.common import keras, layers, tf

register = keras.saving.register_keras_serializable("workshop")


@register
class EvenLight(layers.Layer):
    """Local contrast normalization (Jarrett et al. 2009) in a box of `size` x `size` pixels."""

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, pixels):
        """Normalizes (batch, height, width, channels), 0 to 255."""
        offset = pixels - self._mean(pixels)
        # 4 is a std of 2 levels: what is as flat as that is noise, and stays small
        return offset * keras.ops.rsqrt(self._mean(offset * offset) + 4.0)

    def _mean(self, values):
        return keras.ops.average_pool(values, self.size, 1, "same")


@register
class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalization as Keras does it, in one operation while training instead of a dozen."""

    def call(self, inputs, training=None, mask=None):
        """Normalizes (batch, height, width, channels)."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.cast(self.gamma, tf.float32),
            tf.cast(self.beta, tf.float32),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
        variance *= (count - 1) / count  # the kernel estimates; Keras keeps that of the batch
        for kept, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept.assign(kept * self.momentum + found * (1 - self.momentum))
        return outputs


@register
class ScalePixels(layers.Layer):
    """Scales RGB 0 to 255 as Keras's `preprocess_input` does in `mode` "caffe", "torch" or "tf"."""

    def __init__(self, mode: str, **kwargs):
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, pixels):
        """Scales (batch, height, width, 3)."""
        return keras.applications.imagenet_utils.preprocess_input(pixels, mode=self.mode)


@register
class StandardizePixels(layers.Layer):
    """Subtracts the mean of each channel, RGB, and divides by its std: weights, but not trained."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # -1 to 1, until `set_pixel_statistics` knows better
        how = {"initializer": keras.initializers.Constant(127.5), "trainable": False}
        self.mean = self.add_weight(shape=(3,), name="mean", **how)
        self.std = self.add_weight(shape=(3,), name="std", **how)

    def call(self, pixels):
        """Scales (batch, height, width, 3)."""
        return (pixels - self.mean) / self.std


def set_pixel_statistics(model: keras.Model, mean: np.ndarray, std: np.ndarray) -> None:
    """Sets what a network of `pixels="dataset"` scales by: both (3,), RGB, 0 to 255."""
    layer = model.get_layer("backbone").get_layer("standardize")
    layer.mean.assign(mean)
    layer.std.assign(np.maximum(std, 1.0))  # of images of one color it is 0


@register
class TaskUncertainty(layers.Layer):
    """Holds a log-variance for each task, trained and saved with the network's other weights."""

    def __init__(self, tasks: int, **kwargs):
        super().__init__(**kwargs)
        self.log_variance = self.add_weight((tasks,), "zeros", name="log_variance")

    def call(self, features):
        """Returns `features` unchanged."""
        return features
