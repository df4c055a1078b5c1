"""Reads the weights of a PyTorch file without PyTorch, and runs nothing that it might name."""

import hashlib
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from helpers.common import expected

PICKLES = 5  # magic number, protocol, system, tensors, keys; then the bytes of each key
TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _StateDict(pickle.Unpickler):
    """Knows what a state dict needs: any other name in the file is refused, not imported."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        if module == "torch" and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name}, which has no place in a file of weights")

    def persistent_load(self, identity: tuple) -> tuple:
        _, kind, key, *_ = identity
        return key, kind


def read_state_dict(path: Path, digest: str) -> dict[str, np.ndarray]:
    """Reads arrays by name from a file as `torch.save` wrote it before PyTorch 1.6.

    Raises:
        WorkshopError: the file is not the one with this SHA-256 `digest`, or holds anything else.
    """
    content, what = path.read_bytes(), f"the published weights, SHA-256 {digest[:12]}..."
    fix = "Install its package again, or use --weights none."
    if (found := hashlib.sha256(content).hexdigest()) != digest:
        raise expected(what, f"another file, {found[:12]}...", fix, path)
    try:
        return _read(io.BytesIO(content))
    except (pickle.UnpicklingError, ValueError, KeyError, EOFError) as error:
        raise expected("a file of weights", f"{error}", fix, path) from error


def _read(file: io.BytesIO) -> dict[str, np.ndarray]:
    *_, tensors, keys = (_StateDict(file).load() for _ in range(PICKLES))
    types = dict(storage for storage, *_ in tensors.values())
    stored = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        stored[key] = np.frombuffer(file.read(count * types[key].itemsize), types[key])
    return {name: _array(stored[key], *rest) for name, ((key, _), *rest) in tensors.items()}


def _array(values: np.ndarray, offset: int, shape: tuple, strides: tuple) -> np.ndarray:
    """Returns a tensor: `strides` (in values) tell its axes, which need not lie in order."""
    if values[offset:].size <= sum((n - 1) * step for n, step in zip(shape, strides)):
        raise ValueError("a tensor beyond its own bytes")
    steps = [step * values.itemsize for step in strides]
    return as_strided(values[offset:], shape, steps).copy()
