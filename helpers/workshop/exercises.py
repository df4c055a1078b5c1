"""The exercises' checks: "not answered yet", a hint, or "right", and never a traceback.

In a notebook:   answer = ...
                 exercises.check("00-outputs", answer)
In its solution: assert exercises.is_right("00-outputs", answer)

An exercise that asks about data gets that data after the answer, as further arguments:
`exercises.check("01-persons", answer, manifest)`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.sources import hvc
from helpers.common import ROOT, WorkshopError, read_json
from helpers.scores import choose_threshold, score_by
from helpers.train import PUBLISHED_ATTRIBUTES, shares_of_work

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


def _share_of_largest_age(answer: Any, manifest: Any) -> bool:
    ages = manifest.targets("age")
    counts = np.bincount(ages[ages >= 0])
    return abs(float(answer) - counts.max() / counts.sum()) < 0.005


def _persons_with_two_top_colors(answer: Any, manifest: Any) -> bool:
    seen: dict[str, set[int]] = {}
    for group, color in zip(manifest.groups, manifest.targets("top_color")):
        seen.setdefault(group, set()).update({int(color)} - {-1})
    return answer == sum(len(colors) > 1 for colors in seen.values())


def _two_halves_by_person(answer: Any) -> bool:
    train, test = answer.subset("train"), answer.subset("test")
    whole = len(train) + len(test) == len(answer)
    even = abs(len(train) / len(answer) - 0.5) < 0.08  # persons are not cut in two
    return whole and even and not set(train.groups) & set(test.groups)


def _signs_stay_true(answer: Any) -> bool:
    changes = (answer.shift, answer.zoom, answer.rotation, answer.brightness, answer.contrast)
    return answer.flip == 0 and any(changes) and answer.rotation <= 20 and answer.tint <= 0.2


def _parameters_of_head(answer: Any, model: Any) -> bool:
    return answer == model.get_layer("top_color").count_params()


def _best_epoch_of_gender(answer: Any, log: Any) -> bool:
    return answer in set(log.epoch[log.val_gender_accuracy == log.val_gender_accuracy.max()])


def _easiest_task(answer: Any, manifest: Any) -> bool:
    shares = {}
    for task in manifest.tasks:
        given = manifest.frame[task]
        shares[task] = given[given != ""].value_counts(normalize=True).max()
    return shares[answer] == max(shares.values())


def _lowest_quality(answer: Any, manifest: Any, probabilities: Any, task: str) -> bool:
    values = manifest.frame["imagequality"]
    table = score_by(manifest.targets(task), probabilities[task], values, bootstraps=0)
    return table.loc[answer, "accuracy"] == table["accuracy"].min()


def _share_of_known_persons(answer: Any, manifest: Any) -> bool:
    known = set(manifest.subset("train").groups)
    persons = manifest.subset("validation").groups
    return abs(answer - sum(person in known for person in persons) / len(persons)) < 0.005


def _share_of_all_sure(answer: Any, sure: Any) -> bool:
    return abs(float(answer) - np.asarray(sure, bool).all(axis=1).mean()) < 0.005


def _threshold_of_90(answer: Any, targets: Any, probabilities: Any) -> bool:
    expected = choose_threshold(targets, probabilities, wanted_accuracy=0.9).threshold
    answer = float(getattr(answer, "threshold", answer))
    return answer == expected or abs(answer - expected) < 0.005


def _tracks_of_rarest_sign(answer: Any, manifest: Any) -> bool:
    counts = manifest.frame["sign"].value_counts()
    rarest = counts.index[counts == counts.min()]  # several may be as rare
    tracks = manifest.frame.groupby("sign")["group"].nunique()
    return answer in set(tracks[rarest])


def _most_that_it_costs(answer: Any) -> bool:
    price = read_json(ROOT / "helpers" / "cloud" / "prices.json")["per_hour"]["ml.c5.xlarge"]
    return abs(float(answer) - 4 * 0.75 * price) < 0.005


def _finds_test_accuracy(answer: Any) -> bool:
    line = "validation sign accuracy=0.9310; test sign accuracy=0.9240;"
    found = re.search(answer, line)
    return float(found[1]) == 0.924 and re.search(answer, line.split(";")[0]) is None


def _outputs_of_published_attributes(answer: Any) -> bool:
    return int(answer) == answer == sum(len(classes) for classes in hvc.TASKS.values())


def _difficult_boxes(answer: Any, found: Any) -> bool:
    return answer == sum(box.difficult for one in found for box in one.boxes)


def _pixels_of_first_box(answer: Any, one: Any, width: int) -> bool:
    _, xmin, _, xmax = one["boxes"][0]
    return abs(float(answer) - (xmax - xmin) * width) < 0.6


def _sure_people(answer: Any, found: Any) -> bool:
    return answer == sum(person.score >= 0.9 for person in found.people)


# "NN-topic", NN being the notebook's number. notebooks/README.md says how to add one.
EXERCISES: dict[str, Exercise] = {
    "00-outputs": Exercise(
        _one_output_per_class,
        "every class of every task gets a probability of its own. Add the classes up.",
    ),
    "01-largest-class": Exercise(
        _share_of_largest_age,
        "a share between 0 and 1: the pictures of the largest class among those with a label.",
    ),
    "01-disagreement": Exercise(
        _persons_with_two_top_colors,
        "leave the empty cells out, then count the different labels within each group.",
    ),
    "01-halves": Exercise(
        _two_halves_by_person,
        "split_by_group takes a dict of shares; name the two sides that you want, and only these.",
    ),
    "01-signs": Exercise(
        _signs_stay_true,
        "what does a mirror, a quarter turn or another color make of a sign? Some change is fine.",
    ),
    "02-head": Exercise(
        _parameters_of_head,
        "a dense layer has a weight for each pair of unit and class. What else has it?",
    ),
    "02-loss": Exercise(
        lambda answer: answer == "nothing",
        "what does guessing cost? It is log(classes) for each task; add the three.",
    ),
    "02-epoch": Exercise(
        _best_epoch_of_gender,
        "the column val_gender_accuracy; its idxmax() names a row, and that row has an epoch.",
    ),
    "03-floor": Exercise(
        _easiest_task,
        "go through everything.tasks. Of each, take the column of everything.frame, drop the empty "
        "cells, and let value_counts(normalize=True) give the shares.",
    ),
    "03-quality": Exercise(
        _lowest_quality,
        "metrics.score_by takes targets, probabilities and test.frame['imagequality']. The answer "
        "is the index of the row with the lowest accuracy: idxmin().",
    ),
    "03-leak": Exercise(
        _share_of_known_persons,
        "shuffled.subset('train').groups are the persons of the training pictures. Ask of each "
        "of shuffled.subset('validation').groups whether it is among them; take the mean.",
    ),
    "04-all-sure": Exercise(
        _share_of_all_sure,
        "a picture counts if all of its columns are true: pandas has all(axis=1).",
    ),
    "04-threshold": Exercise(
        _threshold_of_90,
        "metrics.choose_threshold with other numbers; what is chosen is not chosen on test.",
    ),
    "04-export": Exercise(
        lambda answer: answer == "LiteRT, from files",
        "which ways start from the bytes of a file, and which of these run without TensorFlow?",
    ),
    "05-tracks": Exercise(
        _tracks_of_rarest_sign,
        "value_counts() of the column sign names the rarest; count the different groups of its "
        "rows with nunique().",
    ),
    "05-price": Exercise(
        _most_that_it_costs,
        "prices.price_per_hour gives the price of one machine for an hour. How many machine-hours "
        "are 4 machines in 45 minutes?",
    ),
    "05-pattern": Exercise(
        _finds_test_accuracy,
        "a text with the name of the metric, an equals sign, and ([0-9.]+) for the number. It must "
        "not find the validation accuracy.",
    ),
    "06-limit": Exercise(
        lambda answer: answer == 4 * 1024 * 1024 // (60_000 // 3 * 4),
        "how many letters does one file become? A part of a file does not fit.",
    ),
    "06-precision": Exercise(
        lambda answer, by_class: by_class["precision"][answer] == by_class["precision"].min(),
        "by_class['precision'].idxmin() leaves out what is nan.",
    ),
    "06-status": Exercise(
        lambda answer: int(answer) == 413,
        "4xx is the sender's mistake; which of them says that a body is too large?",
    ),
    "07-outputs": Exercise(
        _outputs_of_published_attributes,
        "every class of every task has an output; hvc.TASKS holds the classes of each task.",
    ),
    "07-work": Exercise(
        lambda answer: int(answer) == answer == shares_of_work(PUBLISHED_ATTRIBUTES).argmax() + 1,
        "how many times as many pixels has a picture of 200x200 as one of 100x100?",
    ),
    "07-floor": Exercise(
        lambda answer, scores: scores["lift"][answer] == scores["lift"].min(),
        "the answer is the name of a row of scores; its column lift has an idxmin().",
    ),
    "08-difficult": Exercise(
        _difficult_boxes,
        "each picture of found has boxes, and each box says whether it is difficult.",
    ),
    "08-pixels": Exercise(
        _pixels_of_first_box,
        "the order is ymin, xmin, ymax, xmax, and x counts along the width.",
    ),
    "09-anchors": Exercise(
        lambda answer: answer == 2 * (32**2 + 16**2 + 8**2),
        "how many cells has each of the three maps? Every cell has an anchor for each ratio.",
    ),
    "09-iou": Exercise(
        lambda answer: abs(float(answer) - 1 / 3) < 0.005,
        "the shared area by what both cover together; do not count the shared part twice.",
    ),
    "10-strict": Exercise(
        _sure_people,
        "go through found.people and look at the score of each.",
    ),
    "10-batch": Exercise(
        lambda answer: answer == 24,
        "a batch that is not full is filled up; how many does a batch hold?",
    ),
}
