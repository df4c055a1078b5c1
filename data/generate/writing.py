"""What every generator needs: its options, its checks, and its drawing done by processes."""

import argparse
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from helpers.common import WorkshopError, number_flag, progress_bar, seed_flag

Plan, Done = TypeVar("Plan"), TypeVar("Done")


def options_parser(description: str, count: int, unit: str) -> argparse.ArgumentParser:
    """Returns a parser of the options that every generator has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--count", **number_flag(unit, 1, 99_999, count))
    parser.add_argument("--seed", **seed_flag("of everything drawn", 1))
    parser.add_argument("--workers", **number_flag("processes", 1, 64, 2))
    return parser


def check_numbers(limits: Mapping[str, tuple[int, ...]]) -> None:
    """Raises `WorkshopError` for a number of the command line that is too small or too large.

    `limits` is the name of the option to (what was given, the least[, the most]).
    """
    for name, (found, least, *most) in limits.items():
        if found < least or (most and found > most[0]):
            range_ = f"from {least} to {most[0]}" if most else f"{least} or more"
            raise WorkshopError(f"{name} must be {range_}, but is {found}.")


def listed_files(table: str, more: Sequence[str], columns: Sequence[str] | None = None):
    """Returns the `listed` of an `Output`: a table's images, and the files that are always there.

    Somebody's own dataset may have files of the same names, but other `columns`.
    """

    def read(folder: Path) -> list[str]:
        frame = pd.read_csv(folder / table, dtype=str)
        if columns and list(frame.columns) != list(columns):
            raise ValueError(f"{table} has the columns {', '.join(frame.columns)}")
        return [table, *more, *frame["image_path"]]

    return read


def draw_all(
    work: Callable[[Plan], Sequence[Done]],
    plan: Sequence[Plan],
    workers: int,
    prepare: Callable[[], None],
    **bar: Any,
) -> list[Done]:
    """Returns all that `work` makes of the parts of a plan, in order, done by `workers` processes.

    Args:
        work: What is done; it and its results can be sent to a process.
        plan: Its inputs.
        workers: Processes; with 1 all is done in this one.
        prepare: Done once in each process.
        bar: Options of the progress bar, which moves by what is made.
    """
    done = []
    with progress_bar(**bar) as progress:
        for part in _map_in_order(work, plan, workers, prepare):
            done.extend(part)
            progress.update(len(part))
    return done


def _map_in_order(
    work: Callable[[Plan], Done], plan: Sequence[Plan], workers: int, prepare: Callable[[], None]
) -> Iterator[Done]:
    if workers == 1:
        yield from map(work, plan)
        return
    # Spawned: a fork of a process whose BLAS or TensorFlow has threads may wait for ever.
    with multiprocessing.get_context("spawn").Pool(workers, initializer=prepare) as pool:
        yield from pool.imap(work, plan)
