"""A problem with the data, and how problems are reported: file by file, grouped by kind."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from helpers.common import WorkshopError

SHOWN = 20  # problems that a message lists in full: one screen
MOST_KNOWN, LONGEST_NAME = 1000, 100  # beyond them a search for the nearest name takes seconds


def first_few(names: Iterable[object], shown: int = 5) -> str:
    """Returns "a, b, c and 7 more"."""
    names = [str(name) for name in names]
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Returns "Did you mean 'x'? " for the nearest of `known`, or nothing where none is near."""
    if len(known) > MOST_KNOWN or len(name) > LONGEST_NAME:
        return ""
    by_lower = {item.lower(): item for item in known if len(item) <= LONGEST_NAME}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"Did you mean {by_lower[near[0]]!r}? " if near else ""


def printable(name: object) -> str:
    """Returns a name or path as text that can be printed and saved: others' bytes are escaped."""
    return str(name).encode(errors="backslashreplace").decode()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where it is, and what to do about it."""

    row: int | None  # the line of the CSV as an editor counts it (the header is line 1)
    file: str  # the image, or the column, that it is about; may be empty
    found: str
    expected: str
    fix: str
    severity: str = "error"  # or "warning": it runs, but look at it
    kind: str = "manifest"  # what problems are counted by

    def __str__(self) -> str:
        where = ", ".join(filter(None, [f"row {self.row}" if self.row else "", self.file]))
        text = f"found {self.found}; expected {self.expected}. {self.fix}"
        return printable(f"{where}: {text}" if where else text)


class ManifestError(WorkshopError):
    """A manifest that cannot be used, with everything that is wrong with it in `problems`."""

    def __init__(self, message: str, problems: Sequence[Problem]):
        errors = [problem for problem in problems if problem.severity == "error"]
        super().__init__(f"{message}\n{describe(errors)}")
        self.problems = list(problems)


def describe(problems: Sequence[Problem]) -> str:
    """Returns problems grouped by kind, each kind with its count and its first few."""
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kinds.setdefault((problem.severity, problem.kind), []).append(problem)
    most = SHOWN if len(problems) <= SHOWN else max(2, SHOWN // len(kinds))
    lines = []
    for (severity, kind), found in sorted(kinds.items()):
        lines += [f"{severity}, {kind} ({len(found)}):", *(f"  {one}" for one in found[:most])]
        lines += [f"  ... and {len(found) - most} more"] if len(found) > most else []
    return "\n".join(lines)


def problems_table(problems: Sequence[Problem]) -> pd.DataFrame:
    """Returns one row per problem, with the fields of `Problem` as columns."""
    columns = ["severity", "kind", "row", "file", "found", "expected", "fix"]
    table = pd.DataFrame(problems, columns=columns).astype({"row": "Int64"})
    return table.map(lambda cell: printable(cell) if isinstance(cell, str) else cell)
