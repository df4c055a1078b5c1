"""Predicts with LiteRT and OpenCV, without importing TensorFlow: a start of tenths of a second."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from struct import error as StructError

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

from helpers.common import LITERT_FILE, WorkshopError, standard_error_silenced
from helpers.manifest import LABELS_FILE, Labels, check_size

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PLAIN_BYTES = 2**17  # of a JPEG that may be decoded whole: a few megapixels at most
HEAD_BYTES = 4096  # in which a JPEG says that it takes care
# What Pillow raises for a file that is no picture, or a broken one, depending on where it notices.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    EOFError,
    StructError,
    Image.DecompressionBombError,
)


def decode_picture(image_bytes: bytes, image_size: tuple[int, int]) -> np.ndarray:
    """Does what `helpers.pipeline.decode_picture` does, with OpenCV and Pillow.

    Args:
        image_bytes: a picture file.
        image_size: (height, width) in pixels.

    Returns:
        uint8 (height, width, 3), RGB, 0 to 255.

    Raises:
        WorkshopError: the bytes are no picture, or a broken one.
    """
    pixels = _decode_plain_jpeg(image_bytes, image_size)
    if pixels is None:
        pixels = _decode_with_care(image_bytes, image_size)
    return fit_pixels(pixels, image_size)


def fit_pixels(pixels: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Stretches a decoded picture to the size of a network.

    Args:
        pixels: uint8 (any height, any width, 3).
        image_size: (height, width) in pixels.

    Returns:
        uint8 (height, width, 3).
    """
    # half-pixel centers and no antialiasing, as `tf.image.resize` does
    resized = cv2.resize(
        pixels.astype(np.float32), image_size[::-1], interpolation=cv2.INTER_LINEAR
    )
    return cv2.convertScaleAbs(resized)  # rounds to even, as np.round, in a tenth of its time


def _decode_plain_jpeg(image_bytes: bytes, image_size: tuple[int, int]) -> np.ndarray | None:
    """Decodes a small JPEG with OpenCV: the pixels that Pillow gives, in a fifth of the time.

    Returns:
        uint8 (height, width, 3), or None for a picture that takes care: cut off, with an
        orientation (Exif), perhaps CMYK (Adobe), or large enough to be decoded at a lower scale.
    """
    whole = image_bytes.startswith(JPEG_START) and image_bytes.endswith(JPEG_END)
    head = image_bytes[:HEAD_BYTES]
    if not whole or len(image_bytes) > PLAIN_BYTES or b"Exif" in head or b"Adobe" in head:
        return None
    pixels = cv2.imdecode(np.frombuffer(image_bytes, np.uint8), cv2.IMREAD_COLOR_RGB)
    if pixels is None or reduction(pixels.shape, image_size) > 1:
        return None
    return pixels


def _decode_with_care(image_bytes: bytes, image_size: tuple[int, int]) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(image_bytes)) as picture:
            check_size(picture)
            return _load_reduced(picture, image_size)
    except _DAMAGED as error:
        raise _unreadable(error) from error


def reduction(shape: Sequence[int], image_size: tuple[int, int]) -> int:
    """Returns the largest of 1, 2, 4, 8 by which (height, width) still covers `image_size`."""
    times = min(shape[0] // image_size[0], shape[1] // image_size[1])
    return max(step for step in (1, 2, 4, 8) if step <= max(times, 1))


def _unreadable(error: Exception) -> WorkshopError:
    text = re.sub(r" ?<_io.BytesIO object at \w+>", "", str(error))  # no name that helps anybody
    return WorkshopError(
        f"expected a JPEG, PNG, BMP or GIF picture, found none that can be read ({text}). "
        "Restore the file, or leave it out."
    )


def _load_reduced(picture: Image.Image, image_size: tuple[int, int]) -> np.ndarray:
    """Decodes at the smallest of the scales 1, 1/2, 1/4, 1/8 that covers `image_size`."""
    is_jpeg = picture.format in ("JPEG", "MPO")  # MPO: a camera's JPEG with a second one behind it
    lying = is_jpeg and picture.getexif().get(0x0112) in (5, 6, 7, 8)
    times = reduction(picture.size if lying else picture.size[::-1], image_size)
    if is_jpeg:
        # draft() takes the smallest JPEG scale that is not below this size
        picture.draft("RGB", (picture.width // times, picture.height // times))
        return _pixels(ImageOps.exif_transpose(picture))
    pixels = _pixels(picture)
    return _average(pixels, times) if times > 1 else pixels


def _pixels(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith("I"):  # 16-bit grey: Pillow would clip at 255, not scale
        grey = np.asarray(picture).astype(np.int64) >> 8
        return np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    return np.asarray(picture.convert("RGB"), dtype=np.float32)


def _average(pixels: np.ndarray, times: int) -> np.ndarray:
    height, width = -(-pixels.shape[0] // times), -(-pixels.shape[1] // times)
    missing = ((0, height * times - pixels.shape[0]), (0, width * times - pixels.shape[1]), (0, 0))
    blocks = np.pad(pixels, missing, "symmetric").reshape(height, times, width, times, 3)
    return blocks.mean(axis=(1, 3))


def _open(path: Path, threads: int) -> Interpreter:
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise WorkshopError(
            f"expected a LiteRT model, found another file at {path} ({error}). Export the run anew "
            "with helpers.predict.export_run."
        ) from error
    return interpreter


class LiteRTPredictor:
    """Answers with the LiteRT export: the bytes of files in, probabilities out.

    Args:
        export_folder: what `helpers.predict.export_run` made.
        threads: cores to use.

    Raises:
        WorkshopError: there is no LiteRT export.
    """

    def __init__(self, export_folder: Path, threads: int = 2):
        path = Path(export_folder) / LITERT_FILE
        if not path.is_file():
            raise WorkshopError(
                f"expected an export with {LITERT_FILE} in {export_folder}, found none. Export the "
                "run with helpers.predict.export_run."
            )
        self.labels, self._folder = Labels.read(path.parent / LABELS_FILE), Path(export_folder)
        with standard_error_silenced():  # a notice that a delegate was made
            self._interpreter = _open(path, threads)
        self._runner = self._interpreter.get_signature_runner("serving_default")
        shape = self._runner.get_input_details()["pixels"]["shape_signature"]
        self.image_size = (int(shape[1]), int(shape[2]))

    def twin(self, threads: int) -> "LiteRTPredictor":
        """Returns another one of the same export: one thread may use each at a time."""
        return LiteRTPredictor(self._folder, threads)

    def predict_pixels(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Predicts uint8 (batch, height, width, 3).

        Returns:
            For each task float32 (batch, classes), rows that sum to 1.
        """
        answers = self._runner(pixels=pixels)
        return {task: answers[task] for task in self.labels.tasks}

    def predict_bytes(self, files: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Predicts a batch of picture files, as `predict_pixels` does."""
        return self.predict_pixels(np.stack([decode_picture(f, self.image_size) for f in files]))
