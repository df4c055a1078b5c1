import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from helpers import workshop
from helpers.errors import WorkshopError

SAVE = """
from pathlib import Path
Path("../artifacts/full/pictures").mkdir(parents=True)
Path("../artifacts/full/pictures/one.png").touch()
Path("../artifacts/full/scores.json").write_text('{"gender": {"accuracy": 0.913, "macro_f1": 0.9}}')
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(workshop, "ROOT", tmp_path)
    monkeypatch.setattr(workshop, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(
        workshop, "artifacts_folder", lambda name: tmp_path / "artifacts/full" / name
    )
    (tmp_path / "notebooks").mkdir()
    return tmp_path


def write(project, name, source):
    notebook = new_notebook(cells=[new_code_cell(source)])
    nbformat.write(notebook, project / "notebooks" / name)


def test_runs_the_main_line_in_order_and_prints_scores_and_places(project, capsys):
    write(project, "02_second.ipynb", "print(open('first.txt').read())")
    write(project, "01_first.ipynb", "open('first.txt', 'w').write('made by 01')" + SAVE)
    write(project, "05_cloud.ipynb", "1 / 0")
    workshop.run_workshop()
    copy = json.loads((project / "artifacts/full/notebooks/02_second.ipynb").read_text())
    assert copy["cells"][0]["outputs"][0]["text"] == ["made by 01\n"]
    printed = capsys.readouterr().out
    assert "0.913" in printed
    assert "artifacts/full/notebooks/01_first.html" in printed
    assert "artifacts/full/pictures/ (1 pictures)" in printed
    assert "05_cloud" not in printed


def test_without_notebooks_it_says_what_it_looked_for(project):
    with pytest.raises(WorkshopError, match=r"0\[1-4\]_\*\.ipynb"):
        workshop.run_workshop()
