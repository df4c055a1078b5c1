"""Predicts with LiteRT and OpenCV, without importing TensorFlow: a start of tenths of a second."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from struct import error as StructError

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

from helpers.common import (
    LITERT_FILE,
    SAVED_MODEL,
    check_sums,
    expected,
    reading,
    standard_error_silenced,
)
from helpers.manifest import EXIF_ORIENTATION, EXIF_SIDEWAYS, LABELS_FILE, Labels, check_size

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PLAIN_BYTES = 2**17  # of a JPEG that may be decoded whole: a few megapixels at most
HEAD_BYTES = 4096  # of a JPEG, in which the markers are that need care
HOW = "with helpers.predict.export_run"
# What Pillow raises for a file that is no image, or a broken one, depending on where it notices.
_DAMAGED = (OSError, SyntaxError, ValueError, IndexError, EOFError, StructError)


def decode_image(image_bytes: bytes, image_size: tuple[int, int]) -> np.ndarray:
    """Decodes a file as `helpers.pipeline.decode_image` does: uint8 (height, width, 3), RGB.

    A file that is broken, or no image, raises a `WorkshopError`.
    """
    if (pixels := _decode_plain_jpeg(image_bytes, image_size)) is None:
        pixels = _decode_with_care(image_bytes, image_size)
    return fit_pixels(pixels, image_size)


def fit_pixels(pixels: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Resizes RGB pixels (any height, any width, 3) to uint8 (height, width, 3)."""
    # cv2's default is linear, with half-pixel centers and no antialiasing, as `tf.image.resize`
    resized = cv2.resize(pixels.astype(np.float32), image_size[::-1])
    return cv2.convertScaleAbs(resized)  # rounds to even, as np.round, in a tenth of its time


def reduction(shape: Sequence[int], image_size: tuple[int, int]) -> int:
    """Returns the largest of 1, 2, 4, 8 by which (height, width) still covers `image_size`."""
    times = min(shape[0] // image_size[0], shape[1] // image_size[1])
    return max(step for step in (1, 2, 4, 8) if step <= max(times, 1))


def _decode_plain_jpeg(image_bytes: bytes, image_size: tuple[int, int]) -> np.ndarray | None:
    """Decodes a small JPEG with OpenCV: the pixels that Pillow gives, in a fifth of the time.

    None for an image that needs care: cut off, with an orientation (Exif), perhaps CMYK (Adobe),
    or large enough to be decoded at a lower scale.
    """
    whole = image_bytes.startswith(JPEG_START) and image_bytes.endswith(JPEG_END)
    head = image_bytes[:HEAD_BYTES]
    if not whole or len(image_bytes) > PLAIN_BYTES or b"Exif" in head or b"Adobe" in head:
        return None
    pixels = cv2.imdecode(np.frombuffer(image_bytes, np.uint8), cv2.IMREAD_COLOR_RGB)
    return None if pixels is None or reduction(pixels.shape, image_size) > 1 else pixels


def _decode_with_care(image_bytes: bytes, image_size: tuple[int, int]) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(image_bytes)) as image:
            check_size(image)
            return _load_reduced(image, image_size)
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        text = re.sub(r" ?<_io.BytesIO object at \w+>", "", str(error))  # a name that helps nobody
        found = f"none that can be read ({text})"
        fix = "Restore the file, or leave it out."
        raise expected("a JPEG, PNG, BMP or GIF image", found, fix) from error


def _load_reduced(image: Image.Image, image_size: tuple[int, int]) -> np.ndarray:
    """Decodes at the smallest of the scales 1, 1/2, 1/4, 1/8 that covers `image_size`."""
    is_jpeg = image.format in ("JPEG", "MPO")  # MPO: a camera's JPEG with a second one behind it
    lying = is_jpeg and image.getexif().get(EXIF_ORIENTATION) in EXIF_SIDEWAYS
    times = reduction(image.size if lying else image.size[::-1], image_size)
    if is_jpeg:
        # draft() takes the smallest JPEG scale that is not below this size
        image.draft("RGB", (image.width // times, image.height // times))
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip at 255, not scale
        grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.float32)
        pixels = np.repeat(grey[..., None], 3, axis=2)
    else:
        pixels = np.asarray(image.convert("RGB"))
    return _average(pixels.astype(np.float32), times) if times > 1 else pixels


def _average(pixels: np.ndarray, times: int) -> np.ndarray:
    height, width = -(-pixels.shape[0] // times), -(-pixels.shape[1] // times)
    missing = ((0, height * times - pixels.shape[0]), (0, width * times - pixels.shape[1]), (0, 0))
    blocks = np.pad(pixels, missing, "symmetric").reshape(height, times, width, times, 3)
    return blocks.mean(axis=(1, 3))


def need_export(folder: Path, name: str) -> Path:
    """Returns the path of what an export holds; raises a `WorkshopError` where it does not."""
    path = Path(folder) / name
    if not path.exists():
        raise expected(f"an export with {name} in {folder}", "none", f"Export the run {HOW}.")
    check_sums(path.parent, name, f"Export the run anew {HOW}.")
    return path


def read_labels(folder: Path, heads: Mapping[str, int]) -> Labels:
    """Reads the labels of an export, which has outputs `heads`: task to number of classes."""
    path = folder / LABELS_FILE
    labels = Labels.read(path)
    others = [folder / SAVED_MODEL / "assets.extra" / LABELS_FILE]
    if (folder.parent / "run.json").is_file():
        others.append(folder.parent / LABELS_FILE)
    same = all(Labels.read(other).tasks == labels.tasks for other in others if other.is_file())
    if not same or heads != {task: len(classes) for task, classes in labels.tasks.items()}:
        what = "the tasks and classes of this export"
        raise expected(what, "others", f"Export the run anew {HOW}.", path)
    return labels


class LiteRTPredictor:
    """Predicts with the LiteRT export: the bytes of files in, probabilities out."""

    def __init__(self, export_folder: Path, threads: int = 2):
        path = need_export(export_folder, LITERT_FILE)
        self._folder = path.parent
        with reading(path, "a LiteRT model", f"Export the run anew {HOW}."):
            with standard_error_silenced():  # a notice that a delegate was made
                self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
            self._runner = self._interpreter.get_signature_runner("serving_default")
            shape = self._runner.get_input_details()["pixels"]["shape_signature"]
            self.image_size = (int(shape[1]), int(shape[2]))
            outputs = self._runner.get_output_details().items()
            heads = {task: int(details["shape_signature"][-1]) for task, details in outputs}
        self.labels = read_labels(path.parent, heads)

    def twin(self, threads: int) -> "LiteRTPredictor":
        """Returns another one of the same export: one thread may use each at a time."""
        return LiteRTPredictor(self._folder, threads)

    def predict_pixels(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Predicts uint8 (batch, height, width, 3): for each task float32 (batch, classes)."""
        answers = self._runner(pixels=pixels)
        return {task: answers[task] for task in self.labels.tasks}

    def predict_bytes(self, files: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Predicts a batch of image files, as `predict_pixels` does."""
        return self.predict_pixels(np.stack([decode_image(f, self.image_size) for f in files]))
