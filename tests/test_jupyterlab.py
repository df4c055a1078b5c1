"""A notebook runs in JupyterLab in a browser, as a learner runs it; so does one with an error.

01 is the cheapest that shows progress, tables and figures, and needs no other notebook. The suite
runs the rest without a browser; `python -m tests.jupyterlab` opens all of 01 to 04.
"""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.jupyterlab import (
    MAIN_LINE,
    find_chromium,
    open_browser,
    open_lab,
    run_all_cells,
)

OPENED = MAIN_LINE[0]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        find_chromium() is None,
        reason="no Chromium on this machine (apt-get install chromium, or name one in "
        "WORKSHOP_CHROMIUM)",
    ),
]


@pytest.fixture(scope="module")
def broken_notebook(tmp_path_factory):
    path = tmp_path_factory.mktemp("broken") / "99_broken.ipynb"
    cells = [new_code_cell("1 + 1"), new_code_cell("1 / 0"), new_code_cell("2 + 2")]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


@pytest.fixture(scope="module")
def lab(broken_notebook):
    with open_lab([OPENED, broken_notebook]) as address, open_browser() as browser:
        yield browser, address


def test_an_error_is_seen(lab, broken_notebook):
    seen = run_all_cells(*lab, broken_notebook)
    assert (seen.cells, len(seen.errors), seen.images) == (3, 1, 0)
    assert "ZeroDivisionError" in seen.errors[0]


def test_notebook_runs_in_jupyterlab(lab):
    seen = run_all_cells(*lab, OPENED)
    assert seen.errors == []
    assert seen.cells == sum(
        cell.cell_type == "code" for cell in nbformat.read(OPENED, as_version=4).cells
    )
    assert seen.images > 0
    assert seen.broken_images == 0
