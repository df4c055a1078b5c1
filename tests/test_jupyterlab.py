"""The main line's notebooks run in JupyterLab in a browser, as a learner runs them.

`python -m tests.jupyterlab --screenshots` saves an image of each under images/screenshots/.
"""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.jupyterlab import MAIN_LINE, find_chromium, open_browser, open_lab, run_all_cells

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
    with open_lab([*MAIN_LINE, broken_notebook]) as address, open_browser() as browser:
        yield browser, address


def test_an_error_is_seen(lab, broken_notebook):
    seen = run_all_cells(*lab, broken_notebook)
    assert (seen.cells, len(seen.errors), seen.images) == (3, 1, 0)
    assert "ZeroDivisionError" in seen.errors[0]


@pytest.mark.parametrize("path", MAIN_LINE, ids=lambda path: path.stem)
def test_notebook_runs_in_jupyterlab(lab, path):
    seen = run_all_cells(*lab, path)
    assert seen.errors == []
    assert seen.cells == sum(
        cell.cell_type == "code" for cell in nbformat.read(path, as_version=4).cells
    )
    assert seen.images > 0
    assert seen.broken_images == 0
