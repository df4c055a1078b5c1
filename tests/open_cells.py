"""Runs the cells of a notebook that teach in the open, so that tests hold them to the package."""

from typing import Any

from tests.notebook_form import NOTEBOOKS, read


def run_cells(notebook: str, tag: str, names: dict[str, Any]) -> dict[str, Any]:
    """Executes the cells with `tag`, in order, and returns the names they leave.

    `names` is what the notebook has defined before, small where the notebook's own is large.
    """
    cells = read(NOTEBOOKS / f"{notebook}.ipynb").cells
    chosen = [cell.source for cell in cells if tag in cell.metadata.get("tags", [])]
    assert chosen, f"{notebook} has no cell with the tag {tag}"
    for source in chosen:
        exec(compile(source, notebook, "exec"), names)
    return names
