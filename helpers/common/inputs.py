"""Files and archives that others made, or that were damaged since: only plain ones, and one error.

Archives are unpacked by our own hand, plain files and folders and nowhere else: tarfile's own
filters are whole only in some patch versions of Python (CVE-2025-4517).
"""

import errno
import gzip
import hashlib
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, NamedTuple

from helpers.common.errors import WorkshopError, expected, is_out_of_memory
from helpers.common.terminal import progress_bar

SUMS_FILE = "SHA256SUMS"  # of a folder, as `sha256sum --check` reads it
PIECE = 2**20  # bytes read at once, and so the largest header
MOST_MEMBERS = 500_000
LEAST_ROOM, TIMES = 2**26, 50  # bytes that may always be unpacked, and times the archive's own
LONGEST_PATH, LONGEST_NAME = 1000, 255  # bytes


def open_input(path: Path | str) -> BinaryIO:
    """Opens a plain file to read bytes; OSError also for a pipe or a device, which may not end."""

    def opener(path: str, flags: int) -> int:  # a pipe would wait for one who writes
        return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))

    try:
        file = open(path, "rb", opener=opener)  # noqa: SIM115 - the caller closes it
    except ValueError:
        raise OSError(errno.EINVAL, "a path with a NUL character", str(path)) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return file


def read_input(path: Path | str, most: int) -> bytes:
    """Returns the bytes of a plain file; OSError says also that they are more than `most`."""
    with open_input(path) as file:
        is_small = os.fstat(file.fileno()).st_size <= most
        if is_small and len(data := file.read(most + 1)) <= most:
            return data
    raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))


@contextmanager
def reading(path: Path, what: str, fix: str) -> Iterator[None]:
    """Makes one message, which names the file, of whatever a library raises for a damaged one."""
    try:
        yield
    except Exception as error:
        names_it = isinstance(error, WorkshopError) and str(path) in str(error)
        if names_it or is_out_of_memory(error):
            raise
        reason = next(iter(f"{error}".splitlines()), "")[:200] or type(error).__name__
        raise expected(what, f"none that can be read ({reason})", fix, path) from error


def digest(path: Path) -> str:
    """Returns the SHA-256 of a plain file, in hexadecimal."""
    with open_input(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path, *names: str) -> None:
    """Writes the digest of each file that these names stand for or hold into `SUMS_FILE`."""
    files = [file for name in names for file in _files(folder / name)]
    lines = [f"{digest(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")


def check_sums(folder: Path, name: str, fix: str) -> None:
    """Refuses a file, or a folder's files, that are not as written; older folders have no sums."""
    if not (folder / SUMS_FILE).is_file():
        return
    with reading(folder / SUMS_FILE, "SHA-256 sums of files", fix):
        lines = (folder / SUMS_FILE).read_text("utf-8").splitlines()
        noted = {path: sum_ for sum_, path in (line.split("  ", 1) for line in lines)}
    noted = {path: sum_ for path, sum_ in noted.items() if f"{path}/".startswith(f"{name}/")}
    found = {file.relative_to(folder).as_posix(): digest(file) for file in _files(folder / name)}
    for path in sorted(noted.keys() | found.keys()):
        if noted.get(path) != found.get(path):
            raise expected("the file as it was written", "a damaged or foreign one", fix, path)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


class _Member(NamedTuple):
    name: str
    size: int  # bytes
    is_plain: bool  # a file or a folder, and no link, device or the like
    is_folder: bool
    open: Callable[[], IO[bytes]]


class _Pieces:
    """A file as tarfile may read it: else it reads a header that is as long as it says it is."""

    def __init__(self, file: Any):
        self._file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= PIECE:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)


def extract(archive: Path, folder: Path) -> list[str]:
    """Unpacks a .zip, or a tar or tar.gz of another suffix; returns the names of its files.

    Files that are there with the right size stay. Owners, rights and times are not kept. An archive
    that is damaged raises a `WorkshopError`; so does, before anything is written, one that becomes
    far larger than it is, or holds something else than plain files and folders below `folder`.
    """
    archive, root = Path(archive), Path(folder).resolve()
    try:
        targets = _check(archive, root)
        bar = {"total": len(targets), "desc": f"unpacking {archive.name}", "delay": 1}
        for member, target in progress_bar(iterable=zip(_members(archive), targets), **bar):
            _write(member, target)
    except Exception as error:  # both libraries raise all kinds where a file is damaged
        if isinstance(error, WorkshopError) or (isinstance(error, OSError) and error.errno):
            raise  # the disk's own trouble is not the archive's
        found = f"a damaged one ({type(error).__name__}: {str(error)[:200]!r})"
        fix = "Delete it and get it again."
        raise expected("a whole archive", found, fix, archive) from error
    return [target.relative_to(root).as_posix() for target in targets if target.is_file()]


def _members(archive: Path) -> Iterator[_Member]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                kind, is_folder = stat.S_IFMT(member.external_attr >> 16), member.is_dir()
                is_plain = kind in (0, stat.S_IFDIR if is_folder else stat.S_IFREG)
                content = partial(zipped.open, member)
                yield _Member(member.filename, member.file_size, is_plain, is_folder, content)
        return
    with archive.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        content = gzip.GzipFile(fileobj=file) if packed else file
        with tarfile.open(fileobj=_Pieces(content), mode="r:") as tar:
            for info in tar:
                is_plain = info.isdir() or (info.isreg() and not info.issparse())
                content = partial(tar.extractfile, info)
                yield _Member(info.name, info.size, is_plain, info.isdir(), content)


def _check(archive: Path, root: Path) -> list[Path]:
    """Returns where each member goes; refuses the archive for one that may not be in it."""

    def refuse(what: str, found: object) -> WorkshopError:
        return expected(what, found, "Nothing was unpacked; do not use this archive.", archive)

    targets, files, folders, left = [], set(), set(), LEAST_ROOM + TIMES * archive.stat().st_size
    for member in _members(archive):
        target = _target(member.name, root)
        if not member.is_plain or member.size < 0 or target is None or target in files:
            raise refuse(f"plain files below {root}", repr(member.name[:200]))
        left -= member.size
        if left < 0 or len(targets) == MOST_MEMBERS:
            raise refuse(f"{MOST_MEMBERS:,} members, and {TIMES} times its own bytes", "more")
        targets.append(target)
        (folders if member.is_folder else files).add(target)
        folders.update(target.parents)
    if both := files & folders:
        raise refuse("a file or a folder", f"both at {min(both)}")
    return targets


def _target(name: str, root: Path) -> Path | None:
    """Returns where a name leads; None where it leads out of `root`, or is none."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not name.isprintable() or path.is_absolute() or ".." in path.parts:
        return None
    lengths = [len(part.encode()) for part in path.parts]
    if sum(lengths) > LONGEST_PATH or max(lengths, default=0) > LONGEST_NAME:
        return None
    target = (root / path).resolve()  # a link that was there before may lead out as well
    is_drive = ":" in name.partition("/")[0]
    return target if target.is_relative_to(root) and not is_drive else None


def _write(member: _Member, target: Path) -> None:
    if member.is_folder:
        target.mkdir(parents=True, exist_ok=True)
    elif not target.is_file() or target.stat().st_size != member.size:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            with member.open() as source, target.open("xb") as file:
                shutil.copyfileobj(source, file, PIECE)
        except BaseException:  # one that has the right size would stay the next time
            target.unlink(missing_ok=True)
            raise
