"""The exercises' checks: "not answered yet", a hint, or "right", and never a traceback.

In a notebook:   answer = ...
                 exercises.check("00-outputs", answer)
In its solution: assert exercises.is_right("00-outputs", answer)

An exercise that asks about data gets that data after the answer, as further arguments:
`exercises.check("01-persons", answer, manifest)`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from helpers.errors import WorkshopError

NOT_ANSWERED = "not answered yet: put your answer in the place of the three dots"
RIGHT = "right"


@dataclass(frozen=True)
class Exercise:
    """An exercise's check and the hint that a wrong answer gets.

    Attributes:
        accepts: gets the answer and what the notebook gives besides; True where it is right.
        hint: leads a step further without giving the answer away.
    """

    accepts: Callable[..., bool]
    hint: str


def check(name: str, answer: Any, *given: Any) -> None:
    """Prints what the exercise `name` says to `answer`; `given` goes on to its check."""
    print(verdict(name, answer, *given))


def is_right(name: str, answer: Any, *given: Any) -> bool:
    """Tells whether `answer` is right; what the solutions assert."""
    return verdict(name, answer, *given) == RIGHT


def verdict(name: str, answer: Any, *given: Any) -> str:
    """Returns `NOT_ANSWERED`, `RIGHT`, or a hint.

    Raises:
        WorkshopError: there is no exercise of that name.
    """
    if name not in EXERCISES:
        raise WorkshopError(f"no exercise {name!r}. There are: {', '.join(sorted(EXERCISES))}")
    if answer is ...:
        return NOT_ANSWERED
    exercise = EXERCISES[name]
    try:
        accepted = bool(exercise.accepts(answer, *given))
    except Exception:  # an answer of any type may come; whatever the check cannot read is wrong
        accepted = False
    return RIGHT if accepted else f"not yet: {exercise.hint}"


def _one_output_per_class(answer: Any) -> bool:
    return int(answer) == answer == 3 + 12 + 12


# "NN-topic", NN being the notebook's number. notebooks/README.md says how to add one.
EXERCISES: dict[str, Exercise] = {
    "00-outputs": Exercise(
        _one_output_per_class,
        "every class of every task gets a probability of its own. Add the classes up.",
    ),
}
