"""Our own backbones, for two cores: from pixels of -1 to 1 ("sign": 0 to 255) to features."""

from collections.abc import Sequence

from helpers.common import keras, layers
from helpers.model.layers import EvenLight, FusedBatchNormalization

GLOROT = "glorot_uniform"  # the initial weights of Keras
NEIGHBORHOOD = 9  # pixels on each side: about a third of a sign, wider than any of its strokes


def street_features(
    x: keras.KerasTensor, widths: Sequence[int] = (32, 64, 128), initialization: str = GLOROT
):
    """The default backbone: a small residual network (He et al. 2016) for two cores.

    A stride of 4 first, so that nearly all of the work is done on few pixels; plain convolutions,
    since depthwise ones save arithmetic but little time on a CPU. `widths` are channels.
    """
    x = _relu(_convolve(x, widths[0], kernel=6, strides=4, initialization=initialization))
    for width in widths[1:]:
        x = _residual_block(x, width, 2, initialization)
    return x


def residual_features(x: keras.KerasTensor, initialization: str = GLOROT):
    """A residual network of two blocks for each width: deeper than "street"."""
    x = _relu(_convolve(x, 32, kernel=6, strides=4, initialization=initialization))
    for number, width in enumerate((32, 64, 128)):
        x = _residual_block(x, width, 2 if number else 1, initialization)
        x = _residual_block(x, width, 1, initialization)
    return x


def _residual_block(x: keras.KerasTensor, width: int, strides: int, initialization: str):
    """Two convolutions, and a way around them on which gradients pass unchanged."""
    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides, padding="same")(x)
        shortcut = _convolve(shortcut, width, kernel=1, initialization=initialization)
    x = _relu(_convolve(x, width, strides=strides, initialization=initialization))
    x = layers.Add()([_convolve(x, width, initialization=initialization), shortcut])
    return _relu(x)


def dense_features(x: keras.KerasTensor, initialization: str = GLOROT):
    """A small densely connected network (Huang et al. 2017)."""
    x = _relu(_convolve(x, 32, kernel=6, strides=4, initialization=initialization))
    for number, (convolutions, growth) in enumerate(((3, 16), (4, 24), (4, 32))):
        if number:
            halved = x.shape[-1] // 16 * 8  # a multiple of 8
            x = _relu(_convolve(x, halved, kernel=1, initialization=initialization))
            x = layers.AveragePooling2D(2, padding="same")(x)
        for _ in range(convolutions):
            found = _relu(_convolve(x, growth, initialization=initialization))
            x = layers.Concatenate()([x, found])
    return x


def sign_features(image: keras.KerasTensor, initialization: str = GLOROT):
    """A backbone for small images with one thing in the middle, such as traffic signs.

    Such images are often dark or pale, so the light is evened out first, over the image and around
    each pixel. No stride: at 32 pixels it loses the strokes of a numeral.
    """
    # A group of all three channels keeps the colors; epsilon is small compared with 255 squared.
    whole = layers.GroupNormalization(1, epsilon=1.0, center=False, scale=False)(image)
    x = layers.Concatenate()([whole, EvenLight(NEIGHBORHOOD)(image)])
    for width, kernel in ((16, 5), (48, 3)):
        x = _relu(_convolve(x, width, kernel, initialization=initialization, pooled=True))
    x = _relu(_convolve(x, 96, initialization=initialization))
    x = layers.Add()([_convolve(x, 96, initialization=initialization), x])
    return layers.MaxPooling2D(2)(_relu(x))


def lenet_features(x: keras.KerasTensor):
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling: from 32x32 or more to (1, 1, 84)."""
    for width in (6, 16):
        x = layers.MaxPooling2D(2)(layers.Conv2D(width, 5, activation="relu")(x))
    x = layers.Conv2D(120, x.shape[1:3], activation="relu")(x)
    return layers.Conv2D(84, 1, activation="relu")(x)


def _convolve(x, width: int, kernel=3, strides=1, initialization=GLOROT, pooled=False):
    how = {"padding": "same", "use_bias": False, "kernel_initializer": initialization}
    x = layers.Conv2D(width, kernel, strides, **how)(x)
    if pooled:  # before normalizing: the same idea on a quarter of the numbers
        x = layers.MaxPooling2D(2)(x)
    # A momentum of .9 instead of .99: the runs here are a few hundred steps long.
    return FusedBatchNormalization(momentum=0.9)(x)


def _relu(x: keras.KerasTensor):
    return layers.Activation("relu")(x)
