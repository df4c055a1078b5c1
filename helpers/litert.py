"""Predicts with LiteRT and Pillow, without importing TensorFlow: a start of tenths of a second."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

from helpers.errors import WorkshopError
from helpers.manifest import LABELS_FILE, Labels
from helpers.quiet import standard_error_silenced

LITERT_FILE = "model.tflite"


def decode_picture(image_bytes: bytes, image_size: tuple[int, int]) -> np.ndarray:
    """Does what `helpers.pipeline.decode_picture` does, with Pillow and numpy.

    Args:
        image_bytes: a picture file.
        image_size: (height, width) in pixels.

    Returns:
        uint8 (height, width, 3), RGB, 0 to 255.

    Raises:
        WorkshopError: the bytes are no picture, or a broken one.
    """
    try:
        with Image.open(io.BytesIO(image_bytes)) as picture:
            return _resize(_load_reduced(picture, image_size), image_size)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise WorkshopError(
            f"expected a JPEG, PNG, BMP or GIF picture, found none that can be read ({error})."
        ) from error


def _load_reduced(picture: Image.Image, image_size: tuple[int, int]) -> np.ndarray:
    """Decodes at the smallest of the scales 1, 1/2, 1/4, 1/8 that covers `image_size`."""
    orientation = picture.getexif().get(0x0112, 1) if picture.format == "JPEG" else 1
    width, height = picture.size[::-1] if orientation >= 5 else picture.size
    times = min(height // image_size[0], width // image_size[1])
    reduction = max(step for step in (1, 2, 4, 8) if step <= max(times, 1))
    if picture.format == "JPEG":
        # draft() takes the smallest JPEG scale that is not below this size
        picture.draft("RGB", (picture.width // reduction, picture.height // reduction))
        picture = ImageOps.exif_transpose(picture)
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    if picture.format != "JPEG" and orientation == 1 and reduction > 1:
        pixels = _average(pixels, reduction)
    return pixels


def _average(pixels: np.ndarray, times: int) -> np.ndarray:
    height, width = pixels.shape[0] // times, pixels.shape[1] // times
    whole = pixels[: height * times, : width * times]
    return whole.reshape(height, times, width, times, 3).mean(axis=(1, 3))


def _resize(pixels: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Resizes bilinearly as `tf.image.resize` does: half-pixel centers, no antialiasing."""
    for axis, size in enumerate(image_size):
        place = (np.arange(size) + 0.5) * (pixels.shape[axis] / size) - 0.5
        low = np.floor(place)
        share = (place - low).astype(np.float32)
        last = pixels.shape[axis] - 1
        first, second = low.clip(0, last).astype(int), (low + 1).clip(0, last).astype(int)
        share = share[:, None, None] if axis == 0 else share[:, None]
        pixels = pixels.take(first, axis) * (1 - share) + pixels.take(second, axis) * share
    return np.round(pixels).astype(np.uint8)


class LiteRTPredictor:
    """Answers with the LiteRT export: the bytes of files in, probabilities out.

    Args:
        export_folder: what `helpers.serving.export_run` made.
        threads: cores to use.

    Raises:
        WorkshopError: there is no LiteRT export.
    """

    def __init__(self, export_folder: Path, threads: int = 2):
        path = Path(export_folder) / LITERT_FILE
        if not path.is_file():
            raise WorkshopError(
                f"expected an export with {LITERT_FILE} in {export_folder}, found none. Export the "
                "run with helpers.serving.export_run."
            )
        self.labels = Labels.read(path.parent / LABELS_FILE)
        with standard_error_silenced():  # a notice that a delegate was made
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        self._runner = self._interpreter.get_signature_runner("serving_default")
        shape = self._runner.get_input_details()["pixels"]["shape_signature"]
        self.image_size = (int(shape[1]), int(shape[2]))

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
