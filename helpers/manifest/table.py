"""The manifest: one CSV from which heads, losses, scores, titles and checks all come.

`data/README.md` describes its columns and the `labels.json` beside it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import WorkshopError, expected, whole_file, write_json
from helpers.manifest.labels import GROUP, IMAGE, LABELS_FILE, SPLIT, SPLIT_AGAIN, SPLITS, Labels
from helpers.manifest.problems import ManifestError, Problem, describe, did_you_mean


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
        return str(self.source) if self.source else "the manifest"

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
        if GROUP not in self.frame:
            return own
        given = self.frame[GROUP].to_numpy(str)
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
            raise ManifestError(f"{self.name}: {found}\n{describe(problems)}", problems)

    def unknown_classes(self, tasks: Sequence[str]) -> list[Problem]:
        """Finds class names that the labels do not know: each name once, with its first row."""
        problems = []
        for task in tasks:
            classes, names = self.labels.tasks[task], self.frame[task]
            unknown = names[~names.isin([*classes, ""])]
            for name in dict.fromkeys(unknown):
                rows = unknown.index[unknown == name]
                found = f"{name!r} ({len(rows)} row{'s' if len(rows) > 1 else ''}, this one first)"
                wanted = f"one of {', '.join(classes)}, or empty"
                fix = f"{did_you_mean(name, classes)}Correct it, or add it to labels.json."
                place = self.row_number(int(rows[0])), f"column {task}"
                problems.append(Problem(*place, found, wanted, fix, kind="unknown class"))
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
        if split not in SPLITS:
            raise WorkshopError(f"No split {split!r}. The splits are: {', '.join(SPLITS)}.")
        if not self.has_split:
            raise expected(f"a column {SPLIT!r}", "none", SPLIT_AGAIN, self.name)
        mask = (self.frame[SPLIT] == split).to_numpy()
        if not mask.any():
            found = f"none (only {sorted(set(self.frame[SPLIT]))})"
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
        names = [os.path.normpath(name).removeprefix(inside) for name in self.paths]
        frame = self.frame.assign(**{IMAGE: names})
        with whole_file(path) as draft, whole_file(beside) as labels_draft:
            frame.to_csv(draft, index=False, lineterminator="\n", encoding="utf-8")
            write_json(labels_draft, self.labels.to_json())


def summarize(manifest: Manifest) -> str:
    """Returns what is in a manifest: images, groups, splits, and the classes of every task."""
    lines = [f"{len(manifest):,} images, {len(set(manifest.groups)):,} groups"]
    if manifest.has_split:
        for split in [*SPLITS, *sorted(set(manifest.frame[SPLIT]) - set(SPLITS))]:
            mask = (manifest.frame[SPLIT] == split).to_numpy()
            groups = len(set(manifest.groups[mask]))
            lines.append(f"  {split or 'no split'}: {mask.sum():,} images, {groups:,} groups")
    width = max(len(task) for task in manifest.tasks)
    for task, classes in manifest.labels.tasks.items():
        counts = manifest.frame[task].value_counts()
        shown = [f"{name} {counts.get(name, 0):,}" for name in classes]
        shown += [f"(not known {counts['']:,})"] if "" in counts else []
        lines.append(f"{task:{width}}  {', '.join(shown)}")
    return "\n".join(lines)
