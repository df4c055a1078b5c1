"""Hides what libraries print past Python's own streams."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def standard_error_silenced() -> Iterator[None]:
    """Sends file descriptor 2 to nowhere: compiled libraries write there, whatever Python says."""
    sys.stderr.flush()
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def quiet_tensorflow() -> None:
    """Lets TensorFlow print errors only; call it before TensorFlow is imported.

    Whoever has set TF_CPP_MIN_LOG_LEVEL keeps that.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
