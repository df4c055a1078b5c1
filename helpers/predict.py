"""Describes pictures with a run's export, with the probability of every class.

    python -m helpers.predict --run RUN IMAGE ... [--json]

It uses the LiteRT export and never imports TensorFlow, so the first answer comes at once.
"""

import argparse
import json
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from helpers.errors import WorkshopError, run_command
from helpers.litert import LiteRTPredictor, decode_picture
from helpers.manifest import Labels
from helpers.progress import progress_bar
from helpers.settings import CORES

BATCH = 32  # pictures predicted at once
AHEAD = CORES + 2  # batches on their way
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")


def find_pictures(names: list[str]) -> list[Path]:
    """Returns the named files, and for a folder every picture below it, sorted.

    Raises:
        WorkshopError: a name that is neither, or a folder without pictures.
    """
    paths: list[Path] = []
    for name in map(Path, names):
        if name.is_dir():
            found = sorted(p for p in name.rglob("*") if p.suffix.lower() in SUFFIXES)
            if not found:
                raise WorkshopError(f"expected pictures below {name}, found none.")
            paths += found
        elif name.is_file():
            paths.append(name)
        else:
            raise WorkshopError(f"expected a picture or a folder, found nothing at {name}.")
    return paths


def predict_files(
    predictor: LiteRTPredictor, paths: list[Path]
) -> Iterator[tuple[Path, dict[str, np.ndarray] | str]]:
    """Yields each path with a dict from task to float32 (classes,), or with what is wrong.

    A broken picture does not stop the others.
    """
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    mine = threading.local()

    def answer(batch: list[Path]) -> list[dict[str, np.ndarray] | str]:
        if not hasattr(mine, "predictor"):
            mine.predictor = predictor.twin(threads=1)
        return _predict(mine.predictor, [_read(path, predictor.image_size) for path in batch])

    # Each core reads, decodes and predicts batches of its own: nobody waits for anybody.
    with ThreadPoolExecutor(CORES) as pool:
        # Only a few batches are on their way, whatever the folder holds.
        ahead = deque(pool.submit(answer, batch) for batch in batches[:AHEAD])
        try:
            for number, batch in enumerate(batches):
                answers = ahead.popleft().result()
                if number + AHEAD < len(batches):
                    ahead.append(pool.submit(answer, batches[number + AHEAD]))
                yield from zip(batch, answers)
        finally:  # whoever stops early does not wait for what nobody wants any more
            pool.shutdown(wait=False, cancel_futures=True)


def _read(path: Path, image_size: tuple[int, int]) -> np.ndarray | str:
    try:
        return decode_picture(path.read_bytes(), image_size)
    except (WorkshopError, OSError) as error:
        return str(error)


def _predict(
    predictor: LiteRTPredictor, read: list[np.ndarray | str]
) -> list[dict[str, np.ndarray] | str]:
    pixels = [found for found in read if not isinstance(found, str)]
    answers = predictor.predict_pixels(np.stack(pixels)) if pixels else {}
    rows = ({task: values[row] for task, values in answers.items()} for row in range(len(pixels)))
    return [found if isinstance(found, str) else next(rows) for found in read]


def named(labels: Labels, answer: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Names the probabilities: {task: {class: probability}}, the most probable class first."""
    result = {}
    for task, values in answer.items():
        order = np.argsort(-values)
        classes = labels.tasks[task]
        result[task] = {classes[i]: round(float(values[i]), 4) for i in order}
    return result


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("helpers.predict", description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="the folder of the run")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a picture, or a folder")
    arguments = parser.parse_args()
    paths = find_pictures(arguments.images)
    predictor = LiteRTPredictor(Path(arguments.run) / "export")
    failed = 0
    predictions = predict_files(predictor, paths)
    seen = sys.stdout.isatty()  # the answers themselves then show how far it is
    bar = progress_bar(iterable=predictions, total=len(paths), unit="picture", disable=seen)
    for path, answer in bar:
        if isinstance(answer, str):
            failed += 1
            print(f"{path}: {answer}", file=sys.stderr)
        elif arguments.json:
            tasks = named(predictor.labels, answer)
            print(json.dumps({"image_path": str(path), **tasks}, ensure_ascii=False))
        else:
            print(_as_text(path, predictor.labels, named(predictor.labels, answer)))
    if failed:
        raise WorkshopError(f"{failed} of {len(paths)} files could not be read; see above.")


def _as_text(path: Path, labels: Labels, tasks: dict[str, dict[str, float]]) -> str:
    lines = [str(path)]
    for task, classes in tasks.items():
        shown = [f"{labels.display_name(task, c)} {p:.3f}" for c, p in list(classes.items())[:3]]
        lines.append(f"  {task:<14} {', '.join(shown)}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
