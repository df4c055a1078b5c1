"""Predicts with LiteRT and OpenCV, without importing TensorFlow: a start of tenths of a second."""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from helpers.common import (
    CORES,
    LITERT_FILE,
    SAVED_MODEL,
    WorkshopError,
    check_sums,
    expected,
    reading,
    standard_error_silenced,
)
from helpers.manifest import LABELS_FILE, Labels, decode, images_in, open_image

HOW = "with helpers.predict.export_run"
BATCH = 32  # images predicted at once
AHEAD = CORES + 2  # batches on their way
Answer = dict[str, np.ndarray] | str  # task: float32 (classes,), or what is wrong with the file


def decode_image(image: Path | bytes, image_size: tuple[int, int]) -> np.ndarray:
    """Decodes a file as `helpers.pipeline` does: uint8 RGB (height, width, 3), or WorkshopError."""
    header, data = open_image(image)
    times = reduction((header.height, header.width), image_size)
    pixels = decode(header, data, times)
    if header.kind != "JPEG" and times > 1:
        below, right = -pixels.shape[0] % times, -pixels.shape[1] % times
        pixels = pixels.astype(np.float32)
        pixels = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REFLECT)
        pixels = cv2.resize(pixels, None, fx=1 / times, fy=1 / times, interpolation=cv2.INTER_AREA)
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


def find_images(names: list[str]) -> list[Path]:
    """Returns the named files, and of a folder the images below it, sorted; raises for none."""
    paths: list[Path] = []
    for name in map(Path, names):
        if name.is_dir():
            if not (found := images_in(name, deep=True)):
                raise WorkshopError(f"expected images below {name}, found none.")
            paths += found
        elif name.exists():
            paths.append(name)
        else:
            raise WorkshopError(f"expected an image or a folder, found nothing at {name}.")
    return paths


def predict_files(predictor: LiteRTPredictor, paths: list[Path]) -> Iterator[tuple[Path, Answer]]:
    """Yields each path with its prediction; a broken image does not stop the others."""
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    mine = threading.local()

    def answer(batch: list[Path]) -> list[Answer]:
        if not hasattr(mine, "predictor"):
            mine.predictor = predictor.twin(threads=1)
        return _predict(mine.predictor, [_read(path, predictor.image_size) for path in batch])

    # Each core reads, decodes and predicts batches of its own, independently.
    with ThreadPoolExecutor(CORES) as pool:
        # Only a few batches are on their way, whatever the folder holds.
        ahead = deque(pool.submit(answer, batch) for batch in batches[:AHEAD])
        try:
            for number, batch in enumerate(batches):
                answers = ahead.popleft().result()
                if number + AHEAD < len(batches):
                    ahead.append(pool.submit(answer, batches[number + AHEAD]))
                yield from zip(batch, answers)
        finally:  # a caller that stops early does not wait for the rest
            pool.shutdown(wait=False, cancel_futures=True)


def _read(path: Path, image_size: tuple[int, int]) -> np.ndarray | str:
    try:
        return decode_image(path, image_size)
    except WorkshopError as error:
        return str(error)


def _predict(predictor: LiteRTPredictor, read: list[np.ndarray | str]) -> list[Answer]:
    pixels = [found for found in read if not isinstance(found, str)]
    answers = predictor.predict_pixels(np.stack(pixels)) if pixels else {}
    rows = ({task: values[row] for task, values in answers.items()} for row in range(len(pixels)))
    return [found if isinstance(found, str) else next(rows) for found in read]


def named(labels: Labels, answer: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Names the probabilities: {task: {class: probability}}, the most probable class first."""
    return {
        task: {labels.tasks[task][i]: round(float(values[i]), 4) for i in np.argsort(-values)}
        for task, values in answer.items()
    }
