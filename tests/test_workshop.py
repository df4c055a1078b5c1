import json
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import helpers.workshop.__main__ as workshop
from helpers.common import ROOT, WorkshopError

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
    write(project, "03_third.ipynb", "pass")
    write(project, "04_fourth.ipynb", "pass")
    write(project, "05_cloud.ipynb", "1 / 0")
    workshop.run_workshop()
    copy = json.loads((project / "artifacts/full/notebooks/02_second.ipynb").read_text())
    assert copy["cells"][0]["outputs"][0]["text"] == ["made by 01\n"]
    printed = capsys.readouterr().out
    assert "0.913" in printed
    assert "artifacts/full/notebooks/01_first.html" in printed
    assert "artifacts/full/pictures/ (1 images)" in printed
    assert "05_cloud" not in printed


def test_without_notebooks_it_says_what_it_looked_for(project):
    with pytest.raises(WorkshopError, match=r"of none; found '01'\. Clone again"):
        workshop.run_workshop()


def test_runs_only_the_notebooks_that_are_named_in_the_order_of_the_names(project, capsys):
    write(project, "03_validate.ipynb", SAVE)
    workshop.run_workshop(["3"])
    assert "0.913" in capsys.readouterr().out
    for number in ("02", "05", "10"):
        write(project, f"{number}_any.ipynb", f"open('order.txt', 'a').write('{number} ')")
    workshop.run_workshop(["10", "5"])
    assert (project / "notebooks/order.txt").read_text() == "10 05 "
    assert "0.913" not in capsys.readouterr().out  # of another run


@pytest.mark.parametrize("number", ["11", "x", "../05", "*"])
def test_a_number_that_no_notebook_has_names_those_that_are_there(project, number):
    write(project, "05_any.ipynb", "pass")
    with pytest.raises(WorkshopError, match="of 05; found"):
        workshop.find_notebooks([number])


def test_every_target_of_the_makefile_that_uses_the_environment_sets_it_up():
    rules = re.findall(
        r"^([a-z-]+):([^#\n]*).*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    using = {name: needs for name, needs, recipe in rules if "$(BIN)" in recipe}
    assert {"workshop", "test", "lab", "bench", "ablation"} <= set(using)
    for name, needs in using.items():
        assert "$(VENV)/.installed" in needs or needs.split() == ["lint"], name
