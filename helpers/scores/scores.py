"""Accuracy, lift and F1 of each task, with intervals from a bootstrap over groups."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from helpers.common import WorkshopError
from helpers.manifest import Manifest
from helpers.scores.confidence import expected_calibration_error
from helpers.scores.labelled import labelled

INTERVAL = (0.025, 0.975)  # the bounds of every interval here: 95 %
BOOTSTRAPS, SEED = 1000, 0  # resamples of each interval; the same ones each time


@dataclass(frozen=True)
class TaskScore:
    """How well one task is predicted. nan means that there is no such number."""

    labelled: int  # rows with a known label, the only ones that count
    accuracy: float = math.nan  # fraction of them whose most probable class is the label
    accuracy_low: float = math.nan
    accuracy_high: float = math.nan
    top2: float = math.nan  # the label is among the two most probable of more than 2 classes
    top3: float = math.nan  # the same for three
    balanced_accuracy: float = math.nan  # mean recall of the classes that have labels
    macro_f1: float = math.nan  # mean F1 of the classes among the labels or the predictions
    largest_class: str = ""  # the most frequent label
    majority_baseline: float = math.nan  # the accuracy of always answering it
    lift: float = math.nan  # accuracy minus that
    lift_low: float = math.nan
    lift_high: float = math.nan
    calibration_error: float = math.nan  # expected calibration error over 15 bins


def score_task(
    targets: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    groups: np.ndarray | None = None,
    bootstraps: int = BOOTSTRAPS,
) -> TaskScore:
    """Scores one task; `groups`, (n,), or None: every row is a group of its own.

    The interval resamples groups, not rows: two images of one person are right or wrong together,
    and an interval that ignores it is too narrow (cluster bootstrap, Field and Welsh 2007).
    """
    known, probabilities, groups = labelled(targets, probabilities, classes, groups)
    if not len(known):
        return TaskScore(labelled=0)
    predicted, present = probabilities.argmax(axis=1), np.unique(known)
    largest = int(np.bincount(known).argmax())  # stays that of the whole set in every resample
    hits = np.column_stack([predicted == known, known == largest])
    accuracy, baseline = (float(mean) for mean in hits.mean(axis=0))
    means = _resampled_means(hits, groups, bootstraps)
    return TaskScore(
        len(known),
        accuracy,
        *_interval(means[:, 0]),
        _top(known, probabilities, 2),
        _top(known, probabilities, 3),
        # Without the warning of balanced_accuracy_score about classes that are only predicted.
        float(sk.recall_score(known, predicted, labels=present, average="macro")),
        float(sk.f1_score(known, predicted, average="macro", zero_division=0)),
        str(classes[largest]),
        baseline,
        accuracy - baseline,
        *_interval(means[:, 0] - means[:, 1]),
        expected_calibration_error(known, probabilities),
    )


def _resampled_means(values: np.ndarray, groups: np.ndarray, bootstraps: int) -> np.ndarray:
    """Resamples groups and returns the means of `values` (n, k): float (bootstraps, k).

    Groups with equal sums can be drawn for each other, so the counts of the few distinct sums are
    drawn (multinomial): the same distribution, and 5,000 rows cost milliseconds.
    """
    _, group = np.unique(groups, return_inverse=True)
    number = int(group.max()) + 1
    if number < 2:
        return np.full((bootstraps, values.shape[1]), math.nan)
    columns = [*np.asarray(values, float).T, np.ones(len(group))]
    sums = np.column_stack([np.bincount(group, column, number) for column in columns])
    kinds, counts = np.unique(sums, axis=0, return_counts=True)
    drawn = np.random.default_rng(SEED).multinomial(number, counts / number, size=bootstraps)
    totals = drawn @ kinds  # (bootstraps, k + 1)
    return totals[:, :-1] / totals[:, -1:]


def _interval(samples: np.ndarray) -> tuple[float, float]:
    if not len(samples):  # bootstraps=0: after every epoch the interval is not worth its time
        return math.nan, math.nan
    return tuple(np.quantile(samples, INTERVAL).tolist())


def _top(known: np.ndarray, probabilities: np.ndarray, k: int) -> float:
    labels = range(probabilities.shape[1])
    enough = len(labels) > k
    return sk.top_k_accuracy_score(known, probabilities, k=k, labels=labels) if enough else math.nan


def score_manifest(
    manifest: Manifest, probabilities: Mapping[str, np.ndarray], bootstraps: int = BOOTSTRAPS
) -> pd.DataFrame:
    """Scores every task of a manifest: a row per task, the fields of `TaskScore` as columns."""
    tasks, groups = manifest.labels.tasks, manifest.groups
    if absent := [task for task in tasks if task not in probabilities]:
        raise WorkshopError(
            f"expected predictions for {', '.join(tasks)}; found none for {', '.join(absent)}. "
            "Score only what the network predicts: manifest.select([...])."
        )
    scores = []
    for task, classes in tasks.items():
        given = manifest.targets(task), probabilities[task], classes, groups, bootstraps
        try:
            scores.append(score_task(*given))
        except WorkshopError as error:
            raise WorkshopError(f"task {task}: {error}") from error
    return pd.DataFrame(scores, index=pd.Index(tasks, name="task"))


def score_lines(scores: pd.DataFrame) -> list[str]:
    """Writes a line per task, aligned: `  color  top-1 .793  top-2 .901  top-3 .948`."""
    lines, width = [], max((len(str(task)) for task in scores.index), default=0)
    for task, row in scores.iterrows():
        values = {"top-1": row.accuracy, "top-2": row.top2, "top-3": row.top3}
        if np.isnan(row.top3):  # three classes or fewer
            values = {"accuracy": row.accuracy}
        # in four characters: .953, and 1.00 where it rounds to that
        text = "  ".join(f"{k} {f'{v:.3f}'.removeprefix('0')[:4]}" for k, v in values.items())
        lines.append(f"  {task!s:<{width}}  {text if row.labelled else 'no labels'}")
    return lines
