"""Predicts files, a batch on each core at a time, without TensorFlow."""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from helpers.common import CORES, WorkshopError
from helpers.manifest import Labels, images_in
from helpers.predict.litert import LiteRTPredictor, decode_image

BATCH = 32  # images predicted at once
AHEAD = CORES + 2  # batches on their way
Answer = dict[str, np.ndarray] | str  # task: float32 (classes,), or what is wrong with the file


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
