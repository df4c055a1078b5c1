"""What 03_validate accepts as an answer, and the hints."""

from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from helpers.workshop import Exercise


def _f1(answer: Any) -> bool:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(4, size=(2, 200))
    counts = np.zeros((4, 4), int)
    np.add.at(counts, (truth, predicted), 1)
    return np.allclose(answer(counts), f1_score(truth, predicted, average=None))


def _interval(answer: Any, truth: Any, predicted: Any, people: Any, worst: int) -> bool:
    rows = truth == worst
    found, (_, person) = predicted[rows] == worst, np.unique(people[rows], return_inverse=True)
    sums = np.column_stack([np.bincount(person, found), np.bincount(person)])
    drawn = np.random.default_rng(1).integers(len(sums), size=(2000, len(sums)))
    right, count = sums[drawn].sum(axis=1).T
    return np.allclose(answer, np.percentile(right / count, [2.5, 97.5]), atol=0.04)


def _prior(answer: Any, probabilities: Any, train_targets: Any) -> bool:
    """Whether each class gained the same factor on every image, and the rarest one the most."""
    fractions = np.bincount(train_targets[train_targets >= 0], minlength=probabilities.shape[1])
    gain = np.asarray(answer) / np.maximum(probabilities, 1e-12)
    gain = gain / gain[:, :1]
    same = np.allclose(gain, gain[0], rtol=1e-2)
    sums = np.allclose(np.sum(answer, axis=1), 1, atol=1e-3)
    return same and sums and gain[0].argmax() == fractions.argmin() and gain[0].max() > 1.01


EXERCISES: dict[str, Exercise] = {
    "03-f1": Exercise(
        _f1,
        "answer is the function itself, without brackets. `np.diag(confusion)` is the diagonal; "
        "sum(axis=1) adds up each row and sum(axis=0) each column.",
    ),
    "03-interval": Exercise(
        _interval,
        "`truth == worst` chooses the images. On them, `predicted == worst` is what to "
        "average, and gender_people needs the same rows. Hand both to interval.",
    ),
    "03-prior": Exercise(
        _prior,
        "`np.bincount(train_targets[train_targets != -1])` counts the classes; make fractions of "
        "them, divide by them, and then divide each row by its sum: sum(axis=1, keepdims=True).",
    ),
}
