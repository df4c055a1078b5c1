"""Runs notebooks, 01 to 04 in full where none is named, keeps them, and prints the scores.

python -m helpers.workshop            the main line
python -m helpers.workshop 10 11 12   these notebooks
"""

import argparse
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pandas as pd
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from tqdm import tqdm

from helpers.common import (
    ROOT,
    WorkshopError,
    artifacts_folder,
    more,
    read_json,
    run_command,
    write_text,
)

NOTEBOOKS = ROOT / "notebooks"
MAIN_LINE = ("01", "02", "03", "04")
SCORES = "scores.json"  # written by 03_validate: {task: {metric: number}}
CELL_SECONDS = 1800  # a cell that takes longer hangs: the longest trains for minutes

_COLOR = re.compile(r"\x1b\[[0-9;]*m")


def run_notebook(path: Path, folder: Path) -> float:
    """Runs the notebook `path`, writes it with outputs and as HTML to `folder`; returns seconds.

    Where a cell fails, all is written up to that cell, and `WorkshopError` shows cell and error.
    """
    notebook = nbformat.read(path, as_version=4)
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    modules = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "JUPYTER_PREFER_ENV_PATH": "1"}
    environment = {**quiet, **os.environ, "PYTHONPATH": os.pathsep.join(modules)}
    start = time.monotonic()
    with tqdm(total=cells, desc=path.stem, unit="cell", dynamic_ncols=True) as bar:
        # coalesce_streams leaves out what a progress bar overwrote
        options = {"timeout": CELL_SECONDS, "kernel_name": "python3", "coalesce_streams": True}
        # the kernel warns that the loopback, which its messages never leave, is not encrypted
        options["extra_arguments"] = ["--IPKernelApp.log_level=ERROR"]
        place = {"metadata": {"path": str(path.parent)}}
        client = NotebookClient(notebook, resources=place, **options)
        client.on_cell_executed = lambda **_: bar.update()
        try:
            client.execute(env=environment)
        except CellExecutionError as error:
            reason = _COLOR.sub("", str(error)).strip()
            raise WorkshopError(f"a cell of {path.name} failed.\n{reason}") from error
        except DeadKernelError as error:
            died = f"the kernel of {path.name} died, most likely for lack of memory."
            raise WorkshopError(died + more("the-kernel-dies")) from error
        except CellTimeoutError as error:
            hangs = f"a cell of {path.name} ran for more than {CELL_SECONDS} s."
            raise WorkshopError(hangs + more("a-cell-hangs")) from error
        finally:
            write_text(folder / path.name, nbformat.writes(notebook))
            # with its images inside, the page stays whole when it is moved
            place["metadata"]["name"] = path.stem
            page, _ = HTMLExporter(embed_images=True).from_notebook_node(notebook, place)
            write_text(folder / f"{path.stem}.html", page)
    return time.monotonic() - start


def find_notebooks(numbers: Sequence[str] = MAIN_LINE) -> list[Path]:
    """Returns the notebooks with these numbers ("01" or "1"), in the order given."""
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
    """Runs notebooks in the order given and prints scores and places."""
    paths = find_notebooks(numbers)
    folder = artifacts_folder("notebooks")
    seconds = {path.stem: run_notebook(path, folder) for path in paths}
    for name, took in seconds.items():
        print(f"{name:28}{took / 60:6.1f} min")
    print(f"{'all':28}{sum(seconds.values()) / 60:6.1f} min\n")
    print(describe_results(scored=any(name.startswith("03") for name in seconds)))


def describe_results(scored: bool = True) -> str:
    """Returns where pages and images are and, if `scored`, what 03 saved: not an older run's."""
    lines = []
    scores = artifacts_folder(SCORES)
    if scored and scores.exists():
        table = pd.DataFrame(read_json(scores)).T
        lines += [f"scores on unseen people ({scores.relative_to(ROOT)})", table.to_string(), ""]
    pages = sorted(artifacts_folder("notebooks").glob("*.html"))
    lines += ["look at", *(f"  {page.relative_to(ROOT)}" for page in pages)]
    images = artifacts_folder("pictures")
    if images.exists():
        lines.append(f"  {images.relative_to(ROOT)}/ ({len(list(images.rglob('*.png')))} images)")
    return "\n".join(lines)


def main() -> None:
    """Runs the workshop; `--scores` only prints the results of the last run again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", help="their numbers (default: 01 to 04)")
    parser.add_argument("--scores", action="store_true", help="print the last run's results only")
    args = parser.parse_args()
    if args.scores:
        print(describe_results())
    else:
        run_workshop(args.notebooks or MAIN_LINE)


if __name__ == "__main__":
    run_command(main)
