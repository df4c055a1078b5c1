"""The layers that Keras lacks. A saved model names them "workshop>EvenLight" and so on."""

import numpy as np

from helpers.common import keras, layers, tf

register = keras.saving.register_keras_serializable("workshop")


@register
class EvenLight(layers.Layer):
    """Takes the mean of its neighborhood from each pixel, and divides by the std there.

    Local contrast normalization (Jarrett et al. 2009) with a box of `size` pixels on each side
    instead of a Gaussian window.
    """

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
    """Batch normalization of images with TensorFlow's own kernel while training.

    The numbers and the weights are those of Keras, which puts the layer together from a dozen small
    operations: here one goes over the numbers instead, and another one back. Channels come last,
    and scale and center are learned, as is Keras's default.
    """

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
    """Scales RGB 0 to 255 as `keras.applications.imagenet_utils.preprocess_input` does.

    It is part of the network, so that serving cannot scale otherwise than training did. `mode` is
    "caffe" (BGR minus the mean), "torch" (0 to 1, then standardized by channel) or "tf" (-1 to 1).
    """

    def __init__(self, mode: str, **kwargs):
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, pixels):
        """Scales (batch, height, width, 3)."""
        if self.mode == "tf":
            return pixels / 127.5 - 1.0
        if self.mode == "torch":
            mean = keras.ops.convert_to_tensor([0.485, 0.456, 0.406], pixels.dtype)
            std = keras.ops.convert_to_tensor([0.229, 0.224, 0.225], pixels.dtype)
            return (pixels / 255.0 - mean) / std
        mean = keras.ops.convert_to_tensor([103.939, 116.779, 123.68], pixels.dtype)
        return pixels[..., ::-1] - mean


@register
class StandardizePixels(layers.Layer):
    """Subtracts the mean of each channel of the data set, and divides by its std.

    Both are weights that are not trained: they are saved and handed on from stage to stage with
    the others, and serving cannot use other ones. They belong to RGB, the order in which
    `helpers.pipeline` decodes. (The published person attributes took the statistics of RGB
    images and applied them to BGR ones, as OpenCV reads them: red was scaled as blue.)
    """

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
    """Tells a network of `pixels="dataset"` about its data: (3,), RGB, 0 to 255."""
    layer = model.get_layer("backbone").get_layer("standardize")
    layer.mean.assign(mean)
    layer.std.assign(np.maximum(std, 1.0))  # of images of one color it is 0


@register
class TaskUncertainty(layers.Layer):
    """Holds one trained log-variance for each task (Kendall, Gal & Cipolla 2018).

    It passes its input on unchanged. It stands in the network only so that the variances are
    trained, saved and resumed together with the other weights.
    """

    def __init__(self, tasks: int, **kwargs):
        super().__init__(**kwargs)
        self.tasks = tasks
        self.log_variance = self.add_weight(
            shape=(tasks,), initializer="zeros", name="log_variance"
        )

    def call(self, features):
        """Returns `features`."""
        return features
