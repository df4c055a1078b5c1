"""What every source needs: it reports what it finds and makes its rows a manifest."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from helpers.common import expected
from helpers.manifest import IMAGE, Labels, Manifest

logger = logging.getLogger(__name__)


def first_few(names: Iterable[object], shown: int = 5) -> str:
    """Returns "a, b, c and 7 more"."""
    names = [str(name) for name in names]
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def tell(logger: logging.Logger, what: str, names: Sequence[object]) -> None:
    """Logs how many things of a kind were met, and the first few; nothing where there are none."""
    if names:
        logger.info("note: %s: %s (%s)", what, f"{len(names):,}", first_few(names))


def make_manifest(
    rows: Sequence[Mapping[str, str]], tasks: Mapping[str, Sequence[str]], root: Path
) -> Manifest:
    """Makes a manifest from rows of text, one per image; `image_path` is absolute or below `root`.

    `tasks` is task to its possible classes in order. Classes without an example are left out, and
    so are tasks without two classes.

    Raises:
        WorkshopError: There are no rows, or no task has two classes.
    """
    if not rows:
        raise expected("images", "none", "Check --root.", root)
    frame = pd.DataFrame(rows, dtype=str).fillna("")
    present = {
        task: tuple(name for name in classes if name in set(frame[task]))
        for task, classes in tasks.items()
    }
    useful = {task: classes for task, classes in present.items() if len(classes) > 1}
    if not useful:
        found = {task: list(classes) for task, classes in present.items()}
        raise expected("a task with at least two classes", found, "Check --root.", root)
    others = [task for task in tasks if task not in useful]
    tell(logger, "columns without two classes, information and no tasks", others)
    information = [name for name in frame.columns if name not in (IMAGE, *tasks)]
    return Manifest(frame[[IMAGE, *tasks, *information]], Labels(useful), root)
