"""What every source needs: it reports what it finds and makes its rows a manifest."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from helpers.common import expected
from helpers.manifest import IMAGE, Labels, Manifest, first_few, printable

logger = logging.getLogger(__name__)


def tell(logger: logging.Logger, what: str, names: Sequence[object]) -> None:
    """Logs how many things of a kind were met, and the first few; nothing where there are none."""
    if names:
        some = printable(first_few(names))
        logger.info("note: %s: %s (%s)", printable(what), f"{len(names):,}", some)


def is_file(path: Path) -> bool:
    """Returns whether a file is there; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:  # e.g. longer than the system allows
        return False


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
    found = {task: set(frame[task]) for task in tasks}
    present = {
        task: tuple(name for name in classes if name in found[task])
        for task, classes in tasks.items()
    }
    useful = {task: classes for task, classes in present.items() if len(classes) > 1}
    if not useful:
        some = first_few(f"{task}: {list(classes)}" for task, classes in present.items())
        raise expected("a task with at least two classes", some or "none", "Check --root.", root)
    others = [task for task in tasks if task not in useful]
    tell(logger, "columns without two classes, information and no tasks", others)
    information = [name for name in frame.columns if name not in (IMAGE, *tasks)]
    return Manifest(frame[[IMAGE, *tasks, *information]], Labels(useful), root)
