import ast
import re
from pathlib import Path

import pandas as pd
import pytest

from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest
from helpers.workshop import exercises
from helpers.workshop.exercises import NOT_ANSWERED, RIGHT, Exercise, all_exercises
from tests.notebook_form import NOTEBOOKS, code_cells, prose, read


@pytest.mark.parametrize("name", all_exercises())
def test_three_dots_are_not_an_answer(name, capsys):
    exercises.check(name, ...)
    assert capsys.readouterr().out.strip() == NOT_ANSWERED
    assert not exercises.is_right(name, ...)


@pytest.mark.parametrize("name", all_exercises())
@pytest.mark.parametrize("answer", [None, "", -1, [], object(), "what?"])
def test_nonsense_gets_the_hint_and_never_a_traceback(name, answer):
    assert exercises.verdict(name, answer) == f"not yet: {all_exercises()[name].hint}"


def test_right_answer_with_data_of_the_notebook(monkeypatch):
    longest = Exercise(lambda answer, words: answer == max(words, key=len), "count the letters")
    monkeypatch.setitem(all_exercises(), "99-longest", longest)
    words = ["to", "three"]
    assert exercises.verdict("99-longest", "three", words) == RIGHT
    assert exercises.is_right("99-longest", "three", words)
    assert exercises.verdict("99-longest", "to", words) == "not yet: count the letters"


def test_outputs_exercise():
    assert exercises.is_right("00-outputs", 27)
    assert not exercises.is_right("00-outputs", 27.5)
    assert not exercises.is_right("00-outputs", 3)


def people(**columns):
    """Four images with hat (half yes) and bag (all no where known)."""
    frame = {
        "image_path": ["a", "b", "c", "d"],
        "hat": ["yes", "no", "yes", "no"],
        "bag": ["no", "no", "no", ""],
    }
    labels = Labels({"hat": ("yes", "no"), "bag": ("yes", "no")})
    return Manifest(pd.DataFrame(frame | columns), labels, Path())


@pytest.mark.parametrize("name", all_exercises())
def test_what_a_hint_names_is_given_to_the_exercise_or_imported(name):
    """Variables of the cells of the exercise, and what the notebook or its text imports."""
    (path,) = NOTEBOOKS.glob(f"{name[:2]}_*.ipynb")
    sources = code_cells(read(path))
    place = next(i for i, source in enumerate(sources) if f'"{name}"' in source)
    known = set(re.findall(r"\w+", "".join(re.findall(r"`helpers[.\w]+", prose(read(path))))))
    for source in sources[place - 1 : place + 1]:
        known |= {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            known |= {alias.asname or alias.name for alias in node.names}
    named = re.findall(r"(?<![\w.'])([a-z_]\w*)(?=\.[A-Za-z_]|\[')", all_exercises()[name].hint)
    assert set(named) <= known, f"{path.name} has no {set(named) - known}"


def test_unknown_exercise_names_the_known_ones():
    with pytest.raises(WorkshopError, match="00-outputs"):
        exercises.check("00-typo", 1)
