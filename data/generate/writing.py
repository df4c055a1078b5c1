"""What every generator needs: its numbers and its folder checked, its work done by processes."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from helpers.common import WorkshopError

Plan, Done = TypeVar("Plan"), TypeVar("Done")


def check_numbers(limits: Mapping[str, tuple[int, int]]) -> None:
    """Checks numbers from the command line.

    Args:
        limits: Name of the option to (what was given, the least that is allowed).

    Raises:
        WorkshopError: One of them is too small.
    """
    for name, (found, least) in limits.items():
        if found < least:
            raise WorkshopError(f"{name} must be {least} or more, but is {found}.")


def check_folder(out: Path) -> None:
    """Makes sure that `out` may be written, or replaced as a dataset of the same kind.

    Raises:
        WorkshopError: A file is in its way, or it holds something else.
    """
    for place in (out, *out.parents):
        if place.exists() and not place.is_dir():
            raise WorkshopError(f"{place} should be a folder, but is a file. Choose another --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / "labels.json").is_file():
        raise WorkshopError(
            f"{out} holds files, but not a generated dataset (no labels.json). It would be "
            "replaced: choose another --out, or empty the folder first."
        )


def map_in_order(
    work: Callable[[Plan], Done],
    plan: Sequence[Plan],
    workers: int,
    prepare: Callable[[], None] | None = None,
) -> Iterator[Done]:
    """Yields what `work` makes of each part of a plan, in order, done by `workers` processes.

    Args:
        work: What is done; it and its results can be sent to a process.
        plan: Its inputs.
        workers: Processes; with 1 all is done in this one.
        prepare: Done once before the processes start, so that they share it, and once in each.
    """
    if workers == 1:
        yield from map(work, plan)
        return
    if prepare:
        prepare()
    with multiprocessing.Pool(workers, initializer=prepare) as pool:
        yield from pool.imap(work, plan, chunksize=4)
