"""A notebook that is broken fails the tests: by nbval where a cell raises, else by its form."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.common import WorkshopError
from helpers.workshop.__main__ import run_notebook
from tests import notebook_form as form

KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def write(path, *sources):
    cells = [new_markdown_cell("# A lesson"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL), path)
    return path


def run_nbval(*paths):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval-lax"]
    folder = paths[0].parent
    command += ["--nbval-current-env", "--rootdir", str(folder), *map(str, paths)]
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_nbval_fails_where_a_cell_raises_and_passes_a_sound_notebook(tmp_path):
    sound = write(tmp_path / "sound.ipynb", "x = 1", "x / 1")
    result = run_nbval(sound, write(tmp_path / "raises.ipynb", "x = 1", "x / 0"))
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stdout
    assert "FAILED raises.ipynb::Cell 1" in result.stdout
    assert "1 failed, 3 passed" in result.stdout


@pytest.mark.parametrize("line", ["!false", "%nosuchmagic", "%%bash\nfalse", "input()"])
def test_form_refuses_what_nbval_would_pass(tmp_path, line):
    path = write(tmp_path / "shell.ipynb", "x = 1", line)
    assert len(list(form.code_problems(path))) == 1


def test_form_refuses_stored_outputs_and_dead_links(tmp_path):
    cell = new_code_cell("1 + 1", execution_count=1)
    notebook = new_notebook(cells=[new_markdown_cell("[on](nowhere.ipynb)"), cell], metadata=KERNEL)
    path = tmp_path / "stored.ipynb"
    nbformat.write(notebook, path)
    assert len(list(form.stored_problems(path))) == 1
    assert list(form.link_problems(path)) == ["dead link nowhere.ipynb"]


def test_form_refuses_long_cells_and_long_runs(tmp_path):
    path = write(tmp_path / "long.ipynb", *["x = 1"] * 3, "\n".join(["x = 1"] * 31))
    problems = list(form.shape_problems(path))
    assert problems == [
        "a code cell has 31 lines, more than 30",
        "4 code cells without a word between them",
    ]


def test_form_refuses_another_opening_and_ending(tmp_path):
    path = write(tmp_path / "01_something_else.ipynb", "x = 1")
    assert len(list(form.opening_problems(path))) == 4
    assert len(list(form.ending_problems(path))) == 2


def test_workshop_names_the_failing_cell_and_keeps_the_copy(tmp_path):
    path = write(tmp_path / "01_raises.ipynb", "print('so far')", "wrong_name")
    with pytest.raises(WorkshopError, match=r"01_raises\.ipynb(.|\n)*wrong_name(.|\n)*NameError"):
        run_notebook(path, tmp_path / "out")
    copy = nbformat.read(tmp_path / "out" / path.name, as_version=4)
    assert copy.cells[1].outputs[0].text == "so far\n"
    assert "so far" in (tmp_path / "out" / "01_raises.html").read_text()
