"""Compares each part with its peer or its limit, in the same minutes on the same machine.

    python -m benchmarks speed --manifest M [--out FOLDER] [--rounds N] [--only train]

Every round measures ours and then the other one, as the speed of a shared machine varies; the ratio
is the median over the rounds. Each side has a process of its own, whose peak memory is listed.
"""

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import measures
from benchmarks.command import markdown, publish, shared
from helpers.common import WorkshopError, artifacts_folder, progress_bar
from helpers.manifest import Manifest, read_manifest
from helpers.train import PUBLISHED, Recipe

VERSIONS_OF = (
    "tensorflow", "keras", "numpy", "pillow", "ai-edge-litert", "onnxruntime",
    "opencv-python-headless",
)  # fmt: skip
COLUMNS = ["what", "ours", "GB", "beside", "theirs", "their GB", "unit", "ratio"]
FOLDER_FILES = 10_000  # of a folder that is predicted
BATCH = 32  # images predicted at once


def compare(ours: measures.Measure, theirs: measures.Measure, rounds: int) -> tuple[float, ...]:
    """Measures both in turn: the median speed of each, and the median of the rounds' ratios."""
    pairs = np.array([(ours(), theirs()) for _ in range(rounds)])
    return *np.median(pairs, axis=0), float(np.median(pairs[:, 0] / pairs[:, 1]))


def pairs_of(training: Manifest, run: Path) -> Iterator[tuple]:
    """Yields what is measured: what, unit, ours with its arguments, beside, theirs likewise."""
    recipe, speed, paths = Recipe(), "images/s", training.paths
    size, plain, first = recipe.stages[0].image_size, recipe.to_json(), paths[: measures.MOST_FILES]
    bare = "decode_jpeg alone", (measures.bare_decoding, first)
    yield "read, decode, resize", speed, (measures.decoding, training, size), *bare
    yield "batches of an epoch, augmented", speed, (measures.batching, training, plain), *bare
    for beside, other, source in (
        ("one batch, repeated", recipe, "repeated"),
        ("Keras's batch normalization", recipe, "unfused"),
        ("a Sequence with OpenCV", recipe, "sequence"),
        ("the published recipe", PUBLISHED, "pipeline"),
    ):
        ours = (measures.training, training, plain, "pipeline")
        yield "train", speed, ours, beside, (measures.training, training, other.to_json(), source)

    def predicting(way: str, count: int = BATCH) -> tuple:
        return measures.predicting, run, first[:count], way, size

    peer, *ways = measures.WAYS
    for count, images in ((1, "1 image"), (BATCH, f"{BATCH} images")):
        for way in ways:
            ours, theirs = predicting(way, count), predicting(peer, count)
            yield f"{images}: {way}", speed, ours, peer, theirs
    spread = np.linspace(0, len(paths) - 1, min(len(paths), FOLDER_FILES)).astype(int)
    folder = (measures.folder, run, [paths[row] for row in spread])
    yield "a folder of files", speed, folder, "LiteRT, pixels", predicting("LiteRT, pixels")
    cold = (measures.cold, "-m", "helpers.predict", "--run", str(run), first[0])
    peer = (measures.cold, "-c", "import tensorflow")
    yield "first answer, cold", "s", cold, "import tensorflow", peer


def side_by_side(pairs: Sequence[tuple], start: Callable[..., Any]) -> Iterator[list]:
    """Yields the two measures of each of `pairs_of`, started with `start`, and warm."""
    running: dict[str, Any] = {}  # starting one costs seconds: kept while the next pair needs it
    for _, _, ours, _, theirs in pairs:
        wanted = {repr(side): side for side in (ours, theirs)}
        for key in running.keys() - wanted.keys():
            running.pop(key).close()
        new = [key for key in wanted if key not in running]
        with ThreadPoolExecutor(2) as together:
            running |= zip(new, together.map(lambda key: start(*wanted[key]), new))  # noqa: B023
        for key in new:
            running[key]()  # the first measurement does not count
        yield [running[key] for key in wanted]
    for side in running.values():
        side.close()


def run_bench(
    manifest: Manifest, rounds: int = 3, start: Callable = measures.Measured, only: str = ""
) -> pd.DataFrame:
    """Measures every part, or those with the text `only` in their name or in that of the peer."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        training = manifest.subset("train") if manifest.has_split else manifest
        every = list(pairs_of(training, run))
        pairs = [pair for pair in every if only in f"{pair[0]}, {pair[3]}"]
        if not pairs:
            names = ", ".join(dict.fromkeys(pair[0] for pair in every))
            raise WorkshopError(f"expected --only with a text of {names}; found {only!r}.")
        start(measures.exporting, manifest.labels, Recipe().stages[0].image_size, run).close()
        bar = progress_bar(iterable=pairs, unit="comparison")
        for sides, (what, unit, _, beside, _) in zip(side_by_side(pairs, start), bar):
            bar.set_description(what)
            speed, other, ratio = compare(*sides, rounds)
            rows.append((what, speed, sides[0].peak, beside, other, sides[1].peak, unit, ratio))
    return pd.DataFrame(rows, columns=COLUMNS)


def as_page(table: pd.DataFrame, images: int, minutes: float) -> str:
    """Returns a table as Markdown, with what it was measured with."""
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS_OF)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    page = f"# Speed\n\n{datetime.now(UTC):%Y-%m-%d}, {machine}, {versions}. "
    return f"{page}{images:,} images, {minutes:.1f} minutes.\n\n{markdown(table)}"


FLAGS = {
    **shared("manifest", "tasks", "out"),
    "--rounds": {"type": int, "default": 3, "help": "of each part (default 3)"},
    "--only": {"default": "", "help": "only the parts with this text, such as: train"},
}


def run(given) -> None:
    """Measures, and writes speed.md."""
    if given.rounds < 1:
        raise WorkshopError("expected --rounds of 1 or more.")
    manifest, start = read_manifest(given.manifest, tasks=given.tasks), time.monotonic()
    table = run_bench(manifest, given.rounds, only=given.only)
    page = as_page(table, len(manifest), (time.monotonic() - start) / 60)
    publish(page, (given.out or artifacts_folder("bench")) / "speed.md")
