import pytest

from helpers import exercises
from helpers.errors import WorkshopError
from helpers.exercises import EXERCISES, NOT_ANSWERED, RIGHT, Exercise


@pytest.mark.parametrize("name", EXERCISES)
def test_three_dots_are_not_an_answer(name, capsys):
    exercises.check(name, ...)
    assert capsys.readouterr().out.strip() == NOT_ANSWERED
    assert not exercises.is_right(name, ...)


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", [None, "", -1, [], object(), "what?"])
def test_nonsense_gets_the_hint_and_never_a_traceback(name, answer):
    assert exercises.verdict(name, answer) == f"not yet: {EXERCISES[name].hint}"


def test_right_answer_with_data_of_the_notebook(monkeypatch):
    longest = Exercise(lambda answer, words: answer == max(words, key=len), "count the letters")
    monkeypatch.setitem(EXERCISES, "99-longest", longest)
    words = ["to", "three"]
    assert exercises.verdict("99-longest", "three", words) == RIGHT
    assert exercises.is_right("99-longest", "three", words)
    assert exercises.verdict("99-longest", "to", words) == "not yet: count the letters"


def test_outputs_exercise():
    assert exercises.is_right("00-outputs", 27)
    assert not exercises.is_right("00-outputs", 27.5)
    assert not exercises.is_right("00-outputs", 3)


def test_unknown_exercise_names_the_known_ones():
    with pytest.raises(WorkshopError, match="00-outputs"):
        exercises.check("00-typo", 1)
