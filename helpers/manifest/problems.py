"""Everything that can be wrong with a manifest, found all at once and told file by file."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from helpers.common import WorkshopError
from helpers.manifest.labels import GROUP, IMAGE, SPLIT, did_you_mean
from helpers.manifest.pictures import THREADS, check_pictures

if TYPE_CHECKING:
    from helpers.manifest.table import Manifest

SPLITS = ("train", "validation", "test")
SHOWN = 20  # problems that a message lists in full: one screen
SPLIT_AGAIN = (
    "Split again: python -m helpers.manifest MANIFEST --split 0.7,0.15,0.15 --out split.csv"
)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a manifest, where it is, and what to do about it."""

    row: int | None  # the line of the CSV as an editor counts it (the header is line 1)
    file: str  # the picture, or the column, that it is about; may be empty
    found: str
    expected: str
    fix: str
    severity: str = "error"  # or "warning": it runs, but look at it
    kind: str = "manifest"  # what problems are counted by

    def __str__(self) -> str:
        where = ", ".join(filter(None, [f"row {self.row}" if self.row else "", self.file]))
        text = f"found {self.found}; expected {self.expected}. {self.fix}"
        return f"{where}: {text}" if where else text


class ManifestError(WorkshopError):
    """A manifest that cannot be used, with everything that is wrong with it in `problems`."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()):
        super().__init__(message)
        self.problems = list(problems)


def describe(problems: Sequence[Problem], shown: int = SHOWN) -> str:
    """Returns problems grouped by kind, each kind with its count and its first few."""
    kinds = Counter((problem.severity, problem.kind) for problem in problems)
    each = max(2, shown // max(1, len(kinds)))
    lines = []
    for (severity, kind), count in sorted(kinds.items()):
        some = [p for p in problems if (p.severity, p.kind) == (severity, kind)]
        some = some if len(problems) <= shown else some[:each]
        lines.append(f"{severity}, {kind} ({count}):")
        lines += [f"  {problem}" for problem in some]
        lines += [f"  ... and {count - len(some)} more"] if count > len(some) else []
    return "\n".join(lines)


def problems_table(problems: Sequence[Problem]) -> pd.DataFrame:
    """Returns one row per problem, with the fields of `Problem` as columns."""
    columns = ["severity", "kind", "row", "file", "found", "expected", "fix"]
    table = pd.DataFrame([[getattr(p, name) for name in columns] for p in problems])
    return table.set_axis(columns, axis=1).astype({"row": "Int64"}) if problems else table


def find_problems(
    manifest: "Manifest",
    check_pictures: bool = True,
    progress: bool = True,
    check_classes: bool = True,
) -> list[Problem]:
    """Finds everything that is wrong with a manifest.

    Args:
        manifest: What to check.
        check_pictures: Also open and decode every picture: about 2,000 a second on two cores.
        progress: Show a bar while pictures are opened.
        check_classes: Also look whether every class has examples; not in a part of a manifest.

    Returns:
        Errors and warnings, in the order: rows, pictures, split, tasks.
    """
    problems = [*_empty_paths(manifest), *_duplicate_rows(manifest)]
    if check_pictures:
        problems += _bad_pictures(manifest, progress)
    if SPLIT in manifest.frame:
        problems += split_problems(manifest)
    if check_pictures and SPLIT in manifest.frame:
        problems += _same_content(manifest)
    problems += unknown_classes(manifest, manifest.tasks)
    for task in manifest.tasks if check_classes else ():
        problems += _task_problems(manifest, task)
    return problems


def split_problems(manifest: "Manifest") -> list[Problem]:
    """Finds rows without a known split, and groups on two sides. Needs a column `split`."""
    return [*_bad_split_values(manifest), *_groups_on_two_sides(manifest)]


def _empty_paths(manifest: "Manifest") -> Iterator[Problem]:
    for index in np.flatnonzero(manifest.frame[IMAGE] == ""):
        yield Problem(
            manifest.row_number(index),
            f"column {IMAGE}",
            "an empty cell",
            "the path of a picture",
            "Fill it, or delete the row.",
            kind="empty path",
        )


def _duplicate_rows(manifest: "Manifest") -> Iterator[Problem]:
    # one picture, one row: also where one row writes a/b.jpg and another ./a/b.jpg
    paths = manifest.frame[IMAGE].map(lambda text: str(Path(text)) if text else "")
    again = (paths.duplicated() & (paths != "")).to_numpy()
    first = {path: index for index, path in reversed(list(enumerate(paths)))} if again.any() else {}
    for index in np.flatnonzero(again):
        yield Problem(
            manifest.row_number(index),
            manifest.frame[IMAGE][index],
            f"the same picture as in row {manifest.row_number(first[paths[index]])}",
            "one row per picture",
            "Delete one of the rows.",
            kind="duplicate row",
        )


def _bad_pictures(manifest: "Manifest", progress: bool) -> Iterator[Problem]:
    known = np.flatnonzero(manifest.frame[IMAGE] != "")
    paths = manifest.paths
    findings = check_pictures([paths[index] for index in known], progress)
    for index, finding in zip(known, findings):
        if finding:
            yield Problem(
                manifest.row_number(index),
                manifest.frame[IMAGE][index],
                finding.found,
                finding.expected,
                finding.fix,
                kind=finding.kind,
            )


def _bad_split_values(manifest: "Manifest") -> Iterator[Problem]:
    values = manifest.frame[SPLIT]
    if (values == "").all():  # a column that nobody filled in is as good as none
        return
    for index in np.flatnonzero(~values.isin(SPLITS)):
        yield Problem(
            manifest.row_number(index),
            manifest.frame[IMAGE][index],
            f"split {values[index]!r}",
            f"one of {', '.join(SPLITS)}",
            SPLIT_AGAIN,
            kind="split value",
        )


def _groups_on_two_sides(manifest: "Manifest") -> Iterator[Problem]:
    if GROUP not in manifest.frame:
        return
    frame = pd.DataFrame({"group": manifest.groups, "split": manifest.frame[SPLIT]})
    frame = frame[frame["split"] != ""].drop_duplicates()
    frame = frame[frame["group"].duplicated(keep=False)]
    for group, rows in frame.groupby("group", sort=False):
        sides = [f"{row.split} (row {manifest.row_number(row.Index)})" for row in rows.itertuples()]
        yield Problem(
            manifest.row_number(rows.index[1]),
            manifest.frame[IMAGE][rows.index[1]],
            f"group {group!r} in {' and '.join(sides)}",
            "each group in one split, or the score flatters",
            SPLIT_AGAIN,
            kind="group on two sides",
        )


def _same_content(manifest: "Manifest") -> Iterator[Problem]:
    """Finds equal files in two splits; only files of equal size are read."""
    paths = manifest.paths
    frame = pd.DataFrame({"split": manifest.frame[SPLIT], "size": [_size(p) for p in paths]})
    frame = frame[(frame["size"] > 0) & (frame["split"] != "")]
    frame = frame[frame.groupby("size")["split"].transform("nunique") > 1]
    with ThreadPoolExecutor(THREADS) as pool:
        frame["digest"] = list(pool.map(_digest, [paths[index] for index in frame.index]))
    for _, twins in frame.groupby("digest", sort=False):
        if twins["split"].nunique() > 1:
            first, *others = twins.index
            for other in others:
                if twins["split"][other] != twins["split"][first]:
                    yield _twin_problem(manifest, first, other)


def _twin_problem(manifest: "Manifest", first: int, other: int) -> Problem:
    image, split = manifest.frame[IMAGE], manifest.frame[SPLIT]
    return Problem(
        manifest.row_number(other),
        image[other],
        f"in {split[other]} the same picture as row {manifest.row_number(first)}, {image[first]}, "
        f"in {split[first]}",
        "every picture in one split",
        "Delete one, or give both the same group and split again.",
        kind="same picture in two splits",
    )


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1  # told as a missing file


def _digest(path: str) -> str:
    try:
        return hashlib.blake2b(Path(path).read_bytes()).hexdigest()
    except OSError:
        return path


def unknown_classes(manifest: "Manifest", tasks: Sequence[str]) -> list[Problem]:
    """Finds class names that the labels do not know: each name once, with its first row."""
    problems = []
    for task in tasks:
        classes, names = manifest.labels.tasks[task], manifest.frame[task]
        unknown = names[~names.isin([*classes, ""])]
        for name, count in unknown.value_counts(sort=False).items():
            first = int(np.flatnonzero(names == name)[0])
            problems.append(
                Problem(
                    manifest.row_number(first),
                    f"column {task}",
                    f"{name!r} ({count} row{'s' if count > 1 else ''}, this one first)",
                    f"one of {', '.join(classes)}, or empty",
                    f"{did_you_mean(name, classes)}Correct it, or add it to labels.json.",
                    kind="unknown class",
                )
            )
    return problems


def _task_problems(manifest: "Manifest", task: str) -> list[Problem]:
    classes, names = manifest.labels.tasks[task], manifest.frame[task]
    names = names[names.isin([*classes, ""])]
    counts = names[names != ""].value_counts(sort=False)
    if len(classes) < 2 or len(counts) == 1:
        return [_one_class(task, list(counts.index) or list(classes))]
    if counts.empty:
        return [_no_labels(task)]
    if len(counts) > 2 and counts.max() == 1:
        return [_not_a_task(task, len(counts))]
    return [
        *_look_alikes(task, list(counts.index)),
        *_single_examples(manifest, task, counts),
        *_absent_classes(manifest, task),
    ]


def _one_class(task: str, classes: Sequence[str]) -> Problem:
    found = f"the class {classes[0]!r} only" if classes else "no class at all"
    fix = "Add pictures of another class, or leave the task out with --tasks."
    return Problem(
        None, f"column {task}", found, "at least two classes", fix, kind="fewer than two classes"
    )


def _no_labels(task: str) -> Problem:
    fix = "Fill in labels, or leave the task out with --tasks: its head learns nothing."
    return Problem(
        None, f"column {task}", "empty cells only", "labels", fix, "warning", "no labels"
    )


def _not_a_task(task: str, count: int) -> Problem:
    return Problem(
        None,
        f"column {task}",
        f"{count} different values, none of them twice",
        "class names that repeat",
        "If it is information and no task, name the tasks with --tasks or in labels.json.",
        kind="no classes",
    )


def _look_alikes(task: str, classes: Sequence[str]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for name in classes:
        twin = first.setdefault(name.strip().casefold(), name)
        if twin != name:
            yield Problem(
                None,
                f"column {task}",
                f"the classes {twin!r} and {name!r}",
                "one spelling per class",
                "Write both in the same way, unless they are two classes.",
                "warning",
                "classes that look alike",
            )


def _single_examples(manifest: "Manifest", task: str, counts: pd.Series) -> Iterator[Problem]:
    for name in counts.index[counts == 1]:
        index = int(np.flatnonzero(manifest.frame[task] == name)[0])
        yield Problem(
            manifest.row_number(index),
            manifest.frame[IMAGE][index],
            f"the only example of {task} {name!r}",
            "at least two, better ten",
            "Add pictures, or merge it with another class.",
            "warning",
            "a class with one example",
        )


def _absent_classes(manifest: "Manifest", task: str) -> Iterator[Problem]:
    """Finds classes without an example in train, or in the whole manifest where it is not split."""
    part = manifest.frame
    if manifest.has_split and (part[SPLIT] == "train").any():
        part = part[part[SPLIT] == "train"]
    where = "in train" if len(part) < len(manifest) else "in the manifest"
    for name in manifest.labels.tasks[task]:
        if name not in set(part[task]):
            yield Problem(
                None,
                f"column {task}",
                f"no example of {name!r} {where}",
                "every class there",
                "Add pictures, split again, or drop the class from labels.json.",
                "warning",
                "a class without examples",
            )
