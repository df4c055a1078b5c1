"""Reads a manifest CSV, with the `labels.json` beside it where there is one."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from helpers.common import expected
from helpers.manifest.cells import read_table
from helpers.manifest.labels import GROUP, IMAGE, LABELS_FILE, SPLIT, Labels
from helpers.manifest.problems import did_you_mean
from helpers.manifest.table import Manifest

# What people call the column of the images; no spelling distance leads from these to its name.
IMAGE_ALIASES = ("image", "img", "file", "filename", "file_name", "path", "picture", "filepath")
MAKE_ONE = "Check the path; python -m data.sources writes a manifest from a folder of images."
COLUMNS = f"the columns {IMAGE}, one per task, and optionally {GROUP} and {SPLIT}"


def read_manifest(
    path: Path | str,
    tasks: Sequence[str] | None = None,
    labels: Labels | None = None,
    check_classes: bool = True,
) -> Manifest:
    """Reads a manifest CSV with only these `tasks` (all where None), or raises `WorkshopError`.

    `labels`, such as those of a trained model, replace `labels.json`. Without `check_classes`,
    unknown class names pass here and `validate` reports them with everything else that is wrong.
    """
    path = Path(path)
    frame, lines = read_table(path, what="a manifest CSV", fix=MAKE_ONE)
    header = list(frame.columns)
    beside = path.parent / LABELS_FILE
    if labels is None and beside.is_file():
        labels = Labels.read(beside)
    _check_header(path, header, labels.tasks if labels else {})
    if frame.empty:
        fix = "Add lines, or write it anew with: python -m data.sources"
        raise expected("a line per image", "a manifest without images", fix, path)
    if labels is None:
        labels = _labels_of_columns(path, frame)
    if tasks is not None:
        labels = labels.select(tasks)
    manifest = Manifest(frame, labels, path.parent, path, lines)
    if check_classes:
        manifest.check_classes(manifest.tasks)
    return manifest


def _check_header(path: Path, header: list[str], tasks: Sequence[str]) -> None:
    for name in header:  # at 0.8 "groups" and "Split" are misspellings, "spirit" is a task
        near = difflib.get_close_matches(name.lower(), [IMAGE, GROUP, SPLIT], 1, 0.8)
        meant = IMAGE if name.lower() in IMAGE_ALIASES else "".join(near)
        if meant and meant not in header and name not in tasks:
            fix = f"Did you mean {meant!r}? Rename that column."
            raise expected(COLUMNS, repr(name), fix, path)
    if IMAGE not in header or "" in header:
        raise expected(f"{COLUMNS}, each with a name", header, "Correct the header.", path)
    for task in set(tasks) - set(header):
        wanted = f"a column for the task {task!r} of labels.json"
        fix = f"{did_you_mean(task, header)}Rename or add the column."
        raise expected(wanted, ", ".join(header), fix, path)


def _labels_of_columns(path: Path, frame: pd.DataFrame) -> Labels:
    tasks = [name for name in frame.columns if name not in (IMAGE, GROUP, SPLIT)]
    if not tasks:
        found, fix = f"only {', '.join(frame.columns)}", "Add a column whose cells are class names."
        raise expected("a column per task", found, fix, path)
    return Labels({task: tuple(sorted(set(frame[task]) - {""})) for task in tasks})
