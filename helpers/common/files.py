"""Files that are written whole or not at all, and what a command may replace with them.

What is not finished lies in a draft, a hidden folder beside its place. A lock in it says that its
process lives: the kernel ends the lock with the process, however that ends.
"""

import errno
import fcntl
import json
import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.common.errors import WorkshopError, expected
from helpers.common.inputs import read_input
from helpers.common.settings import EXPORT_NAMES, ROOT

MOST_BYTES = 100_000_000  # of a JSON file; a million class names take 20 MB

DRAFT, LOCK, NEW, OLD = ".draft", "lock", "new", "old"
UNLOCKED = "unlocked"  # the lock's name before it is locked
DAY = 86_400  # seconds; an older draft without a lock belongs to nobody
ANOTHER = "To keep what is there, choose another --out."


@dataclass(frozen=True)
class Output:
    """What a command writes into a folder, by which it knows the folders that it may replace."""

    what: str  # such as "a run"
    mark: str  # glob of what a whole one always has
    names: str  # regular expression of the paths of its files
    listed: Callable[[Path], Iterable[str]] | None = None  # all these paths, from a table there

    def other(self, folder: Path) -> str:
        """Returns what in `folder` is not of this output, such as the path of a file, or ""."""
        if not (first := next(_names(folder), "")):
            return ""
        if not any(folder.glob(self.mark)):
            return f"{first}, and no {self.mark}"
        try:
            listed = self.listed and {*self.listed(folder)}
        except (OSError, ValueError, KeyError, TypeError, WorkshopError) as error:
            return f"a table of others: {error}"
        owns = re.compile(rf"{self.names}|(.*/)?\.DS_Store").fullmatch
        names = _names(folder)
        return next((n for n in names if not owns(n) or (listed and n not in listed)), "")


EXPORT_FILES = Output("an export", "*model*", rf"{EXPORT_NAMES}|log\.csv|scores\.json")


def _names(folder: Path) -> Iterator[str]:
    """Yields the path in `folder` of each file and link, apart from drafts."""
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        folders[:] = [name for name in folders if not _is_draft(Path(place, name))]
        yield from (Path(place, name).relative_to(folder).as_posix() for name in files + links)


def _is_draft(path: Path) -> bool:
    if not path.name.endswith(DRAFT) or path.is_symlink():
        return False
    with suppress(OSError):  # no folder, or just removed
        return {part.name for part in path.iterdir()} <= {LOCK, UNLOCKED, NEW, OLD}
    return False


def check_out(
    folder: Path, output: Output | None = None, inputs: Iterable[Path] = (), inside: bool = False
) -> bool:
    """Returns whether an older `output` is in `folder`; to be called before any work.

    The folder will be replaced, or with `inside` written into. Drafts there are swept.

    Raises:
        WorkshopError: it holds anything else, or is or holds one of the `inputs`; or it is to be
            replaced and is a link, a mount point, or holds the project, the home or current folder.
    """
    folder, real = Path(folder), Path(os.path.realpath(folder))
    _check_parents(folder)
    kept = () if inside else (ROOT, Path.cwd(), os.path.expanduser("~"))  # noqa: PTH111
    for place in (Path(os.path.realpath(place)) for place in (*inputs, *kept)):
        if real in (place, *place.parents):
            raise expected("a folder of its own", f"one that is or holds {place}", ANOTHER, folder)
    if not inside:
        _check_movable(folder, real)
    if output and folder.is_dir() and (other := output.other(folder)):
        what = f"an empty or new folder, or {output.what}"
        raise expected(what, f"other files in {folder} ({other})", ANOTHER)
    sweep(folder)
    return folder.is_dir() and any(_names(folder))


def check_file(path: Path, inputs: Iterable[Path | str] = ()) -> None:
    """Checks before any work that a file may be written, or replaced; sweeps drafts beside it.

    Raises:
        WorkshopError: it is one of the `inputs`, or something there is no plain file.
    """
    path = Path(path)
    _check_parents(path.parent)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        fix = f"Name a file in it, or another file: {os.path.realpath(path)}"
        raise expected("the name of a file to write", "a link, folder or device", fix, path)
    for place in map(Path, inputs):
        is_same = path.exists() and place.exists() and path.samefile(place)
        if is_same or path.absolute() == place.absolute():
            fix = "It would be replaced: choose another name."
            raise expected("a file of its own", "one that belongs to the input", fix, path)
    sweep(path)


def _check_parents(folder: Path) -> None:
    for place in (folder, *folder.parents):
        if os.path.lexists(place) and not place.is_dir():
            raise WorkshopError(f"{place} should be a folder, but is a file. Choose another --out.")


def _check_movable(folder: Path, real: Path) -> None:
    if folder.is_symlink():
        raise expected("a folder", "a link to one", f"Name that folder: --out {real}", folder)
    try:
        folder.rmdir()  # only to ask: the system refuses a mount point, and what holds anything
        folder.mkdir()
    except OSError as error:
        if error.errno == errno.EBUSY:
            fix = f"Choose a folder in it, such as --out {folder / 'out'}"
            raise expected("a folder that can be replaced", "a mount point", fix, folder) from None
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise


def sweep(folder: Path) -> None:
    """Removes the drafts beside and in `folder` that no living process holds, and says so."""
    folder = Path(folder)
    beside = folder.parent.iterdir() if folder.parent.is_dir() else ()
    inside = (Path(place, name) for place, names, _ in os.walk(folder) for name in names)
    _sweep([*beside, *inside])


def _sweep(places: Iterable[Path]) -> None:
    for draft in filter(_is_draft, places):
        lock = _hold(draft / LOCK)
        with suppress(OSError):  # its process was quicker, or it is somebody else's
            if lock is None:
                newest = max(path.lstat().st_mtime for path in (draft, *draft.rglob("*")))
                if (draft / LOCK).exists() or time.time() - newest < DAY:
                    continue
            _remove(draft, lock)
            if not draft.exists():
                print(f"removed {draft}, an unfinished draft that no running process holds")


def _hold(path: Path, flags: int = 0) -> int | None:
    """Locks a file while this process lives; returns None where that cannot be done."""
    with suppress(OSError):
        file = os.open(path, os.O_RDWR | flags)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:  # another holds it, or nobody can lock here
            os.close(file)
    return None


class Draft:
    """A new folder that goes when closed, with this object or, after a kill, by `sweep`."""

    def __init__(self, parent: Path, name: str):
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(DRAFT, name, parent))
        lock = _hold(folder / UNLOCKED, os.O_CREAT)
        if lock is not None:  # renamed after: whoever finds a lock finds it locked
            (folder / UNLOCKED).replace(folder / LOCK)
        self.close = weakref.finalize(self, _remove, folder, lock)
        self.old, self.path = folder / OLD, folder / NEW
        self.path.mkdir()


def _remove(draft: Path, lock: int | None) -> None:
    """Removes a draft, the lock last; what was moved away and has no successor goes back."""
    for old in (draft / OLD).iterdir() if (draft / OLD).is_dir() else ():
        for name in (NEW, OLD):  # the new one is whole where the old one has been moved
            if not os.path.lexists(place := draft.parent / old.name):
                with suppress(OSError):
                    (draft / name / old.name).replace(place)
    for name in (NEW, OLD, ""):
        shutil.rmtree(draft / name, ignore_errors=True)
    if lock is not None:
        os.close(lock)


def temporary_draft(name: str) -> Draft:
    """Returns a draft in the folder for temporary files, after a sweep of those of this name."""
    place, name = Path(tempfile.gettempdir()), f"workshop-{name}-"
    _sweep(place.glob(f"{name}*"))
    return Draft(place, name)


def _draft_for(path: Path) -> closing[Draft]:
    return closing(Draft(path.parent, f".{path.name[:50]}-"))


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path of the same suffix, which replaces `path` only if all went well."""
    path = Path(path)
    with _draft_for(path) as draft:
        yield draft.path / path.name
        (draft.path / path.name).replace(path)


@contextmanager
def whole_folder(path: Path, output: Output | None = None) -> Iterator[Path]:
    """Gives a temporary folder, which replaces `path` only if all went well; see `check_out`."""
    path = Path(path)
    if output:
        check_out(path, output)
    with _draft_for(path) as draft:
        new = draft.path / path.name
        new.mkdir()
        yield new
        if path.exists():  # moved aside first: a removal that is interrupted leaves half a folder
            draft.old.mkdir()
            path.replace(draft.old / path.name)
        new.replace(path)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` whole."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON to `path`, whole."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file; OSError or ValueError says why it cannot be read."""
    try:
        return json.loads(read_input(path, MOST_BYTES).decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("lists within lists, too deep to read") from None
