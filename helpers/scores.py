"""Probabilities and labels become scores, with intervals; nothing here needs TensorFlow.

Everywhere `targets` is int (n,), -1 without a label (such rows never count), and `probabilities`
float (n, classes), each row a distribution.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn import metrics as sk

from helpers.common import WorkshopError, expected
from helpers.manifest import NOT_KNOWN, Manifest

INTERVAL = (0.025, 0.975)  # the bounds of every interval here: 95 %
BOOTSTRAPS, SEED = 1000, 0  # resamples of each interval; the same ones each time
BINS = 15  # of confidence, as in Guo et al. 2017
SMALLEST_PROBABILITY = 1e-12  # keeps the logarithm finite; float32 softmax does reach 0


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


def expected_calibration_error(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Averages |confidence - accuracy| over `BINS` (Naeini et al. 2015); nan without labels."""
    known, probabilities, _ = labelled(targets, probabilities)
    if not len(known):
        return math.nan
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == known
    # Bins are open below and closed above, (0, 1/15], as in Guo et al. 2017.
    bin_of_row = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)
    gaps = np.bincount(bin_of_row, confidence - correct)
    return float(np.abs(gaps).sum() / len(known))


def fit_temperature(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Fits a task's temperature, 0.05 to 20, on validation images (Guo et al. 2017).

    Above 1 the network was overconfident. 1.0 without a labelled row.
    """
    known, probabilities, _ = labelled(targets, probabilities)
    if not len(known):
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = apply_temperature(probabilities, math.exp(log_temperature))
        right = scaled[np.arange(len(known)), known]
        return float(-np.log(np.maximum(right, SMALLEST_PROBABILITY)).mean())

    return math.exp(minimize_scalar(loss, bounds=np.log([0.05, 20]), method="bounded").x)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divides the log-probabilities by `temperature` and normalizes: float (n, classes)."""
    if not temperature > 0:
        raise expected("a temperature above 0", temperature, "Take it from fit_temperature.")
    logits = np.log(np.maximum(np.asarray(probabilities, float), SMALLEST_PROBABILITY))
    return softmax(logits / temperature, axis=-1)


def per_class(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Returns precision, recall, f1 and support (labels) per class; nan where it is 0 / 0."""
    known, probabilities, _ = labelled(targets, probabilities, classes)
    predicted = probabilities.argmax(axis=1)
    each = (known, predicted, known[known == predicted])
    support, answers, right = (np.bincount(rows, minlength=len(classes)) for rows in each)
    with np.errstate(invalid="ignore"):
        parts = right / answers, right / support, 2 * right / (support + answers), support
    columns = dict(zip(("precision", "recall", "f1", "support"), parts))
    return pd.DataFrame(columns, index=pd.Index(classes, name="class"))


def likely_label_errors(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Ranks the rows whose label is probably wrong, most suspicious first.

    Confident learning (Northcutt et al. 2021): a class is likely for a row where its probability
    reaches the mean that it has on the rows labelled so. A row is listed where the likeliest such
    class is not its label, unless it is predicted as labelled (as in cleanlab). The network must
    not have been trained on these rows. The columns: row (position), given, suggested,
    self_confidence (probability of the given label), margin (that of the suggested one minus it).
    """
    known, probabilities, rows = labelled(targets, probabilities, classes)
    every, names = np.arange(len(known)), np.asarray(classes, object)
    self_confidence = probabilities[every, known]
    means = pd.Series(self_confidence).groupby(known).mean()
    thresholds = means.reindex(range(len(classes)), fill_value=np.inf).to_numpy()
    likely = np.where(probabilities >= thresholds, probabilities, -np.inf)
    suggested = likely.argmax(axis=1)
    suspect = np.isfinite(likely[every, suggested]) & (suggested != known)
    suspect &= probabilities.argmax(axis=1) != known
    table = pd.DataFrame({"row": rows, "given": names[known], "suggested": names[suggested]})
    table["self_confidence"] = self_confidence
    table["margin"] = probabilities[every, suggested] - self_confidence
    return table[suspect].sort_values("self_confidence", kind="stable", ignore_index=True)


def labelled(
    targets: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str] | None = None,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the labelled rows, checked; `groups` are the rows' numbers where None."""
    targets = np.asarray(targets)
    probabilities = np.asarray(probabilities, float)
    groups = np.arange(len(targets)) if groups is None else np.asarray(groups)
    columns = "classes" if classes is None else len(classes)
    fits = targets.ndim == 1 and probabilities.ndim == 2 and len(targets) == len(probabilities)
    if not fits or (classes is not None and probabilities.shape[1] != columns):
        shape = f"({len(np.atleast_1d(targets))}, {columns})"
        what = f"probabilities of shape {shape} for targets of shape {targets.shape}"
        fix = "Predict the same rows, with a network of the same classes."
        raise expected(what, probabilities.shape, fix)
    if groups.shape != targets.shape:
        what = f"one group or value per row, shape {targets.shape}"
        raise expected(what, groups.shape, "Take them from the same manifest.")
    if len(targets) and not (targets.min() >= NOT_KNOWN and targets.max() < probabilities.shape[1]):
        what = f"targets from -1 (not known) to {probabilities.shape[1] - 1}"
        found = f"{targets.min()} to {targets.max()}"
        raise expected(what, found, "Use the labels.json of the run.")
    sums = probabilities.sum(axis=1)
    # float16 and int8 networks sum to 1 only within a few percent.
    bad = np.flatnonzero(~(np.abs(sums - 1) < 0.05) | (probabilities < 0).any(axis=1))
    if len(bad):
        found = f"a sum of {sums[bad[0]]:.3g} in row {bad[0]}, and {len(bad)} such rows"
        fix = "Give softmax outputs, not logits; nan means that the training diverged."
        raise expected("every row of the probabilities to be positive and sum to 1", found, fix)
    rows = targets != NOT_KNOWN
    return targets[rows].astype(int), probabilities[rows], groups[rows]
