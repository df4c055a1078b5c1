"""Files that others made, or that may have been damaged since: plain ones, read with one error."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from helpers.common.errors import WorkshopError, expected, is_out_of_memory

SUMS_FILE = "SHA256SUMS"  # of a folder, as `sha256sum --check` reads it


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
