"""Class-named folders of images: the folder is the class, all folders together are one task."""

import argparse
import logging
import re
from pathlib import Path

from data.sources.files import make_manifest, tell
from helpers.common import WorkshopError, expected
from helpers.manifest import GROUP, IMAGE, SPLIT, Manifest, images_in

DESCRIPTION = "class-named folders of images, optionally below train/, validation/ and test/"
SPLIT_FOLDERS = {"train": "train", "training": "train", "test": "test"}
SPLIT_FOLDERS |= dict.fromkeys(["validation", "valid", "val"], "validation")
logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this source."""
    parser.add_argument("--task", default="label", help="what the folders' names say (label)")
    parser.add_argument(
        "--group-pattern",
        help="regular expression on the file name; what it matches is the group: '^[0-9]+'",
    )


def read(root: Path, arguments: argparse.Namespace) -> Manifest:
    """Reads class-named folders.

    Raises:
        WorkshopError: No class folders, or a pattern that is invalid or does not match a file name.
    """
    pattern = _pattern(arguments.group_pattern)
    tops = _folders(root)
    splits = {top: SPLIT_FOLDERS.get(top.name.lower()) for top in tops}
    if tops and all(splits.values()):
        rows = [
            row | {SPLIT: splits[top]}
            for top in tops
            for row in _rows(top, arguments.task, pattern)
        ]
    else:
        rows = _rows(root, arguments.task, pattern)
    classes = sorted({row[arguments.task] for row in rows})
    if len(classes) < 2:
        what = "at least two folders of images, each named as its class"
        fix = "Point --root at the folder above the class folders."
        raise expected(what, classes or "none", fix, root)
    return make_manifest(rows, {arguments.task: classes}, root)


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _rows(folder: Path, task: str, pattern: re.Pattern | None) -> list[dict[str, str]]:
    tell(logger, f"images in {folder} itself, in no class, left out", images_in(folder))
    rows = []
    for class_folder in _folders(folder):
        for path in images_in(class_folder, deep=True):
            row = {IMAGE: str(path.absolute()), task: class_folder.name}
            rows.append(row | ({GROUP: _group(path, pattern)} if pattern else {}))
    return rows


def _pattern(text: str | None) -> re.Pattern | None:
    try:
        return re.compile(text) if text else None
    except re.error as error:
        where = f"--group-pattern {text!r}"
        fix = "Use for example '^[0-9]+'."
        raise expected("a regular expression", error, fix, where) from None


def _group(path: Path, pattern: re.Pattern) -> str:
    match = pattern.search(path.stem)
    if not match:
        raise WorkshopError(
            f"--group-pattern {pattern.pattern!r} matches nothing in {path.name}: expected a group "
            "in every file name. Correct the pattern."
        )
    # the same number in two class folders names two things: tracks, leaves, people
    return f"{path.parent.name}/{match.group(match.lastindex or 0)}"
