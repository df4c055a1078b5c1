"""Runs the workshop from start to end: notebooks 01 to 04 in full, then the scores.

python -m helpers.workshop            the main line
python -m helpers.workshop 08 09 10   these notebooks
"""

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from tqdm import tqdm

from helpers.common import ROOT, WorkshopError, artifacts_folder, read_json, write_text

NOTEBOOKS = ROOT / "notebooks"
MAIN_LINE = ("01", "02", "03", "04")
SCORES = "scores.json"  # written by 03_validate: {task: {metric: number}}
CELL_SECONDS = 1800  # a cell that takes longer hangs: the longest trains for minutes

_COLOR = re.compile(r"\x1b\[[0-9;]*m")


class WatchedClient(NotebookClient):
    """Runs a notebook and shows on a progress bar which cell runs and what it last printed."""

    def __init__(self, notebook: nbformat.NotebookNode, bar: tqdm, **options: Any):
        super().__init__(notebook, **options)
        self.bar = bar
        self.on_cell_executed = lambda **_: bar.update()

    def output(self, outs: list, msg: dict, *place: Any) -> Any:
        """Takes a message of the kernel as nbclient does, and shows its last line of text."""
        text = _COLOR.sub("", msg["content"].get("text") or "").strip()
        if text:
            self.bar.set_postfix_str(re.split(r"[\r\n]", text)[-1][:60])
        return super().output(outs, msg, *place)


def run_notebook(path: Path, folder: Path) -> float:
    """Runs the notebook `path`, writes a copy with outputs and a page of HTML into `folder`.

    The copy is written where a cell fails too, up to that cell.

    Returns:
        The seconds that it took.

    Raises:
        WorkshopError: a cell failed; the message shows the cell and the error.
    """
    notebook = nbformat.read(path, as_version=4)
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    start = time.monotonic()
    with tqdm(total=cells, desc=path.stem, unit="cell", dynamic_ncols=True) as bar:
        client = WatchedClient(
            notebook, bar, timeout=CELL_SECONDS, kernel_name="python3", coalesce_streams=True
        )  # what a progress bar overwrote is left out of the page
        client.resources = {"metadata": {"path": str(path.parent)}}
        try:
            client.execute(env=_kernel_environment())
        except CellExecutionError as error:
            raise WorkshopError(_failure(path, error)) from error
        finally:
            _write_copies(notebook, folder / path.name, path.parent)
    return time.monotonic() - start


def _kernel_environment() -> dict[str, str]:
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "JUPYTER_PREFER_ENV_PATH": "1"}
    return {**quiet, **os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _failure(path: Path, error: CellExecutionError) -> str:
    return f"a cell of {path.name} failed.\n{_COLOR.sub('', str(error)).strip()}"


def _write_copies(notebook: nbformat.NotebookNode, target: Path, pictures: Path) -> None:
    write_text(target, nbformat.writes(notebook))
    exporter = HTMLExporter(embed_images=True)  # the page stays whole when it is moved
    page, _ = exporter.from_notebook_node(
        notebook, {"metadata": {"name": target.stem, "path": str(pictures)}}
    )
    write_text(target.with_suffix(".html"), page)


def find_notebooks(numbers: Sequence[str] = MAIN_LINE) -> list[Path]:
    """Returns the notebooks with these numbers ("01" or "1"), in the order given.

    Raises:
        WorkshopError: there is none with that number.
    """
    paths = []
    for number in numbers:
        found = sorted(NOTEBOOKS.glob(f"{number:0>2}_*.ipynb")) if number.isdigit() else []
        if not found:
            there = sorted(path.name[:2] for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
            raise WorkshopError(
                f"expected numbers of notebooks in {NOTEBOOKS}, of {', '.join(there) or 'none'}; "
                f"found {number!r}. {'Choose one of them.' if there else 'Clone again.'}"
            )
        paths += found
    return paths


def run_workshop(numbers: Sequence[str] = MAIN_LINE) -> None:
    """Runs notebooks in the order given and prints scores and places.

    Raises:
        WorkshopError: a notebook failed, or there is none.
    """
    paths = find_notebooks(numbers)
    folder = artifacts_folder("notebooks")
    seconds = {path.stem: run_notebook(path, folder) for path in paths}
    for name, took in seconds.items():
        print(f"{name:28}{took / 60:6.1f} min")
    print(f"{'all':28}{sum(seconds.values()) / 60:6.1f} min\n")
    print(describe_results(scored=any(name.startswith("03") for name in seconds)))


def describe_results(scored: bool = True) -> str:
    """Returns the scores that 03 saved, and where the notebooks' pages and pictures are.

    Args:
        scored: whether the scores belong to what is told; those of an older run would mislead.
    """
    lines = []
    scores = artifacts_folder(SCORES)
    if scored and scores.exists():
        table = pd.DataFrame(read_json(scores)).T
        lines += [f"scores on unseen persons ({_short(scores)})", table.to_string(), ""]
    pages = sorted(artifacts_folder("notebooks").glob("*.html"))
    lines += ["look at", *(f"  {_short(page)}" for page in pages)]
    pictures = artifacts_folder("pictures")
    if pictures.exists():
        count = len(list(pictures.rglob("*.png")))
        lines.append(f"  {_short(pictures)}/ ({count} pictures)")
    return "\n".join(lines)


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT))
