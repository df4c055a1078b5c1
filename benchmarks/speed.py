"""Measures each part beside its peer or its limit, in the same minutes on the same machine.

    python -m benchmarks.speed --manifest M [--out FOLDER] [--rounds N] [--only train]
    python -m benchmarks.speed --manifest M --train-minutes N [--seeds 0,1,2]

Every round measures ours and then the other one, because a machine that others use is now fast and
now slow; the ratio is the median over the rounds. Each side lives in a process of its own, whose
peak of memory stands beside its speed. With --train-minutes networks are trained as well, and
scored on the validation split.
"""

import argparse
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import measures
from benchmarks.ablation import (
    DEFAULT,
    HELPED,
    KEPT,
    Length,
    markdown_table,
    recipe_of,
    train_once,
)
from benchmarks.processes import Measured
from helpers.common import WorkshopError, artifacts_folder, progress_bar, run_command, write_text
from helpers.train import PUBLISHED, Recipe

VERSIONS_OF = (
    "tensorflow", "keras", "numpy", "pillow", "ai-edge-litert", "onnxruntime",
    "opencv-python-headless",
)  # fmt: skip
COLUMNS = ["what", "ours", "GB", "beside", "theirs", "their GB", "unit", "ratio"]


def compare(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> tuple[float, float, float]:
    """Measures both in turn.

    Args:
        ours: returns a speed.
        theirs: likewise.
        rounds: how often each is measured.

    Returns:
        The median speed of each, and the median of ours by theirs over the rounds.
    """
    pairs = np.array([(ours(), theirs()) for _ in range(rounds)])
    return *np.median(pairs, axis=0), float(np.median(pairs[:, 0] / pairs[:, 1]))


def pairs_of(data: measures.Data, run: Path) -> Iterator[tuple]:
    """Yields what is measured: what, unit, ours with its arguments, beside, theirs likewise."""
    recipe = Recipe()
    size, files = recipe.stages[0].image_size, measures.files_of(data)
    speed = "pictures/s"
    ours = (measures.training, data, recipe.to_json(), "pipeline")
    yield (
        *("read, decode, resize", speed, (measures.decoding, data, size)),
        *("decode_jpeg alone", (measures.bare_decoding, data)),
    )
    yield (
        *("batches of an epoch, augmented", speed, (measures.batching, data, recipe.to_json())),
        *("decode_jpeg alone", (measures.bare_decoding, data)),
    )
    for beside, other in (
        ("one batch, repeated", (recipe, "repeated")),
        ("Keras's batch normalization", (recipe, "unfused")),
        ("a Sequence with OpenCV", (recipe, "sequence")),
        ("the published recipe", (PUBLISHED, "pipeline")),
    ):
        theirs = (measures.training, data, other[0].to_json(), other[1])
        yield "train", speed, ours, beside, theirs
    for count in (1, measures.BATCH):
        peer = (measures.predicting, run, files[:count], "model.predict")
        for way in list(measures.WAYS)[1:]:
            what = f"{count} picture{'s' * (count > 1)}: {way}"
            ours = (measures.predicting, run, files[:count], way)
            yield what, speed, ours, "model.predict", peer
    network = (measures.predicting, run, files[: measures.BATCH], "LiteRT, pixels")
    whole = measures.files_of_all_kinds(data)
    yield "a folder of files", speed, (measures.folder, run, whole), "LiteRT, pixels", network
    yield (
        *("first answer, cold", "s", (measures.cold_start, run, files[0])),
        *("import tensorflow", (measures.cold_import,)),
    )


class Sides:
    """The measures in progress: each starts when it is first compared and ends after the last time.

    Starting one costs seconds (a process, TensorFlow, a network), and one peer stands beside many.

    Args:
        pairs: of `pairs_of`.
        start: makes a measure that can be closed.
    """

    def __init__(self, pairs: Sequence[tuple], start: Callable[..., Any]):
        self._left = Counter(repr(side) for *_, ours, _, theirs in pairs for side in (ours, theirs))
        self._start, self._running = start, {}

    def of(self, *sides: tuple) -> list[Any]:
        """Returns the measures of `sides`, started and warm."""
        new = {repr(side): side for side in sides if repr(side) not in self._running}
        with ThreadPoolExecutor(max(1, len(new))) as together:
            self._running |= zip(new, together.map(lambda side: self._start(*side), new.values()))
        for key in new:
            self._running[key]()  # the first measurement does not count
        return [self._running[repr(side)] for side in sides]

    def release(self, *sides: tuple) -> list[float]:
        """Returns the peak memory of each in GB so far; ends those that are not needed again."""
        self._left.subtract(repr(side) for side in sides)
        over = [not self._left[repr(side)] for side in sides]
        return [
            self._running.pop(repr(side)).close() if ended else self._running[repr(side)].peak()
            for side, ended in zip(sides, over)
        ]


def run_bench(
    data: measures.Data, rounds: int = 3, start: Callable[..., Any] = Measured, only: str = ""
) -> pd.DataFrame:
    """Measures every part.

    Args:
        data: pictures and labels; the training split is used where there is one.
        rounds: measurements of each.
        start: makes a measure that can be closed; `Measured`, or something quicker in a test.
        only: the parts with this text in their name or in what stands beside them.

    Returns:
        A row for each comparison, with `COLUMNS`.

    Raises:
        WorkshopError: no part has that text.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        image_size = Recipe().stages[0].image_size
        pairs = [pair for pair in pairs_of(data, run) if only in f"{pair[0]}, {pair[3]}"]
        if not pairs:
            names = ", ".join(dict.fromkeys(pair[0] for pair in pairs_of(data, run)))
            raise WorkshopError(f"expected --only with a text of {names}; found {only!r}.")
        start(measures.exporting, data, image_size, run).close()
        sides = Sides(pairs, start)
        bar = progress_bar(iterable=pairs, unit="comparison")
        for what, unit, ours, beside, theirs in bar:
            bar.set_description(what)
            speed, other, ratio = compare(*sides.of(ours, theirs), rounds)
            peak, their_peak = sides.release(ours, theirs)
            row = (what, speed, peak, beside, other, their_peak, unit, ratio)
            rows.append(dict(zip(COLUMNS, row)))
    return pd.DataFrame(rows, columns=COLUMNS)


def run_training(data: measures.Data, minutes: float, seeds: Sequence[int]) -> pd.DataFrame:
    """Trains ours and its peers, and scores each on the whole validation split.

    Args:
        data: pictures, labels and split.
        minutes: for each network; the published recipe also gets its three epochs.
        seeds: ours is trained once with each, a peer with the first.

    Returns:
        A row for each training: recipe, seed, minutes, epochs, and a column for each task.
    """
    tasks = data.tasks or list(data.read().labels.tasks)
    by_clock = Length(minutes=minutes)
    plans = [("ours", recipe_of(DEFAULT, by_clock, seed), "pipeline", data) for seed in seeds]
    if data.tasks:  # the manifest's other tasks may help
        everything = data._replace(tasks=None)
        for seed in seeds:
            recipe = recipe_of(HELPED, by_clock, seed, tasks)
            plans.append((f"ours, {HELPED}", recipe, "pipeline", everything))
    first = recipe_of(DEFAULT, by_clock, seeds[0])
    stage = PUBLISHED.stages[0].replace(minutes=minutes)
    plans += [
        ("ours, from a Sequence with OpenCV", first, "sequence", data),
        ("published", PUBLISHED.replace(stages=(stage,)), "pipeline", data),
        ("published, 3 epochs", PUBLISHED, "pipeline", data),
    ]
    rows = []
    for name, recipe, source, trained_on in progress_bar(iterable=plans, unit="training"):
        row = train_once(trained_on, recipe, source)
        kept = {column: row[column] for column in (*KEPT, *tasks)}
        rows.append({"recipe": name, "seed": recipe.seed, **kept})
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def as_page(tables: Mapping[str, pd.DataFrame], pictures: int, minutes: float) -> str:
    """Returns tables as Markdown, with what they were measured with.

    Args:
        tables: heading to table; numbers are rounded for reading.
        pictures: of the manifest.
        minutes: that everything took.
    """
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS_OF)
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, {versions}. {pictures:,} pictures, "
        f"{minutes:.1f} minutes.",
    ]
    for heading, table in tables.items():
        shown = table.map(lambda v: _rounded(v) if isinstance(v, float) else str(v))
        lines += ["", f"## {heading}", "", markdown_table(shown).rstrip()]
    return "\n".join(["# Speed", "", *lines, ""])


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def mean_and_spread(runs: pd.DataFrame) -> pd.DataFrame:
    """Summarizes the trainings of each recipe: the mean over its seeds, and the spread.

    Args:
        runs: of `run_training`.

    Returns:
        A row for each recipe; numbers as "mean ± standard deviation" where there are two seeds
        or more.
    """
    rows = []
    for name, group in runs.groupby("recipe", sort=False):
        row = {"recipe": name, "seeds": str(len(group))}
        for column in group.columns.drop(["recipe", "seed"]):
            mean, spread = group[column].mean(), group[column].std()
            row[column] = f"{mean:.3f}" + (f" ± {spread:.3f}" if len(group) > 1 else "")
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("benchmarks.speed", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="the manifest CSV")
    add("--tasks", help="only these tasks, joined by a comma")
    add("--out", type=Path, help="folder of the page (default artifacts/full/bench)")
    add("--rounds", type=int, default=3, help="measurements of each (default 3); 0 for none")
    add("--only", default="", help="only the parts with this text in their row, such as: train")
    add("--train-minutes", type=float, default=0, help="also train each network for so long")
    add("--seeds", default="0,1,2", help="of those trainings (default 0,1,2)")
    arguments = parser.parse_args()
    if arguments.rounds < 0 or arguments.train_minutes < 0:
        raise WorkshopError("expected --rounds and --train-minutes of 0 or more.")
    if not all(seed.isdecimal() for seed in arguments.seeds.split(",")):
        raise WorkshopError(f"expected --seeds such as 0,1,2, found {arguments.seeds!r}.")
    data = measures.Data(arguments.manifest, arguments.tasks and arguments.tasks.split(","))
    pictures, start, tables = len(data.read()), time.monotonic(), {}
    if arguments.rounds:
        tables["Parts beside a peer or a limit"] = run_bench(
            data, arguments.rounds, only=arguments.only
        )
    if arguments.train_minutes:
        seeds = [int(seed) for seed in arguments.seeds.split(",")]
        runs = run_training(data, arguments.train_minutes, seeds)
        tables["Scores on validation"] = mean_and_spread(runs)
    page = as_page(tables, pictures, (time.monotonic() - start) / 60)
    folder = arguments.out or artifacts_folder("bench")
    write_text(folder / "speed.md", page)
    print(page)
    print(f"wrote {folder / 'speed.md'}")


if __name__ == "__main__":
    run_command(main)
