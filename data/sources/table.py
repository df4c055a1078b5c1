"""A plain CSV with an image per line: the columns that it has, under the names that we use."""

import argparse
import logging
from pathlib import Path

import pandas as pd

from data.sources.files import is_file, make_manifest, tell
from helpers.common import expected, read_table
from helpers.manifest import (
    GROUP,
    IMAGE,
    IMAGE_ALIASES,
    SPLIT,
    Manifest,
    did_you_mean,
    first_few,
    printable,
)

DESCRIPTION = "a CSV with an image per line, in any column"
logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this source."""
    parser.add_argument("--csv", help="the CSV, relative to --root (the only one there)")
    parser.add_argument("--image-column", help="the column of the images (image_path, file ...)")
    parser.add_argument("--group-column", help="what must not be split: person, track (group)")
    parser.add_argument("--tasks", help="the columns that are tasks, with commas (all others)")


def read(root: Path, arguments: argparse.Namespace) -> Manifest:
    """Reads a plain CSV. A row whose image is missing stays and is reported.

    Raises:
        WorkshopError: No CSV or several, or a column that is not there.
    """
    path = find_csv(root, arguments.csv)
    frame, _ = read_table(path)
    # the numbers that pandas writes before the first column have no name
    frame.columns = [name or f"Unnamed: {number}" for number, name in enumerate(frame.columns)]
    image = _column(path, frame, arguments.image_column, (IMAGE, *IMAGE_ALIASES), "image")
    frame = _renamed(path, frame, image, IMAGE)
    if arguments.group_column or GROUP in frame:
        group = _column(path, frame, arguments.group_column, (GROUP,), "group")
        frame = _renamed(path, frame, group, GROUP)
    tasks = [name for name in frame.columns if name not in (IMAGE, GROUP, SPLIT)]
    if arguments.tasks:
        tasks = [_column(path, frame, task, (), "task") for task in arguments.tasks.split(",")]
    missing = [name for name in frame[IMAGE] if not is_file(root / name)]
    tell(logger, f"images that are not below {root}", missing)
    classes = {task: sorted(set(frame[task]) - {""}) for task in tasks}
    return make_manifest(frame.to_dict("records"), classes, root)


def find_csv(root: Path, name: str | None) -> Path:
    """Returns the CSV of that name below `root`, or the only one there."""
    found = [root / name] if name else sorted(root.glob("*.csv"))
    if len(found) != 1 or not is_file(found[0]):
        there = printable(first_few(path.name for path in root.glob("*.csv")))
        raise expected(name or "one CSV", there or "none", "Name it with --csv.", root)
    return found[0]


def _renamed(path: Path, frame: pd.DataFrame, old: str, new: str) -> pd.DataFrame:
    if old != new and new in frame:
        found = f"also a column {new!r}"
        raise expected(f"one column for {new!r}, {old!r}", found, "Rename that column.", path)
    return frame.rename(columns={old: new})


def _column(path: Path, frame: pd.DataFrame, name: str | None, usual: tuple, what: str) -> str:
    near = [column for column in frame.columns if column.lower() in usual]
    wanted = [name] if name else sorted(near, key=lambda column: column not in usual[:1])
    if not wanted or wanted[0] not in frame:
        fix = f"{did_you_mean(name, frame.columns) if name else ''}Name the right one."
        column = f"the {what} column {name or usual[0]!r}"
        raise expected(column, ", ".join(frame.columns), fix, path)
    return wanted[0]
