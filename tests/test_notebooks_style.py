"""The committed notebooks have the form that notebooks/README.md asks for, and no dead link."""

import pytest

from helpers.workshop.exercises import all_exercises
from tests import notebook_form as form

ALL = form.LESSONS + form.SOLUTIONS
PAGES = [
    path
    for path in [*form.ROOT.glob("*.md"), *form.ROOT.glob("[a-z]*/**/*.md")]
    if path.relative_to(form.ROOT).parts[0] not in ("artifacts", "build")
]
HELPER_NAMES = form.names_defined_in(form.ROOT / "helpers")


def by_name(path):
    return str(path.relative_to(form.ROOT))


@pytest.mark.parametrize("path", ALL, ids=by_name)
def test_notebook_is_committed_clean(path):
    assert list(form.stored_problems(path)) == []


@pytest.mark.parametrize("path", ALL, ids=by_name)
def test_code_is_plain_python(path):
    assert list(form.code_problems(path)) == []


@pytest.mark.parametrize("path", ALL, ids=by_name)
def test_cells_are_short_and_explained(path):
    assert list(form.shape_problems(path)) == []


@pytest.mark.parametrize("path", ALL, ids=by_name)
def test_nothing_stands_in_notebook_and_package(path):
    assert list(form.twin_problems(path, HELPER_NAMES)) == []


@pytest.mark.parametrize("path", ALL + PAGES, ids=by_name)
def test_relative_links_lead_somewhere(path):
    assert list(form.link_problems(path)) == []


@pytest.mark.parametrize("path", form.LESSONS, ids=by_name)
def test_opening(path):
    assert list(form.opening_problems(path)) == []


@pytest.mark.parametrize("path", form.LESSONS, ids=by_name)
def test_ending(path):
    assert list(form.ending_problems(path)) == []


@pytest.mark.parametrize("path", form.LESSONS, ids=by_name)
def test_exercises_are_known_and_solved(path):
    asked = form.exercise_calls(path, "check")
    solution = form.NOTEBOOKS / "solutions" / path.name
    solved = form.exercise_calls(solution, "is_right") if solution.exists() else []
    assert solved == asked, f"solutions/{path.name} asserts is_right for each exercise, in order"
    assert set(asked) <= set(all_exercises())
    assert all(name.startswith(path.stem[:2]) for name in asked)


@pytest.mark.parametrize("path", form.SOLUTIONS, ids=by_name)
def test_solution_fails_where_its_answer_is_wrong(path):
    asserts = [
        line
        for source in form.code_cells(form.read(path))
        for line in source.splitlines()
        if line.startswith("assert exercises.is_right(")
    ]
    assert len(asserts) == len(form.exercise_calls(path, "is_right"))


@pytest.mark.parametrize("path", [form.LESSONS[0], form.ROOT / "README.md"], ids=by_name)
def test_tables_of_contents_name_every_notebook(path):
    text = path.read_text(encoding="utf-8")
    assert all(lesson.name in text for lesson in form.LESSONS[1:])
    assert list(form.contents_problems(path)) == []


def test_every_exercise_is_asked():
    asked = {name for path in form.LESSONS for name in form.exercise_calls(path, "check")}
    assert asked == set(all_exercises())
