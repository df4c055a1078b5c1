"""What 05_catch_a_leak accepts as an answer, and the hints."""

from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from helpers.workshop import Exercise


def _measure(answer: Any) -> bool:
    cases = [
        (["a", "a", "b"], ["a", "c", "c", "c"], 0.25),  # of the images, not of the people
        (["a", "b"], ["c", "d"], 0.0),
        (["a", "b"], ["b", "b", "a"], 1.0),
    ]
    return all(abs(answer(np.array(t), np.array(v)) - right) < 1e-6 for t, v, right in cases)


def _oversample(answer: Any, pool: Any, rare: Any) -> bool:
    train, validation = map(np.asarray, answer)
    rows, times = np.unique(np.concatenate([train, validation]), return_counts=True)
    twice = np.where(np.isin(rows, rare), 2, 1)
    whole = np.array_equal(rows, np.sort(pool)) and np.array_equal(times, twice)
    return whole and bool(set(train) & set(validation))


def _find(answer: Any, first: Any, second: Any, people: Any) -> bool:
    both = {
        name: set(people[train]) & set(people[validation])
        for name, (train, validation) in {"first": first, "second": second}.items()
    }
    return bool(both[answer])


def _fix(answer: Any, pool: Any, people: Any, age: Any) -> bool:
    train, validation = map(np.asarray, answer)
    whole = np.array_equal(np.sort(np.concatenate([train, validation])), np.sort(pool))
    apart = not set(people[train]) & set(people[validation])
    sizes = 0.1 < len(validation) / len(pool) < 0.45
    best = next(StratifiedGroupKFold(4).split(pool, age[pool], people[pool]))
    reached = _unevenness(age, [pool[rows] for rows in best])  # few people cannot be even
    return whole and apart and sizes and _unevenness(age, answer) <= max(0.1, reached)


def _unevenness(age: Any, split: Any) -> float:
    """The largest difference between the two sides in the fraction of an age."""
    fractions = [[np.mean(age[rows] == name) for name in np.unique(age)] for rows in split]
    return np.ptp(fractions, axis=0).max()


EXERCISES: dict[str, Exercise] = {
    "05-measure": Exercise(
        _measure,
        "answer is the function itself, without brackets. np.isin asks of each validation image "
        "whether its person is in training; the average of that is the fraction.",
    ),
    "05-oversample": Exercise(
        _oversample,
        "`np.concatenate([pool, rare])` holds the rare rows twice. Split that with "
        "train_test_split, as the notebook splits pool.",
    ),
    "05-find": Exercise(
        _find,
        "`nearest(vectors, first[1], first[0])[0].mean()` is how close the validation images come "
        "to training, on average. Compare it with that of second.",
    ),
    "05-fix": Exercise(
        _fix,
        "`StratifiedGroupKFold(4).split(pool, age[pool], people[pool])` yields four splits, each a "
        "pair of positions in pool. Take the first with next, and look up its rows in pool.",
    ),
}
