"""The exports answer as the trained model does, for every kind of image file."""

import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from PIL import Image

from helpers.common import WorkshopError
from helpers.manifest import Labels
from helpers.pipeline import decode_image
from helpers.predict import LiteRTPredictor, archive_folder, export_run, litert
from helpers.train import Run
from tests.conftest import IMAGE_SIZE
from tests.image_files import BROKEN, FILES, SCENE, encoded, turned
from tests.saved_model import SavedModelPredictor

NAMES = list(FILES)
TURNED = [turned(way, camera) for way in range(1, 9) for camera in (False, True)]
ALL = [*FILES.values(), *TURNED]
EXACT = 1e-5  # the same pixels
CLOSE = 1e-3  # pixels that may differ by one level


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Every file as the network saw it in training: uint8 (files, height, width, 3)."""
    return np.stack([decode_image(tf.constant(data), IMAGE_SIZE) for data in ALL])


@pytest.fixture(scope="module", params=["trained", "tuned"])
def run(request: pytest.FixtureRequest) -> Run:
    """From random weights, and from ImageNet's."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def expected(run: Run, pixels: np.ndarray) -> dict[str, np.ndarray]:
    return run.load_predictor().predict(pixels, verbose=0)


@pytest.fixture(scope="module")
def lite(run: Run) -> LiteRTPredictor:
    return LiteRTPredictor(run.export_folder)


def assert_alike(answers: dict, expected: dict, tolerance: float) -> None:
    assert set(answers) == set(expected)
    for task, values in expected.items():
        assert answers[task].dtype == np.float32
        assert np.abs(answers[task] - values).max() < tolerance, task
        assert np.allclose(answers[task].sum(axis=1), 1, atol=1e-5)


def test_the_images_are_told_apart(expected: dict[str, np.ndarray]) -> None:
    """Otherwise agreement would mean nothing."""
    assert max(values.std(axis=0).max() for values in expected.values()) > 20 * CLOSE


def test_the_saved_model_answers_files_as_the_model(run: Run, expected: dict) -> None:
    predictor = SavedModelPredictor(run.export_folder)
    assert_alike(predictor.predict_bytes(ALL), expected, EXACT)
    one = predictor.predict_bytes(ALL[:1])
    assert_alike(one, {task: values[:1] for task, values in expected.items()}, EXACT)
    with pytest.raises(WorkshopError, match="expected a whole image"):
        predictor.predict_bytes([ALL[0], BROKEN["text"]])


def test_litert_answers_files_as_the_model(lite: LiteRTPredictor, expected: dict) -> None:
    assert lite.image_size == IMAGE_SIZE
    assert_alike(lite.predict_bytes(ALL), expected, CLOSE)


def test_litert_answers_pixels_as_the_model(
    lite: LiteRTPredictor, pixels: np.ndarray, expected: dict
) -> None:
    assert_alike(lite.predict_pixels(pixels), expected, EXACT)
    for i in (0, 5):  # batches of other sizes, one after the other
        one = {task: values[i : i + 1] for task, values in expected.items()}
        assert_alike(lite.predict_pixels(pixels[i : i + 1]), one, EXACT)


def test_onnx_answers_pixels_as_the_model(run: Run, pixels: np.ndarray, expected: dict) -> None:
    session = onnxruntime.InferenceSession(run.export_folder / "model.onnx")
    (name,) = (node.name for node in session.get_inputs())
    outputs = [node.name for node in session.get_outputs()]
    answers = dict(zip(outputs, session.run(None, {name: pixels.astype(np.float32)})))
    assert_alike(answers, expected, EXACT)


def test_answers_come_in_the_order_of_the_labels(run: Run, lite: LiteRTPredictor) -> None:
    saved = SavedModelPredictor(run.export_folder)
    for predictor in (lite, saved):
        assert list(predictor.predict_bytes(ALL[:1])) == list(run.labels.tasks)
    extra = run.export_folder / "saved_model" / "assets.extra" / "labels.json"
    for path in (run.export_folder / "labels.json", extra):
        labels = Labels.read(path)
        assert labels == run.labels and list(labels.tasks) == list(run.labels.tasks)


# The same pixels without TensorFlow


@pytest.mark.parametrize("size", [IMAGE_SIZE, (80, 32), (200, 101)])
def test_decoding_without_tensorflow_is_the_same(size: tuple[int, int]) -> None:
    decode = tf.function(decode_image)
    for data in ALL:
        with_it = decode(tf.constant(data), size).numpy().astype(int)
        without = litert.decode_image(data, size)
        assert without.dtype == np.uint8 and np.abs(with_it - without).max() <= 1


@pytest.mark.parametrize("name", BROKEN)
def test_broken_bytes_are_told(name: str) -> None:
    with pytest.raises(WorkshopError, match="expected a whole image"):
        litert.decode_image(BROKEN[name], IMAGE_SIZE)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    from tests.test_images import png_bomb

    for size in ((20_000, 20_000), (10_000, 5_001)):
        with pytest.raises(WorkshopError, match="pixels"):
            litert.decode_image(png_bomb(*size), IMAGE_SIZE)


def test_tensorflow_is_not_imported_where_it_is_not_needed() -> None:
    modules = ("predict.litert", "predict.__main__", "train.__main__", "evaluate", "manifest")
    modules += ("scores", "train.recipe", "train.runs")
    modules += ("plots.figures", "cloud.script.__main__")
    imports = ", ".join(f"helpers.{module}" for module in modules)
    code = f"import sys, {imports}; print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


# The folder and the archive


def test_the_archive_is_what_tensorflow_serving_wants(trained: Run, tmp_path: Path) -> None:
    for name in ("model.tar.gz", "model"):
        path = archive_folder(trained.export_folder, tmp_path / name)
        assert path == tmp_path / "model.tar.gz"
        with tarfile.open(path) as archive:
            names = archive.getnames()
        assert {"1/saved_model.pb", "1/variables/variables.index"} <= set(names)
        assert all(name == "1" or name.startswith("1/") for name in names)
    assert [p.name for p in tmp_path.iterdir()] == ["model.tar.gz"]


def test_what_is_not_exported_is_told(trained: Run, tmp_path: Path) -> None:
    empty = Run(tmp_path, trained.labels, trained.recipe)
    for attempt in (
        lambda: LiteRTPredictor(tmp_path),
        lambda: SavedModelPredictor(tmp_path),
        lambda: archive_folder(empty.export_folder, tmp_path / "a.tar.gz"),
    ):
        with pytest.raises(WorkshopError, match="Export the run"):
            attempt()
    with pytest.raises(WorkshopError, match=r"found no|found none"):
        export_run(empty)
    with pytest.raises(WorkshopError, match=r"found \['tflite'\]"):
        export_run(trained, ["tflite"])
    assert not list(tmp_path.iterdir())


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
    trained: Run, lite: LiteRTPredictor
) -> None:
    large = encoded(Image.new("1", (8000, 8000)), "PNG")
    for predictor in (lite, SavedModelPredictor(trained.export_folder)):
        with pytest.raises(WorkshopError, match="at most 50 million pixels, found 8000 x 8000"):
            predictor.predict_bytes([FILES[NAMES[0]], large])
    with pytest.raises(WorkshopError, match="found 14000 x 14000 pixels"):
        SavedModelPredictor(trained.export_folder).predict_bytes(
            [encoded(Image.new("1", (14_000, 14_000)), "PNG")]
        )


def test_an_image_larger_than_the_network_or_smaller(lite: LiteRTPredictor) -> None:
    files = [encoded(SCENE.resize(size), "PNG") for size in ((1, 1), (3, 500), (900, 2))]
    assert lite.predict_bytes(files)["gender"].shape == (3, 2)
