"""What a terminal or a notebook shows: a progress bar, and not what libraries print."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm


def progress_bar(**options: Any) -> tqdm:
    """Returns a `tqdm.tqdm` that goes away when it is done.

    Notebooks get it on standard output: they paint errors red, and lose `tqdm.notebook`'s bar.
    """
    # not by "ipykernel" alone, which plain processes import as well (pytest does, for nbval)
    ipython = sys.modules.get("IPython")
    in_notebook = getattr(ipython and ipython.get_ipython(), "kernel", None) is not None
    stream = sys.stdout if in_notebook else sys.stderr
    return tqdm(**{"file": stream, "leave": False, "mininterval": 0.3, **options})


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
