"""What 03_validate accepts as an answer, and the hints."""

from typing import Any

import numpy as np

from helpers.scores import score_by
from helpers.workshop import Exercise, near


def _majority(manifest: Any, task: str) -> float:
    names = manifest.frame[task]
    return names[names != ""].value_counts(normalize=True).max()


def _quality(answer: Any, manifest: Any, probabilities: Any, task: str) -> bool:
    values = manifest.frame["imagequality"]
    table = score_by(manifest.targets(task), probabilities[task], values, bootstraps=0)
    return table.loc[answer, "accuracy"] == table["accuracy"].min()


def _leak(answer: Any, manifest: Any) -> bool:
    known, people = manifest.subset("train").groups, manifest.subset("validation").groups
    return near(answer, np.isin(people, known).mean())


EXERCISES: dict[str, Exercise] = {
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
}
