"""The exercises' checks: "not answered yet", a hint, or "right", and never a traceback.

`exercises.check("01-people", answer, manifest)` stands in the notebook, with the data that the
check needs after the answer, and `assert exercises.is_right(...)` in its solution.
"""

import re
from typing import Any, NamedTuple

import numpy as np

from helpers.common import WorkshopError
from helpers.scores import choose_threshold, score_by

NOT_ANSWERED = "not answered yet: put your answer in the place of the three dots"
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
    if name not in EXERCISES:
        raise WorkshopError(f"no exercise {name!r}. There are: {', '.join(sorted(EXERCISES))}")
    if answer is ...:
        return NOT_ANSWERED
    wanted, hint = EXERCISES[name]
    try:
        accepted = bool(wanted(answer, *given) if callable(wanted) else answer == wanted)
    except Exception:  # an answer of any type may come; whatever the check cannot read is wrong
        accepted = False
    return RIGHT if accepted else f"not yet: {hint}"


def _near(answer: Any, wanted: float, within: float = 0.005) -> bool:
    return abs(float(answer) - wanted) < within


def _majority(manifest: Any, task: str) -> float:
    names = manifest.frame[task]
    return names[names != ""].value_counts(normalize=True).max()


def _disagreement(answer: Any, manifest: Any) -> bool:
    known = manifest.frame["top_color"] != ""
    colors = manifest.frame["top_color"][known].groupby(manifest.groups[known])
    return answer == (colors.nunique() > 1).sum()


def _halves(answer: Any) -> bool:
    train, test = answer.subset("train"), answer.subset("test")
    whole = len(train) + len(test) == len(answer)
    even = abs(len(train) / len(answer) - 0.5) < 0.08  # people are not cut in two
    return whole and even and not set(train.groups) & set(test.groups)


def _signs(answer: Any) -> bool:
    changes = (answer.shift, answer.zoom, answer.rotation, answer.brightness, answer.contrast)
    return answer.flip == 0 and any(changes) and answer.rotation <= 20 and answer.tint <= 0.2


def _quality(answer: Any, manifest: Any, probabilities: Any, task: str) -> bool:
    values = manifest.frame["imagequality"]
    table = score_by(manifest.targets(task), probabilities[task], values, bootstraps=0)
    return table.loc[answer, "accuracy"] == table["accuracy"].min()


def _leak(answer: Any, manifest: Any) -> bool:
    known, people = manifest.subset("train").groups, manifest.subset("validation").groups
    return _near(answer, np.isin(people, known).mean())


def _threshold(answer: Any, targets: Any, probabilities: Any) -> bool:
    wanted = choose_threshold(targets, probabilities, wanted_accuracy=0.9).threshold
    answer = float(getattr(answer, "threshold", answer))
    return answer == wanted or _near(answer, wanted)  # the first also where both are infinite


def _tracks(answer: Any, manifest: Any) -> bool:
    counts = manifest.frame["sign"].value_counts()
    rarest = counts.index[counts == counts.min()]  # several may be as rare
    return answer in set(manifest.frame.groupby("sign")["group"].nunique()[rarest])


def _pattern(answer: Any) -> bool:
    line = "validation sign accuracy=0.9310; test sign accuracy=0.9240;"
    found = re.search(answer, line)
    return float(found[1]) == 0.924 and re.search(answer, line.split(";")[0]) is None


# "NN-topic", NN being the notebook's number. notebooks/README.md says how to add one.
EXERCISES: dict[str, Exercise] = {
    "00-outputs": Exercise(
        3 + 12 + 12, "every class of every task gets a probability of its own. Add the classes up."
    ),
    "01-largest-class": Exercise(
        lambda answer, manifest: _near(answer, _majority(manifest, "age")),
        "a fraction between 0 and 1: the images of the largest class among those with a label.",
    ),
    "01-disagreement": Exercise(
        _disagreement,
        "leave the empty cells out, then count the different labels within each group.",
    ),
    "01-halves": Exercise(
        _halves,
        "split_by_group takes a dict of fractions; name the two sides that you want and no other.",
    ),
    "01-signs": Exercise(
        _signs,
        "what does a mirror, a quarter turn or another color make of a sign? Some change is fine.",
    ),
    "02-head": Exercise(
        lambda answer, model: answer == model.get_layer("top_color").count_params(),
        "a dense layer has a weight for each pair of unit and class. What else does it have?",
    ),
    "02-loss": Exercise(
        "nothing", "what does guessing cost? It is log(classes) for each task; add the three."
    ),
    "02-epoch": Exercise(
        lambda answer, log: (
            log.val_gender_accuracy[log.epoch == answer].eq(log.val_gender_accuracy.max()).any()
        ),
        "the column val_gender_accuracy; its idxmax() names a row, and that row has an epoch.",
    ),
    "03-floor": Exercise(
        lambda answer, manifest: (
            _majority(manifest, answer) == max(_majority(manifest, task) for task in manifest.tasks)
        ),
        "go through every_task.tasks. Of each, take the column of every_task.frame, drop the empty "
        "cells, and let value_counts(normalize=True) give the fractions.",
    ),
    "03-quality": Exercise(
        _quality,
        "metrics.score_by takes targets, probabilities and test.frame['imagequality']. The answer "
        "is the index of the row with the lowest accuracy: idxmin().",
    ),
    "03-leak": Exercise(
        _leak,
        "shuffled.subset('train').groups are the people of the training images. Ask of each "
        "of shuffled.subset('validation').groups whether it is among them; take the mean.",
    ),
    "04-all-sure": Exercise(
        lambda answer, sure: _near(answer, np.asarray(sure, bool).all(axis=1).mean()),
        "an image counts if all of its columns are true: pandas has all(axis=1).",
    ),
    "04-threshold": Exercise(
        _threshold,
        "metrics.choose_threshold with other numbers; what is chosen is not chosen on test.",
    ),
    "04-export": Exercise(
        "LiteRT, from files",
        "which ways start from the bytes of a file, and which of these run without TensorFlow?",
    ),
    "07-tracks": Exercise(
        _tracks,
        "value_counts() of the column sign names the rarest; count the different groups of its "
        "rows with nunique().",
    ),
    "07-price": Exercise(
        lambda answer: _near(answer, 4 * 0.75 * 0.204),
        "prices.price_per_hour gives the price of one machine for an hour. How many machine-hours "
        "are 4 machines in 45 minutes?",
    ),
    "07-pattern": Exercise(
        _pattern,
        "a text with the name of the metric, an equals sign, and ([0-9.]+) for the number. It must "
        "not find the validation accuracy.",
    ),
    "08-limit": Exercise(
        4 * 1024 * 1024 // (60_000 // 3 * 4),
        "how many letters does one file become? A part of a file does not fit.",
    ),
    "08-precision": Exercise(
        lambda answer, by_class: by_class["precision"][answer] == by_class["precision"].min(),
        "by_class['precision'].idxmin() leaves out what is nan.",
    ),
    "08-status": Exercise(
        lambda answer: int(answer) == 413,
        "4xx is the sender's mistake; which of them says that a body is too large?",
    ),
    "09-outputs": Exercise(
        2 + 3 + 5 + 4 + 3 + 3 + 4 + 3,
        "every class of every task has an output; hvc.TASKS holds the classes of each task.",
    ),
    "09-work": Exercise(
        4, "how many times as many pixels does a 200x200 image have as a 100x100 one?"
    ),
    "09-floor": Exercise(
        lambda answer, scores: scores["lift"][answer] == scores["lift"].min(),
        "the answer is the name of a row of scores; its column lift has an idxmin().",
    ),
    "10-difficult": Exercise(
        lambda answer, found: answer == sum(box.difficult for one in found for box in one.boxes),
        "each image of found has boxes, and each box says whether it is difficult.",
    ),
    "10-pixels": Exercise(
        lambda answer, one, width: _near(answer, np.diff(one["boxes"][0][1::2])[0] * width, 0.6),
        "the order is ymin, xmin, ymax, xmax, and x counts along the width.",
    ),
    "11-anchors": Exercise(
        2 * (32**2 + 16**2 + 8**2),
        "how many cells does each of the three maps have? Every cell has an anchor for each ratio.",
    ),
    "11-iou": Exercise(
        lambda answer: _near(answer, 1 / 3),
        "the shared area by what both cover together; do not count the shared part twice.",
    ),
    "12-strict": Exercise(
        lambda answer, found: answer == sum(person.score >= 0.9 for person in found.people),
        "go through found.people and look at the score of each.",
    ),
    "12-batch": Exercise(24, "a batch that is not full is padded; how many does a batch hold?"),
}
