"""Everything that can be wrong with a manifest and its images, found all at once."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import write_text
from helpers.manifest.images import check_image, map_in_threads
from helpers.manifest.labels import GROUP, IMAGE, SPLIT, SPLIT_AGAIN, SPLITS
from helpers.manifest.problems import ManifestError, Problem, problems_table
from helpers.manifest.table import Manifest

# Kind of problem: what was expected, and what to do.
ERRORS = {
    "empty path": ("the path of an image", "Fill it, or delete the row."),
    "duplicate row": ("one row per image", "Delete one of the rows."),
    "split value": (f"one of {', '.join(SPLITS)}", SPLIT_AGAIN),
    "group on two sides": ("each group in one split, or the score flatters", SPLIT_AGAIN),
    "same image in two splits": ("each image in one split", "Delete one, or split by group again."),
    "fewer than two classes": ("at least two classes", "Add another, or drop it with --tasks."),
    "no classes": ("class names that repeat", "If it is no task, name the tasks with --tasks."),
}
WARNINGS = {
    "no labels": ("labels", "Fill some in, or drop the task with --tasks: it learns nothing."),
    "classes that look alike": ("one spelling per class", "Write both alike if they are one."),
    "a class with one example": ("two, better ten", "Add images, or merge it with another class."),
    "a class without examples": ("every class there", "Add images, split again, or drop it."),
}


def validate(
    manifest: Manifest,
    check_images: bool = True,
    progress: bool = True,
    report: Path | str | None = None,
    check_classes: bool = True,
) -> list[Problem]:
    """Returns the warnings; raises `ManifestError` with every problem, if one is an error.

    `report` is a CSV for all problems. `check_classes` also looks whether every class has examples;
    a part of a manifest need not have them.
    """
    problems = [*_bad_paths(manifest)]
    if check_images:
        problems += _bad_images(manifest, progress)
    if SPLIT in manifest.frame:
        problems += [*_bad_split_values(manifest), *_groups_on_two_sides(manifest)]
    problems += manifest.unknown_classes(manifest.tasks)
    for task in manifest.tasks if check_classes else ():
        problems += _task_problems(manifest, task)
    if report and problems:
        write_text(Path(report), problems_table(problems).to_csv(index=False))
    if errors := sum(problem.severity == "error" for problem in problems):
        count = f"{errors} problem{'s' if errors > 1 else ''}"
        where = f", all of them in {report}" if report else ""
        raise ManifestError(f"{manifest.name}: {count}{where}", problems)
    return problems


def check_split(manifest: Manifest, needed: Sequence[str] = ("train", "validation")) -> None:
    """Raises `WorkshopError` unless every row has a split and no group is in two."""
    for split in needed:
        manifest.subset(split)
    if problems := [*_bad_split_values(manifest), *_groups_on_two_sides(manifest)]:
        raise ManifestError(f"{manifest.name}: the split cannot be used", problems)


def _problem(kind: str, row: int | None, file: str, found: str) -> Problem:
    wanted, fix = ERRORS[kind] if kind in ERRORS else WARNINGS[kind]
    return Problem(row, file, found, wanted, fix, "error" if kind in ERRORS else "warning", kind)


def _in_row(manifest: Manifest, index: int, kind: str, found: str) -> Problem:
    return _problem(kind, manifest.row_number(index), manifest.frame[IMAGE][index], found)


def _in_column(task: str, kind: str, found: str) -> Problem:
    return _problem(kind, None, f"column {task}", found)


def _bad_paths(manifest: Manifest) -> Iterator[Problem]:
    # one image, one row: also where one row writes a/b.jpg and another ./a/b.jpg
    first: dict[Path, int] = {}
    for index, text in enumerate(manifest.frame[IMAGE]):
        row = manifest.row_number(index)
        if not text:
            yield _problem("empty path", row, f"column {IMAGE}", "an empty cell")
        elif (twin := first.setdefault(Path(text), index)) != index:
            found = f"the same image as in row {manifest.row_number(twin)}"
            yield _problem("duplicate row", row, text, found)


def _bad_images(manifest: Manifest, progress: bool) -> Iterator[Problem]:
    """Finds images that cannot be read, and equal ones in two splits."""
    named = np.flatnonzero(manifest.frame[IMAGE] != "")
    paths, names = manifest.paths, manifest.frame[IMAGE]
    splits = manifest.frame[SPLIT] if SPLIT in manifest.frame else [""] * len(manifest)
    bar = {"desc": "checking images", "disable": not progress}
    first: dict[bytes, int] = {}  # digest to the first row of that image
    for index, look in zip(named, map_in_threads(_look, [paths[i] for i in named], **bar)):
        if isinstance(look, Problem):
            yield replace(look, row=manifest.row_number(index), file=names[index])
        elif splits[index] and splits[twin := first.setdefault(look, index)] != splits[index]:
            where = f"row {manifest.row_number(twin)}, {names[twin]}, in {splits[twin]}"
            found = f"in {splits[index]} the same image as {where}"
            yield _in_row(manifest, index, "same image in two splits", found)


def _look(path: str) -> Problem | bytes:
    """Returns what is wrong with an image, or else the digest of its file."""
    return check_image(path) or hashlib.blake2b(Path(path).read_bytes()).digest()


def _bad_split_values(manifest: Manifest) -> Iterator[Problem]:
    values = manifest.frame[SPLIT]
    if (values == "").all():  # a column that nobody filled in is as good as none
        return
    for index in np.flatnonzero(~values.isin(SPLITS)):
        yield _in_row(manifest, index, "split value", f"split {values[index]!r}")


def _groups_on_two_sides(manifest: Manifest) -> Iterator[Problem]:
    if GROUP not in manifest.frame:
        return
    frame = pd.DataFrame({"group": manifest.groups, "split": manifest.frame[SPLIT]})
    frame = frame[frame["split"] != ""].drop_duplicates()
    frame = frame[frame["group"].duplicated(keep=False)]
    for group, rows in frame.groupby("group", sort=False):
        sides = [f"{row.split} (row {manifest.row_number(row.Index)})" for row in rows.itertuples()]
        found = f"group {group!r} in {' and '.join(sides)}"
        yield _in_row(manifest, rows.index[1], "group on two sides", found)


def _task_problems(manifest: Manifest, task: str) -> Iterator[Problem]:
    classes, names = manifest.labels.tasks[task], manifest.frame[task]
    names = names[names.isin([*classes, ""])]
    counts = names[names != ""].value_counts(sort=False)
    if len(classes) < 2 or len(counts) == 1:
        only = [*counts.index, *classes][:1]
        found = f"the class {only[0]!r} only" if only else "no class at all"
        yield _in_column(task, "fewer than two classes", found)
    elif counts.empty:
        yield _in_column(task, "no labels", "empty cells only")
    elif len(counts) > 2 and counts.max() == 1:
        found = f"{len(counts)} different values, none of them twice"
        yield _in_column(task, "no classes", found)
    else:
        yield from _look_alikes(task, list(counts.index))
        for index, name in names[names.isin(set(counts.index[counts == 1]))].items():
            found = f"the only example of {task} {name!r}"
            yield _in_row(manifest, index, "a class with one example", found)
        yield from _absent_classes(manifest, task)


def _look_alikes(task: str, classes: Sequence[str]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in classes:
        twin = first.setdefault(name.strip().casefold(), name)
        if twin != name:
            found = f"the classes {twin!r} and {name!r}"
            yield _in_column(task, "classes that look alike", found)


def _absent_classes(manifest: Manifest, task: str) -> Iterator[Problem]:
    """Finds classes without an example in train, or in the whole manifest where it is not split."""
    part = manifest.frame
    if manifest.has_split and (part[SPLIT] == "train").any():
        part = part[part[SPLIT] == "train"]
    where = "in train" if len(part) < len(manifest) else "in the manifest"
    present = set(part[task])
    for name in manifest.labels.tasks[task]:
        if name not in present:
            yield _in_column(task, "a class without examples", f"no example of {name!r} {where}")
