"""Errors that the user can fix, and the one place that turns them into an exit code."""

import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path


class WorkshopError(Exception):
    """A mistake that the user can fix: commands print it without a traceback and end with 2."""


def expected(what: str, found: object, fix: str, where: object = "") -> WorkshopError:
    """Returns the error to raise; `fix` is a sentence, `where` is the file, flag or row."""
    place = f"{where}: " if where else ""
    return WorkshopError(f"{place}expected {what}, found {str(found).rstrip('.')}. {fix}")


def more(section: str) -> str:
    """Returns the end of a message that a section of the page of troubles explains."""
    return f" More: docs/troubleshooting.md#{section}"


def run_command(main: Callable[[], None]) -> None:
    """Runs `main`; exits with 2 for what the user can fix, with 130 for Ctrl-C.

    That is bad input, a path or a disk that will not do, and too little memory. Anything else is a
    mistake of ours, and keeps its traceback.
    """
    _make_output_accept_all_text()
    try:
        if any(text.endswith("=--") for text in sys.argv[1:]):  # argparse makes a list of it
            raise expected("a value", "'--'", "Give the flag another one.", "command line")
        main()
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        print(f"\nstopped. {stop}".rstrip(), file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # whoever reads has seen enough: predict ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
        sys.exit(0)
    except Exception as error:
        if not (message := _message(error)):
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)


def _make_output_accept_all_text() -> None:
    if sys.stdout is None:  # closed: >&-
        sys.stdout = Path(os.devnull).open("w", errors="replace")  # noqa: SIM115 - as long as we run
    elif isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # an ASCII terminal, or the name of a file that is not UTF-8: \xe9 instead of a stop
        sys.stdout.reconfigure(errors="backslashreplace")


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether Python's or TensorFlow's memory has ended."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def _message(error: Exception) -> str:
    """Returns what to tell the user; nothing for an error that only we can fix."""
    text, name = str(error), type(error).__name__
    if isinstance(error, WorkshopError):
        return text
    where = f": {error.filename}" if getattr(error, "filename", None) else ""
    if full := next((number for number in _FULL if os.strerror(number) in text), None):
        return f"{os.strerror(full)}{where}. {_FULL_ADVICE}"  # whatever library met it
    if isinstance(error, OSError) and (where or error.errno in _ADVICE):
        advice = _ADVICE.get(error.errno, "Correct that path, or choose another --out.")
        return f"{error.strerror or text}{where}. {advice}"
    if is_out_of_memory(error):
        return f"not enough memory ({text.splitlines()[0] if text else name}). {_MEMORY_ADVICE}"
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return str(expected("text in UTF-8", ascii(error.object[:200]), "Rename that file."))
    if isinstance(error, ValueError) and text.startswith("embedded null"):  # byte or character
        return str(expected("a path", "one with a NUL character", "Correct it."))
    return ""


_MEMORY_ADVICE = "Use smaller images or batches (--image-size, --batch-size), or a larger machine."
_MEMORY_ADVICE += more("not-enough-memory")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_ADVICE = "Free some space or choose another --out, then run the same command again."
_FULL_ADVICE += more("no-space-left-on-device")
_ADVICE = {
    errno.EACCES: "Choose an --out that you may write to, or change the folder's permissions.",
    errno.EPERM: "Choose an --out that you may write to, or change the folder's permissions.",
    errno.EMFILE: "Allow more open files (ulimit -n), or use fewer processes.",
}
