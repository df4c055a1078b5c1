"""The manifest: one CSV from which heads, losses, scores, titles and checks all come.

A manifest has the column `image_path`, one column per task (its class names as text; an empty cell
means "not known"), and optionally `group` (what must never be split: a person, a track of frames)
and `split` (train, validation, test). A `labels.json` beside it fixes the tasks and the order of
their classes; without one, every other column is a task and its classes are sorted.

Check one, and split it by group, from the command line:

    python -m helpers.manifest manifest.csv --split 0.7,0.15,0.15 --out split.csv
"""

import csv
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import WorkshopError, whole_file, write_json
from helpers.manifest.labels import GROUP, IMAGE, SPLIT, Labels, did_you_mean
from helpers.manifest.problems import (
    SPLIT_AGAIN,
    SPLITS,
    ManifestError,
    Problem,
    describe,
    find_problems,
    problems_table,
    split_problems,
    unknown_classes,
)
from helpers.manifest.splits import assign_groups

LABELS_FILE = "labels.json"
NOT_KNOWN = -1  # the target of an empty cell; `SparseCategoricalCrossentropy(ignore_class=-1)`
DEFAULT_SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}

# What people call the column of the pictures; no spelling distance leads from these to its name.
IMAGE_ALIASES = ("image", "img", "file", "filename", "file_name", "path", "picture", "filepath")
CLOSE = 0.8  # difflib ratio: "groups" and "Split" are misspellings, "spirit" is a task


@dataclass(frozen=True, eq=False)
class Manifest:
    """Pictures and their labels.

    Attributes:
        frame: All columns as text, one row a picture, index 0 to n - 1.
        labels: The tasks and the order of their classes.
        folder: What relative image paths are relative to.
        source: The CSV's path, for messages.
        lines: Line of each row in that CSV, for messages; the header is line 1.
    """

    frame: pd.DataFrame
    labels: Labels
    folder: Path
    source: Path | None = None
    lines: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks, in order."""
        return list(self.labels.tasks)

    @property
    def paths(self) -> list[str]:
        """The absolute path of every picture, put together anew: for one of them, `path`."""
        folder = Path(os.path.abspath(self.folder))  # noqa: PTH100 (resolve() follows links)
        return [str(folder / path) for path in self.frame[IMAGE]]

    def path(self, row: int) -> str:
        """Returns the absolute path of the picture at position `row`."""
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
        names = self.frame[task]
        unknown = ~names.isin([*classes, ""])
        if unknown.any():
            raise _unknown_classes(self, unknown_classes(self, [task]))
        return pd.Index(classes).get_indexer(names).astype(np.int32)

    def rows(self, which: np.ndarray | Sequence[int] | Sequence[bool]) -> "Manifest":
        """Returns the manifest of some rows, by a mask (n,) bool or by indices (any order)."""
        which = np.asarray(which)
        index = np.flatnonzero(which) if which.dtype == bool else which.astype(int)
        lines = np.arange(len(self)) + 2 if self.lines is None else self.lines
        frame = self.frame.iloc[index].reset_index(drop=True)
        return replace(self, frame=frame, lines=lines[index])

    def subset(self, split: str) -> "Manifest":
        """Returns the rows of one split.

        Raises:
            WorkshopError: There is no such split, or no row in it.
        """
        if split not in SPLITS:
            raise WorkshopError(f"No split {split!r}. The splits are: {', '.join(SPLITS)}.")
        if not self.has_split:
            raise WorkshopError(
                f"{self.name}: expected a column {SPLIT!r}, found none. {SPLIT_AGAIN}"
            )
        mask = (self.frame[SPLIT] == split).to_numpy()
        if not mask.any():
            found = sorted(set(self.frame[SPLIT]))
            raise WorkshopError(
                f"{self.name}: expected rows with split {split!r}, found none (only {found}). "
                "Split again with --split, or fill in the column."
            )
        return self.rows(mask)

    def select(self, tasks: Sequence[str]) -> "Manifest":
        """Returns the manifest with only these tasks; other columns stay, as information."""
        return replace(self, labels=self.labels.select(tasks))

    @property
    def name(self) -> str:
        """What to call this manifest in a message."""
        return str(self.source) if self.source else "the manifest"

    def write(self, path: Path | str) -> None:
        """Writes the CSV and, beside it, `labels.json`; both whole.

        Image paths become relative to the new folder where the picture lies inside it, and
        absolute elsewhere: none climbs out with `..`.

        Raises:
            WorkshopError: A `labels.json` of another manifest, with other tasks, is there already,
                or the path is no name for a CSV.
        """
        path = Path(path)
        if path.is_dir() or path.name == LABELS_FILE:
            raise WorkshopError(
                f"{path}: expected the name of the CSV to write, found "
                f"{'a folder' if path.is_dir() else 'the name of the labels beside it'}. "
                f"Write to {(path if path.is_dir() else path.parent) / 'manifest.csv'}."
            )
        beside = path.parent / LABELS_FILE
        if beside.exists() and not path.exists() and Labels.read(beside) != self.labels:
            raise WorkshopError(
                f"{beside} belongs to another manifest: expected the tasks "
                f"{', '.join(self.labels.tasks)} with the same classes. Write to another folder."
            )
        frame = self.frame.assign(**{IMAGE: relative_paths(self.paths, path.parent)})
        with whole_file(path) as draft, whole_file(beside) as labels_draft:
            frame.to_csv(draft, index=False, lineterminator="\n", encoding="utf-8")
            write_json(labels_draft, self.labels.to_json())


def relative_paths(paths: Iterable[str], folder: Path) -> list[str]:
    """Returns each absolute path relative to `folder` if it lies inside, else as it is."""
    prefix = os.path.abspath(folder).rstrip(os.sep) + os.sep  # noqa: PTH100
    plain = [os.path.normpath(path) for path in paths]
    return [path[len(prefix) :] if path.startswith(prefix) else path for path in plain]


def read_manifest(
    path: Path | str,
    tasks: Sequence[str] | None = None,
    labels: Labels | None = None,
    check_classes: bool = True,
) -> Manifest:
    """Reads a manifest CSV, with the `labels.json` beside it where there is one.

    Args:
        path: The CSV.
        tasks: Only these tasks; all where None.
        labels: Tasks and classes to use instead of `labels.json`, e.g. those of a trained model.
        check_classes: Refuse class names that the labels do not know. Without, only `validate`
            tells of them, beside everything else that is wrong.

    Raises:
        WorkshopError: The file cannot be read as a manifest; the message says what to mend.
    """
    path = Path(path)
    header, rows, lines = _read_csv(path)
    beside = path.parent / LABELS_FILE
    if labels is None and beside.is_file():
        labels = Labels.read(beside)
    _check_header(path, header, labels)
    if not rows:
        raise WorkshopError(
            f"{path}: expected one line per picture below the header, found a manifest without "
            "pictures. Add lines, or write it anew with: python -m data.sources"
        )
    frame = pd.DataFrame(rows, columns=header, dtype=str)
    if labels is None:
        labels = _labels_of_columns(path, frame)
    if tasks is not None:
        labels = labels.select(tasks)
    manifest = Manifest(frame, labels, path.parent, path, np.asarray(lines))
    if check_classes and (problems := unknown_classes(manifest, manifest.tasks)):
        raise _unknown_classes(manifest, problems)
    return manifest


def _read_csv(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Returns header, rows and the line number of each row; blank lines are no rows."""
    rows, lines = [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for row in reader:
                if row and any(cell.strip() for cell in row):
                    rows.append(row)
                    lines.append(reader.line_num)
    except FileNotFoundError:
        raise WorkshopError(
            f"{path}: expected a manifest CSV, found no such file. Check the path; "
            "python -m data.sources writes a manifest from a folder of pictures."
        ) from None
    except IsADirectoryError:
        raise WorkshopError(
            f"{path}: expected a manifest CSV, found a folder. Name the CSV in it, or write one "
            "with: python -m data.sources"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise WorkshopError(
            f"{path}: expected a CSV in UTF-8, found something else ({error}). "
            "Save it as 'CSV UTF-8' in your spreadsheet."
        ) from None
    if not rows:
        raise WorkshopError(f"{path}: expected a header and lines, found an empty file. Fill it.")
    for row, line in zip(rows, lines):
        if len(row) != len(rows[0]):
            raise WorkshopError(
                f"{path}, row {line}: expected {len(rows[0])} cells as in the header, found "
                f"{len(row)}. Put quotes round cells that hold a comma."
            )
    return [name.strip() for name in rows[0]], rows[1:], lines[1:]


def _check_header(path: Path, header: list[str], labels: Labels | None) -> None:
    expected = f"expected the columns {IMAGE}, one per task, and optionally {GROUP} and {SPLIT}"
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise WorkshopError(f"{path}: expected commas between columns, found {header[0]!r}.")
    if len(set(header)) != len(header) or "" in header:
        raise WorkshopError(f"{path}: {expected}, each once and with a name; found {header}.")
    if IMAGE not in header:
        alias = [name for name in header if name.lower() in IMAGE_ALIASES]
        near = difflib.get_close_matches(IMAGE, [name.lower() for name in header], 1, 0.6)
        guess = next((n for n in header if n.lower() in near), alias[0] if alias else None)
        hint = f"Did you mean {IMAGE!r} for {guess!r}? Rename that column." if guess else ""
        raise WorkshopError(f"{path}: {expected}; found {', '.join(header)}. {hint}".rstrip())
    known = set(labels.tasks) if labels else set()
    for name in header:
        meant = difflib.get_close_matches(name.lower(), [IMAGE, GROUP, SPLIT], 1, CLOSE)
        if name not in known and meant and meant[0] not in header:
            raise WorkshopError(
                f"{path}: {expected}; found {name!r}. Did you mean {meant[0]!r}? Rename it."
            )
    for task in known - set(header):
        raise WorkshopError(
            f"{path}: expected a column for the task {task!r} of labels.json, found "
            f"{', '.join(header)}. {did_you_mean(task, header)}Rename or add the column."
        )


def _labels_of_columns(path: Path, frame: pd.DataFrame) -> Labels:
    tasks = [name for name in frame.columns if name not in (IMAGE, GROUP, SPLIT)]
    if not tasks:
        raise WorkshopError(
            f"{path}: expected a column per task, found only {', '.join(frame.columns)}. "
            "Add a column whose cells are class names."
        )
    return Labels({task: tuple(sorted(set(frame[task]) - {""})) for task in tasks})


def _unknown_classes(manifest: Manifest, problems: Sequence[Problem]) -> ManifestError:
    return ManifestError(
        f"{manifest.name}: {len(problems)} class names that the labels do not know\n"
        f"{describe(problems)}",
        problems,
    )


def validate(
    manifest: Manifest,
    check_pictures: bool = True,
    progress: bool = True,
    report: Path | str | None = None,
    check_classes: bool = True,
) -> list[Problem]:
    """Checks a manifest and its pictures.

    Args:
        manifest: What to check.
        check_pictures: Also open and decode every picture.
        progress: Show a bar meanwhile.
        report: Where to write all problems as a CSV; nowhere where None.
        check_classes: Also look whether every class has examples; not in a part of a manifest.

    Returns:
        The warnings.

    Raises:
        ManifestError: With every error: each kind with its count and the first few in full.
    """
    problems = find_problems(manifest, check_pictures, progress, check_classes)
    if report and problems:
        with whole_file(Path(report)) as draft:
            problems_table(problems).to_csv(draft, index=False)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        more = f"\nAll of them: {report}" if report else ""
        count = f"{len(errors)} problem{'s' if len(errors) > 1 else ''}"
        raise ManifestError(f"{manifest.name}: {count}\n{describe(errors)}{more}", problems)
    return [problem for problem in problems if problem.severity == "warning"]


def check_split(manifest: Manifest, needed: Sequence[str] = ("train", "validation")) -> None:
    """Makes sure that a manifest is split, every row of it, and no group lies on two sides.

    Raises:
        ManifestError: It is not; the message says how to split it.
    """
    for split in needed:
        manifest.subset(split)
    problems = split_problems(manifest)
    if problems:
        message = f"{manifest.name}: the split cannot be used\n{describe(problems)}"
        raise ManifestError(message, problems)


def split_by_group(
    manifest: Manifest,
    shares: Mapping[str, float] | None = None,
    stratify: str | Sequence[str] | None = None,
    seed: int = 0,
) -> Manifest:
    """Splits pictures so that no group is on two sides and class shares are alike on all sides.

    `assign_groups` has the method. On 13,061 PETA pictures with 13 tasks no class share in train
    differs by more than .008 from the others, in 0.3 s; scikit-learn's StratifiedGroupKFold, which
    balances one task, leaves .10 in 11 s.

    Args:
        manifest: What to split. A split that it has is replaced; where only some rows have one
            (a given test set), those keep it and the others are split.
        shares: Split name to share; they add up to 1. Default .7, .15, .15.
        stratify: The task or tasks whose classes are balanced; all where None.
        seed: The order of groups of equal size.

    Returns:
        The manifest with the column `split`.

    Raises:
        WorkshopError: Wrong shares, fewer groups than splits, or a share for a test set that is
            given.
    """
    shares = _checked_shares(shares)
    if manifest.has_split and (manifest.frame[SPLIT] == "").any():
        return _split_the_rest(manifest, shares, stratify, seed)
    tasks = [stratify] if isinstance(stratify, str) else stratify or manifest.tasks
    counts, group_of_row = _group_counts(manifest, tasks)
    if len(counts) < len(shares):
        raise WorkshopError(
            f"{manifest.name}: expected at least {len(shares)} groups for {len(shares)} splits, "
            f"found {len(counts)}. Add groups, or ask for fewer splits."
        )
    side = assign_groups(counts, np.array([*shares.values()]), np.random.default_rng(seed))
    _check_none_is_empty(manifest, list(shares), side)
    return _with_split(manifest, np.array(list(shares))[side][group_of_row])


def _check_none_is_empty(manifest: Manifest, names: Sequence[str], side: np.ndarray) -> None:
    empty = [name for number, name in enumerate(names) if number not in side]
    if empty:
        raise WorkshopError(
            f"{manifest.name}: {len(side)} groups are too few: nothing is left for "
            f"{' and '.join(empty)}, as train needs every class. Add groups."
        )


def _split_the_rest(
    manifest: Manifest,
    shares: Mapping[str, float],
    stratify: str | Sequence[str] | None,
    seed: int,
) -> Manifest:
    """Splits the rows without a split by group; a group that has one keeps it as a whole."""
    given = manifest.frame[SPLIT].to_numpy(str)
    mixed = [name for name in shares if name != "train" and (given == name).any()]
    if mixed:
        left = {name: share for name, share in shares.items() if name not in mixed}
        rest = [f"{left.get(name, 0) / sum(left.values()):.2g}" for name in SPLITS]
        raise WorkshopError(
            f"{manifest.name}: expected no share for {' and '.join(mixed)}, which is given for "
            f"some rows, found {shares}. Divide the other rows alone: --split {','.join(rest)}"
        )
    known = dict(zip(manifest.groups[given != ""], given[given != ""]))
    split = np.array([known.get(group, "") for group in manifest.groups])
    split = np.where(given != "", given, split)
    free = split == ""
    part = manifest.rows(free)
    part = replace(part, frame=part.frame.assign(**{SPLIT: ""}))
    split = split.astype(object)
    split[free] = split_by_group(part, shares, stratify, seed).frame[SPLIT].to_numpy()
    return _with_split(manifest, split)


def split_at_random(
    manifest: Manifest, shares: Mapping[str, float] | None = None, seed: int = 0
) -> Manifest:
    """Splits pictures at random, as if groups did not exist.

    Pictures of one person then lie on both sides and the score flatters. Only for the lesson that
    shows it; `validate` refuses the result where groups are known.
    """
    shares = _checked_shares(shares)
    names = np.array(list(shares))
    bounds = np.round(np.cumsum(list(shares.values()))[:-1] * len(manifest)).astype(int)
    side = np.empty(len(manifest), int)
    order = np.random.default_rng(seed).permutation(len(manifest))
    for number, part in enumerate(np.split(order, bounds)):
        side[part] = number
    return _with_split(manifest, names[side])


def _with_split(manifest: Manifest, split: np.ndarray) -> Manifest:
    return replace(manifest, frame=manifest.frame.assign(**{SPLIT: split}))


def _checked_shares(shares: Mapping[str, float] | None) -> dict[str, float]:
    shares = dict(DEFAULT_SHARES if shares is None else shares)
    good = set(shares) <= set(SPLITS) and "train" in shares and min(shares.values()) > 0
    if not good or abs(sum(shares.values()) - 1) > 1e-6:
        raise WorkshopError(
            f"Expected shares above 0 that add up to 1 for train and any of validation and test, "
            f"found {shares}. Use for example 0.7, 0.15, 0.15."
        )
    return {name: shares[name] for name in SPLITS if name in shares}


def _group_counts(manifest: Manifest, tasks: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns per group the pictures and those of each class (groups, 1 + classes), and (n,)."""
    group_of_row, groups = pd.factorize(manifest.groups)
    columns = [np.bincount(group_of_row, minlength=len(groups))]
    for task in tasks:
        targets = manifest.targets(task)
        for number in np.unique(targets[targets >= 0]):
            columns.append(np.bincount(group_of_row[targets == number], minlength=len(groups)))
    counts = np.stack(columns, axis=1).astype(float)
    # the size of a split weighs as much as one whole task
    weight_of_size = max(1.0, (counts.shape[1] - 1) / max(1, len(tasks)))
    return np.concatenate([counts[:, :1] * weight_of_size, counts[:, 1:]], axis=1), group_of_row


def summarize(manifest: Manifest) -> str:
    """Returns what is in a manifest: pictures, groups, splits, and the classes of every task."""
    lines = [f"{len(manifest):,} pictures, {len(set(manifest.groups)):,} groups"]
    if manifest.has_split:
        for split in [*SPLITS, *sorted(set(manifest.frame[SPLIT]) - set(SPLITS))]:
            mask = (manifest.frame[SPLIT] == split).to_numpy()
            groups = len(set(manifest.groups[mask]))
            lines.append(f"  {split or 'no split'}: {mask.sum():,} pictures, {groups:,} groups")
    width = max(len(task) for task in manifest.tasks)
    for task, classes in manifest.labels.tasks.items():
        counts = manifest.frame[task].value_counts()
        shown = [f"{name} {counts.get(name, 0):,}" for name in classes]
        shown += [f"(not known {counts['']:,})"] if "" in counts else []
        lines.append(f"{task:{width}}  {', '.join(shown)}")
    return "\n".join(lines)
