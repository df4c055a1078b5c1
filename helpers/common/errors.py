"""Errors that the user can fix, and the one place that turns them into an exit code."""

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn


class WorkshopError(Exception):
    """A mistake that the user can fix: commands print it without a traceback and end with 2."""


def expected(what: str, found: object, fix: str, where: object = "") -> WorkshopError:
    """Returns the error to raise; `fix` is a sentence, `where` is the file, flag or row."""
    return WorkshopError(f"{where}{': ' if where else ''}expected {what}, found {found}. {fix}")


def run_command(main: Callable[[], None]) -> None:
    """Runs `main`; exits with 2 for bad input, a full or unwritable disk, with 130 for Ctrl-C."""
    try:
        main()
    except WorkshopError as error:
        _fail(str(error))
    except KeyboardInterrupt as stop:
        print(f"\nstopped. {stop}".rstrip(), file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # whoever reads has seen enough: predict ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
        sys.exit(0)
    except OSError as error:
        if error.errno not in _DISK_ADVICE:
            raise
        where = f": {error.filename}" if error.filename else ""  # a full disk names no file
        _fail(f"{os.strerror(error.errno)}{where}. {_DISK_ADVICE[error.errno]}")


_DISK_ADVICE = {
    errno.ENOSPC: "Free some space or choose another --out, then run the same command again.",
    errno.EDQUOT: "Free some of your quota or choose another --out, then run it again.",
    errno.EACCES: "Choose an --out that you may write to, or change the folder's permissions.",
    errno.EPERM: "Choose an --out that you may write to, or change the folder's permissions.",
    errno.EROFS: "The file system is read-only. Choose another --out.",
    errno.EFBIG: "A file would be larger than this system allows. Choose another --out.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EISDIR: "Name a file in that folder.",
    errno.ENOTDIR: "A part of that path is a file. Choose another --out.",
}


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
