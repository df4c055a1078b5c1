"""The exercises' checks: "not answered yet", a hint, or "right", and never a traceback.

What is right, and the hints, stand in notebooks/exercises/, a file for each notebook.
"""

import functools
import re
import runpy
from collections.abc import Mapping
from typing import Any, NamedTuple

from helpers.common import ROOT, WorkshopError

NOT_ANSWERED = "not answered yet: put your answer in place of the three dots"
RIGHT = "right"


class Exercise(NamedTuple):
    """How an answer is checked, and the hint that a wrong one gets."""

    accepts: Any  # the right answer, or a function of the answer and the data after it
    hint: str  # leads a step further without giving the answer away


def check(name: str, answer: Any, *given: Any) -> None:
    """Prints the verdict on `answer`; `given` is data for the exercise's check."""
    print(verdict(name, answer, *given))


def is_right(name: str, answer: Any, *given: Any) -> bool:
    """Whether `answer` is right; what the solutions assert."""
    return verdict(name, answer, *given) == RIGHT


def verdict(name: str, answer: Any, *given: Any) -> str:
    """Returns `NOT_ANSWERED`, `RIGHT`, or a hint; an unknown name raises `WorkshopError`."""
    wanted, hint = _find(name)
    if answer is ...:
        return NOT_ANSWERED
    try:
        accepted = bool(wanted(answer, *given) if callable(wanted) else answer == wanted)
    except Exception:  # an answer of any type may come; whatever the check cannot read is wrong
        accepted = False
    return RIGHT if accepted else f"not yet: {hint}"


def near(answer: Any, wanted: float, within: float = 0.005) -> bool:
    """Whether a number is as good as `wanted`, which may have been rounded."""
    return abs(float(answer) - wanted) < within


def try_hint(name: str, names: Mapping[str, Any]) -> None:
    """Evaluates what a hint says in `backticks` with a solution's names, so that it stays true."""
    for code in re.findall(r"`([^`]+)`", _find(name).hint):
        eval(code, dict(names))


@functools.cache
def all_exercises() -> dict[str, Exercise]:
    """Returns every exercise by its name "NN-topic", NN being the notebook's number."""
    files = sorted((ROOT / "notebooks" / "exercises").glob("[0-9][0-9]_*.py"))
    return {k: v for file in files for k, v in runpy.run_path(str(file))["EXERCISES"].items()}


def _find(name: str) -> Exercise:
    exercises = all_exercises()
    if name not in exercises:
        raise WorkshopError(f"no exercise {name!r}. There are: {', '.join(sorted(exercises))}")
    return exercises[name]
