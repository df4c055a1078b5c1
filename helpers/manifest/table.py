"""The manifest: one CSV, with `labels.json` beside it; `data/README.md` describes its columns."""

import csv
import difflib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import WorkshopError, expected, whole_file, write_json
from helpers.manifest.cells import read_table
from helpers.manifest.labels import GROUP, IMAGE, LABELS_FILE, SPLIT, SPLIT_AGAIN, SPLITS, Labels
from helpers.manifest.problems import ManifestError, Problem, did_you_mean, first_few, printable

MOST_HINTS = 100  # unknown names of a task that get one; a search can take some milliseconds
MOST_NAMED = 100  # classes of a task that a summary names
# What people call the column of the images; no spelling distance leads from these to its name.
IMAGE_ALIASES = ("image", "img", "file", "filename", "file_name", "path", "picture", "filepath")
MAKE_ONE = "Check the path; python -m data.sources writes a manifest from a folder of images."
COLUMNS = f"the columns {IMAGE}, one per task, and optionally {GROUP} and {SPLIT}"


@dataclass(frozen=True, eq=False)
class Manifest:
    """Images and their labels."""

    frame: pd.DataFrame  # all columns as text, one row an image, index 0 to n - 1
    labels: Labels
    folder: Path  # what relative image paths are relative to
    source: Path | None = None  # the CSV's path, for messages
    lines: np.ndarray | None = None  # of each row in that CSV, for messages; the header is line 1

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def name(self) -> str:
        """What to call this manifest in a message."""
        return str(self.source or "the manifest")

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks, in order."""
        return list(self.labels.tasks)

    @property
    def paths(self) -> list[str]:
        """The absolute path of every image, built at each call: for one image use `path`."""
        folder = Path(os.path.abspath(self.folder))  # noqa: PTH100 (resolve() follows links)
        return [str(folder / path) for path in self.frame[IMAGE]]

    def path(self, row: int) -> str:
        """Returns the absolute path of the image at position `row`."""
        return self.rows([row]).paths[0]

    @property
    def groups(self) -> np.ndarray:
        """The group of every row (n,), text: its own image path where none is given."""
        own = self.frame[IMAGE].to_numpy(str)
        given = self.frame[GROUP].to_numpy(str) if GROUP in self.frame else ""
        return np.where(given == "", own, given)

    @property
    def has_split(self) -> bool:
        """Whether any row says which split it belongs to."""
        return SPLIT in self.frame and bool((self.frame[SPLIT] != "").any())

    def row_number(self, index: int) -> int:
        """Returns the line in the CSV of the row at `index`, as an editor counts."""
        return index + 2 if self.lines is None else int(self.lines[index])

    def targets(self, task: str) -> np.ndarray:
        """Returns the class index of every row for a task: (n,) int32, -1 where not known."""
        classes = self.labels.select([task]).tasks[task]
        self.check_classes([task])
        return pd.Index(classes).get_indexer(self.frame[task]).astype(np.int32)

    def check_classes(self, tasks: Sequence[str]) -> None:
        """Raises `ManifestError` for class names that the labels do not know."""
        if problems := self.unknown_classes(tasks):
            found = f"{len(problems)} class names that the labels do not know"
            raise ManifestError(f"{self.name}: {found}", problems)

    def unknown_classes(self, tasks: Sequence[str]) -> list[Problem]:
        """Finds class names that the labels do not know: each name once, with its first row."""
        problems = []
        for task in tasks:
            classes, names = self.labels.tasks[task], self.frame[task]
            unknown = names[~names.isin([*classes, ""])]
            counts, wanted = Counter(unknown), f"one of {first_few(classes, 20)}, or empty"
            for number, (row, name) in enumerate(unknown.drop_duplicates().items()):
                rows = f"{counts[name]} row{'s' if counts[name] > 1 else ''}, this one first"
                near = did_you_mean(name, classes) if number < MOST_HINTS else ""
                advice = wanted, f"{near}Correct it, or add it to labels.json."
                place = self.row_number(row), f"column {task}", f"{name!r} ({rows})"
                problems.append(Problem(*place, *advice, kind="unknown class"))
        return problems

    def rows(self, which: np.ndarray | Sequence[int] | Sequence[bool]) -> "Manifest":
        """Returns the manifest of some rows, by a mask (n,) bool or by indices (any order)."""
        which = np.asarray(which)
        index = np.flatnonzero(which) if which.dtype == bool else which.astype(int)
        lines = np.arange(len(self)) + 2 if self.lines is None else self.lines
        frame = self.frame.iloc[index].reset_index(drop=True)
        return replace(self, frame=frame, lines=lines[index])

    def subset(self, split: str) -> "Manifest":
        """Returns the rows of one split; raises `WorkshopError` where there are none."""
        if not self.has_split:
            raise expected(f"a column {SPLIT!r}", "none", SPLIT_AGAIN, self.name)
        mask = (self.frame[SPLIT] == split).to_numpy()
        if not mask.any():
            found = f"none (only {first_few(map(repr, sorted(set(self.frame[SPLIT]))))})"
            fix = "Split again with --split, or fill in the column."
            raise expected(f"rows with split {split!r}", found, fix, self.name)
        return self.rows(mask)

    def select(self, tasks: Sequence[str]) -> "Manifest":
        """Returns the manifest with only these tasks; other columns stay, as information."""
        return replace(self, labels=self.labels.select(tasks))

    def write(self, path: Path | str) -> None:
        """Writes the CSV and, beside it, `labels.json`; refuses to replace that of other tasks.

        Image paths become relative where the image lies inside the new folder, otherwise absolute.
        """
        path = Path(path)
        if path.is_dir() or path.name == LABELS_FILE:
            found = "a folder" if path.is_dir() else "the name of the labels beside it"
            fix = f"Write to {(path if path.is_dir() else path.parent) / 'manifest.csv'}."
            raise expected("the name of the CSV to write", found, fix, path)
        beside = path.parent / LABELS_FILE
        if beside.exists() and not path.exists() and Labels.read(beside) != self.labels:
            raise WorkshopError(
                f"{beside} belongs to another manifest: expected the tasks "
                f"{', '.join(self.labels.tasks)} with the same classes. Write to another folder."
            )
        inside = os.path.abspath(path.parent).rstrip(os.sep) + os.sep  # noqa: PTH100
        paths = zip(self.frame[IMAGE], self.paths)
        names = [own and os.path.normpath(name).removeprefix(inside) for own, name in paths]
        frame = self.frame.assign(**{IMAGE: names})
        if wrong := [name for name in names if printable(name) != name]:
            found = f"{len(wrong):,} that are not: {printable(first_few(wrong))}"
            raise expected("paths in UTF-8", found, "Rename those files or folders.", path)
        # Python quotes a carriage return by itself only from 3.13 on
        has_return = any("\r" in text for text in [*frame.columns, *frame.to_numpy().flat])
        quoting = csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL
        with whole_file(path) as draft, whole_file(beside) as labels_draft:
            frame.to_csv(draft, index=False, lineterminator="\n", quoting=quoting)
            write_json(labels_draft, self.labels.to_json())


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
        columns = [name for name in header if name not in (IMAGE, GROUP, SPLIT)]
        if not columns:
            fix = "Add a column whose cells are class names."
            raise expected("a column per task", f"only {', '.join(header)}", fix, path)
        labels = Labels({task: tuple(sorted(set(frame[task]) - {""})) for task in columns})
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


def summarize(manifest: Manifest) -> str:
    """Returns what is in a manifest: images, groups, splits, and the classes of every task."""
    lines = [f"{len(manifest):,} images, {len(set(manifest.groups)):,} groups"]
    if manifest.has_split:
        frame = pd.DataFrame({"group": manifest.groups, "split": manifest.frame[SPLIT]})
        frame.loc[~frame["split"].isin(SPLITS), "split"] = "no split"
        table = frame.groupby("split")["group"].agg(["size", "nunique"])
        for split in dict.fromkeys([*SPLITS, *table.index]):
            images, groups = table.loc[split] if split in table.index else (0, 0)
            lines.append(f"  {split}: {images:,} images, {groups:,} groups")
    width = max(len(task) for task in manifest.tasks)
    for task, classes in manifest.labels.tasks.items():
        counts = Counter(manifest.frame[task])
        shown = first_few((f"{name} {counts[name]:,}" for name in classes), MOST_NAMED)
        shown += f", (not known {counts['']:,})" if counts[""] else ""
        lines.append(f"{task:{width}}  {shown}")
    return "\n".join(lines)
