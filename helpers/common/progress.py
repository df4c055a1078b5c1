"""The one kind of progress bar."""

import sys
from typing import Any

from tqdm import tqdm


def _in_notebook() -> bool:
    # not by "ipykernel" alone, which plain processes import as well (pytest does, for nbval)
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


def progress_bar(**options: Any) -> tqdm:
    """Returns a bar that goes away when it is done; the options are those of `tqdm.tqdm`.

    A notebook paints standard error red, and the bar of `tqdm.notebook` is lost when a notebook
    is saved as a page; so a notebook gets the plain bar on standard output.
    """
    stream = sys.stdout if _in_notebook() else sys.stderr
    return tqdm(**{"file": stream, "leave": False, "mininterval": 0.3, **options})
