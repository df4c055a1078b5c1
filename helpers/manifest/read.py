"""Reads a manifest CSV, with the `labels.json` beside it where there is one."""

import csv
import difflib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import WorkshopError, expected
from helpers.manifest.labels import GROUP, IMAGE, LABELS_FILE, SPLIT, Labels
from helpers.manifest.problems import did_you_mean
from helpers.manifest.table import Manifest

# What people call the column of the images; no spelling distance leads from these to its name.
IMAGE_ALIASES = ("image", "img", "file", "filename", "file_name", "path", "picture", "filepath")
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
    header, rows, lines = _read_csv(path)
    beside = path.parent / LABELS_FILE
    if labels is None and beside.is_file():
        labels = Labels.read(beside)
    _check_names(path, header)
    _check_tasks(path, header, labels.tasks if labels else {})
    if not rows:
        what, found = "one line per image below the header", "a manifest without images"
        raise expected(
            what, found, "Add lines, or write it anew with: python -m data.sources", path
        )
    frame = pd.DataFrame(rows, columns=header, dtype=str)
    if labels is None:
        labels = _labels_of_columns(path, frame)
    if tasks is not None:
        labels = labels.select(tasks)
    manifest = Manifest(frame, labels, path.parent, path, np.asarray(lines))
    if check_classes:
        manifest.check_classes(manifest.tasks)
    return manifest


def _read_csv(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Returns header, rows and the line number of each row; blank lines are no rows."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            found = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except FileNotFoundError:
        fix = "Check the path; python -m data.sources writes a manifest from a folder of images."
        raise expected("a manifest CSV", "no such file", fix, path) from None
    except IsADirectoryError:
        fix = "Name the CSV in it, or write one with: python -m data.sources"
        raise expected("a manifest CSV", "a folder", fix, path) from None
    except (UnicodeDecodeError, csv.Error) as error:
        fix = "Save it as 'CSV UTF-8' in your spreadsheet."
        raise expected("a CSV in UTF-8", f"something else ({error})", fix, path) from None
    if not found:
        raise expected("a header and lines", "an empty file", "Fill it.", path)
    lines, rows = map(list, zip(*found))
    for row, line in zip(rows, lines):
        if len(row) != len(rows[0]):
            wanted, where = f"{len(rows[0])} cells as in the header", f"{path}, row {line}"
            raise expected(wanted, len(row), "Put quotes round cells that hold a comma.", where)
    return [name.strip() for name in rows[0]], rows[1:], lines[1:]


def _check_names(path: Path, header: list[str]) -> None:
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise WorkshopError(f"{path}: expected commas between columns, found {header[0]!r}.")
    if len(set(header)) != len(header) or "" in header:
        raise WorkshopError(
            f"{path}: expected {COLUMNS}, each once and with a name; found {header}."
        )
    if IMAGE not in header:
        alias = [name for name in header if name.lower() in IMAGE_ALIASES]
        near = difflib.get_close_matches(IMAGE, [name.lower() for name in header], 1, 0.6)
        guess = next((n for n in header if n.lower() in near), alias[0] if alias else None)
        hint = f" Did you mean {IMAGE!r} for {guess!r}? Rename that column." if guess else ""
        raise WorkshopError(f"{path}: expected {COLUMNS}; found {', '.join(header)}.{hint}")


def _check_tasks(path: Path, header: list[str], tasks: Sequence[str]) -> None:
    for name in header:  # at 0.8 "groups" and "Split" are misspellings, "spirit" is a task
        meant = difflib.get_close_matches(name.lower(), [IMAGE, GROUP, SPLIT], 1, 0.8)
        if name not in tasks and meant and meant[0] not in header:
            raise WorkshopError(
                f"{path}: expected {COLUMNS}; found {name!r}. Did you mean {meant[0]!r}? Rename it."
            )
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
