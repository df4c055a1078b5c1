"""Files that others made: read only where they are plain files, and no more than was agreed."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


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
