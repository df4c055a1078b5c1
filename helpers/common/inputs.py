"""Files that others made: read only where they are plain files, and no more than was agreed."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_input(path: Path | str) -> BinaryIO:
    """Opens a plain file to read bytes; OSError says also that it is a pipe or a device.

    Those would wait for a writer, or never end.
    """
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - the caller's
    except ValueError:
        raise OSError(errno.EINVAL, "a path with a NUL character", str(path)) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return file


def read_input(path: Path | str, most: int) -> bytes:
    """Returns the bytes of a plain file; OSError says also that they are more than `most`."""
    with open_input(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
    return data


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
