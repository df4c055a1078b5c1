"""Scores of predictions: accuracy with its interval, calibration, thresholds, doubtful labels.

Everything here takes `targets`, int (n,), with -1 where the label is not known, and
`probabilities`, float (n, classes), each row a distribution. Rows without a label never count.
Pure numpy, pandas and scikit-learn: a score can be checked without TensorFlow.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn import metrics as sk

from helpers.common import WorkshopError
from helpers.manifest import NOT_KNOWN, Manifest

INTERVAL = (0.025, 0.975)  # the bounds of every interval here: 95 %
CALIBRATION_BINS = 15  # Guo et al. 2017 use 15
SMALLEST_PROBABILITY = 1e-12  # keeps the logarithm finite; float32 softmax does reach 0


@dataclass(frozen=True)
class TaskScore:
    """How well one task is predicted. Shares lie in 0 to 1; nan means that there is no such number.

    Attributes:
        labelled: rows with a known label, the only ones that count.
        accuracy: share of them whose most probable class is the label.
        accuracy_low: lower bound of its 95 % interval, from a bootstrap over groups.
        accuracy_high: upper bound.
        top2: share whose label is among the two most probable classes; needs over 2 classes.
        top3: the same for three; needs over 3 classes.
        balanced_accuracy: mean recall of the classes that occur among the labels.
        macro_f1: mean F1 of the classes that occur among the labels or the predictions.
        largest_class: the most frequent label.
        largest_class_share: its share, which is the accuracy of always answering it.
        lift: accuracy minus that share.
        lift_low: lower bound of its 95 % interval, from the same resamples.
        lift_high: upper bound.
        calibration_error: expected calibration error over 15 bins.
    """

    labelled: int
    accuracy: float = math.nan
    accuracy_low: float = math.nan
    accuracy_high: float = math.nan
    top2: float = math.nan
    top3: float = math.nan
    balanced_accuracy: float = math.nan
    macro_f1: float = math.nan
    largest_class: str = ""
    largest_class_share: float = math.nan
    lift: float = math.nan
    lift_low: float = math.nan
    lift_high: float = math.nan
    calibration_error: float = math.nan


@dataclass(frozen=True)
class Threshold:
    """The confidence from which on a network answers instead of saying "I am not sure".

    Attributes:
        threshold: answer where the largest probability is at least this; inf: never answer.
        coverage: share of the rows that get an answer.
        accuracy: share of the answers that are right; nan without answers.
        wanted_accuracy: what was asked for.
        reached: whether it can be had.
    """

    threshold: float
    coverage: float
    accuracy: float
    wanted_accuracy: float
    reached: bool

    def __str__(self) -> str:
        if not self.reached:
            return f"no confidence reaches an accuracy of {self.wanted_accuracy:.3f}"
        return (
            f"answers from a confidence of {self.threshold:.3f} on: {self.coverage:.1%} of the "
            f"pictures, {self.accuracy:.1%} of them right"
        )


@dataclass(frozen=True)
class Difference:
    """The accuracy of one network minus that of another, with its 95 % interval."""

    difference: float
    low: float
    high: float


def score_task(
    targets: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    groups: np.ndarray | None = None,
    bootstraps: int = 1000,
    seed: int = 0,
) -> TaskScore:
    """Scores one task.

    The interval resamples groups (persons), not rows: two pictures of one person are right or
    wrong together, and an interval that ignores it is too narrow (cluster bootstrap, Field and
    Welsh 2007). With a single group there is no interval, and both bounds are nan.

    Args:
        targets: int (n,), -1 where not known.
        probabilities: float (n, classes), each row sums to 1.
        classes: the names, in the order of the columns.
        groups: (n,) what must be resampled as a whole; every row its own group where None.
        bootstraps: number of resamples.
        seed: of the resampling; the same seed gives the same interval.

    Raises:
        WorkshopError: the shapes do not match, or a row is no distribution.
    """
    known, probabilities, groups = _labelled(targets, probabilities, groups, classes)
    if not len(known):
        return TaskScore(labelled=0)
    predicted = probabilities.argmax(axis=1)
    largest = int(np.bincount(known).argmax())
    return TaskScore(
        labelled=len(known),
        top2=_top(known, probabilities, 2),
        top3=_top(known, probabilities, 3),
        balanced_accuracy=_balanced_accuracy(known, predicted),
        macro_f1=float(sk.f1_score(known, predicted, average="macro", zero_division=0)),
        largest_class=str(classes[largest]),
        calibration_error=expected_calibration_error(known, probabilities),
        **_accuracy_and_lift(predicted == known, known == largest, groups, bootstraps, seed),
    )


def _accuracy_and_lift(
    correct: np.ndarray, is_largest: np.ndarray, groups: np.ndarray, bootstraps: int, seed: int
) -> dict[str, float]:
    """Returns accuracy, floor and lift; the largest class stays that of the whole set."""
    means = _resampled_means(np.column_stack([correct, is_largest]), groups, bootstraps, seed)
    accuracy_low, accuracy_high = _interval(means[:, 0])
    lift_low, lift_high = _interval(means[:, 0] - means[:, 1])
    return {
        "accuracy": float(correct.mean()),
        "accuracy_low": accuracy_low,
        "accuracy_high": accuracy_high,
        "largest_class_share": float(is_largest.mean()),
        "lift": float(correct.mean() - is_largest.mean()),
        "lift_low": lift_low,
        "lift_high": lift_high,
    }


def score_manifest(
    manifest: Manifest,
    probabilities: Mapping[str, np.ndarray],
    bootstraps: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores every task of a manifest.

    Args:
        manifest: the truth: targets, class names, groups.
        probabilities: per task float (rows of the manifest, classes).
        bootstraps: number of resamples of each interval.
        seed: of the resampling.

    Returns:
        A row per task, in the manifest's order; the columns are the fields of `TaskScore`.

    Raises:
        WorkshopError: a task has no predictions, or they do not fit the manifest.
    """
    tasks = manifest.labels.tasks
    absent = [task for task in tasks if task not in probabilities]
    if absent:
        raise WorkshopError(
            f"expected predictions for {', '.join(tasks)}; found none for {', '.join(absent)}. "
            "Score only what the network predicts: manifest.select([...])."
        )
    groups = manifest.groups
    scores = {}
    for task, classes in tasks.items():
        try:
            score = score_task(
                manifest.targets(task), probabilities[task], classes, groups, bootstraps, seed
            )
        except WorkshopError as error:
            raise WorkshopError(f"task {task}: {error}") from error
        scores[task] = asdict(score)
    columns = [field.name for field in fields(TaskScore)]
    table = pd.DataFrame.from_dict(scores, orient="index", columns=columns)
    return table.rename_axis("task")


def at_the_floor(scores: pd.DataFrame) -> list[str]:
    """Names the tasks that were not learned: nothing shows that they beat the largest class.

    Args:
        scores: a table of `score_manifest`, with intervals.

    Returns:
        The tasks whose lift has an interval that is not all above 0: always answering the largest
        class would do as well.
    """
    return [str(task) for task in scores.index[~(scores["lift_low"] > 0)]]


def without_prior(probabilities: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Divides each probability by the share of its class in training, and normalizes.

    What the network would answer if all classes were equally frequent (logit adjustment after
    training, Menon et al. 2021, equation 9).

    Args:
        probabilities: float (n, classes).
        shares: (classes,) of the training labels; a class without any is left as it is.
    """
    evened = np.asarray(probabilities, float) / np.where(shares > 0, shares, 1.0)
    return evened / evened.sum(axis=1, keepdims=True)


def co_occurrence(manifest: Manifest, tasks: Sequence[str] | None = None) -> pd.DataFrame:
    """Says how much more often two classes of two tasks meet in a picture than by chance.

    Args:
        manifest: pictures and labels.
        tasks: which, or all.

    Returns:
        A square table with a row and a column for each class, both indexed by (task, class): the
        share of pictures with both over the product of their shares, among those where both tasks
        are known. 1 is chance; nan within a task, and where a class does not occur.
    """
    chosen = manifest.select(tasks) if tasks else manifest
    known = {}
    for task, classes in chosen.labels.tasks.items():
        targets = chosen.targets(task)
        known[task] = (targets[:, None] == np.arange(len(classes))).astype(float)
    index = pd.MultiIndex.from_tuples(
        [(task, name) for task, classes in chosen.labels.tasks.items() for name in classes],
        names=["task", "class"],
    )
    table = pd.DataFrame(math.nan, index=index, columns=index)
    for task, rows in known.items():
        for other, columns in known.items():
            if task == other:
                continue
            both = (rows.sum(axis=1) * columns.sum(axis=1)) > 0
            share = rows[both].T @ columns[both] / max(both.sum(), 1)
            by_chance = np.outer(rows[both].mean(axis=0), columns[both].mean(axis=0))
            with np.errstate(divide="ignore", invalid="ignore"):
                table.loc[task, other] = np.where(by_chance > 0, share / by_chance, math.nan)
    return table


def score_lines(scores: pd.DataFrame) -> list[str]:
    """Writes the lines that are printed after every epoch, one per task, aligned.

    Args:
        scores: a table of `score_manifest`.

    Returns:
        Lines such as `  top_color     top-1 .793  top-2 .901  top-3 .948`; a task with three
        classes or fewer has its accuracy only.
    """
    width = max((len(str(task)) for task in scores.index), default=0)
    return [f"  {task!s:<{width}}  {_score_text(row)}" for task, row in scores.iterrows()]


def per_class(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Scores each class.

    Returns:
        A row per class with precision, recall, f1 and support (its number of labels).
        Precision of a class that is never predicted and recall of one that has no label are nan.
    """
    known, probabilities, _ = _labelled(targets, probabilities, None, classes)
    columns = ["precision", "recall", "f1", "support"]
    if not len(known):
        empty = pd.DataFrame(math.nan, index=pd.Index(classes, name="class"), columns=columns)
        return empty.assign(support=0)
    values = sk.precision_recall_fscore_support(
        known, probabilities.argmax(axis=1), labels=range(len(classes)), zero_division=np.nan
    )
    table = pd.DataFrame(dict(zip(columns, values)), index=pd.Index(classes, name="class"))
    return table.astype({"support": int})


def confusion(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Counts which class was taken for which: rows are the truth, columns the prediction."""
    known, probabilities, _ = _labelled(targets, probabilities, None, classes)
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (known, probabilities.argmax(axis=1)), 1)
    return pd.DataFrame(
        counts, index=pd.Index(classes, name="truth"), columns=pd.Index(classes, name="prediction")
    )


def calibration_curve(
    targets: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS
) -> pd.DataFrame:
    """Sets the confidence of the predictions beside how often they are right.

    The confidence is the largest probability. Bins have equal width; empty ones are left out.

    Returns:
        A row per bin, by rising confidence: confidence (mean), accuracy, count.
    """
    known, probabilities, _ = _labelled(targets, probabilities)
    confidence = probabilities.max(axis=1)
    # Bins are open below and closed above, (0, 1/15], as in Guo et al. 2017.
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    table = pd.DataFrame(
        {
            "bin": np.digitize(confidence, edges, right=True),
            "confidence": confidence,
            "correct": probabilities.argmax(axis=1) == known,
        }
    )
    curve = table.groupby("bin").agg(
        confidence=("confidence", "mean"), accuracy=("correct", "mean"), count=("correct", "size")
    )
    return curve.reset_index(drop=True)


def expected_calibration_error(
    targets: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS
) -> float:
    """Computes the mean distance of confidence and accuracy over the bins, weighted by count.

    Source: Naeini et al. 2015; Guo et al. 2017. 0 is perfect; nan without a labelled row.
    """
    curve = calibration_curve(targets, probabilities, bins)
    if curve.empty:
        return math.nan
    return float(np.average((curve.confidence - curve.accuracy).abs(), weights=curve["count"]))


def fit_temperature(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Finds the temperature that makes the probabilities fit the labels best.

    One number per task, fitted on validation pictures by the log-likelihood (temperature
    scaling, Guo et al. 2017). Above 1 the network was too sure of itself. It changes no answer,
    only how sure it is.

    Returns:
        The temperature, within 0.05 to 20; 1.0 without a labelled row.
    """
    known, probabilities, _ = _labelled(targets, probabilities)
    if not len(known):
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = apply_temperature(probabilities, math.exp(log_temperature))
        right = scaled[np.arange(len(known)), known]
        return float(-np.log(np.maximum(right, SMALLEST_PROBABILITY)).mean())

    bounds = (math.log(0.05), math.log(20))
    return float(math.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divides the log-probabilities by `temperature` and normalises: float (n, classes)."""
    if not temperature > 0:
        raise WorkshopError(
            f"expected a temperature above 0, found {temperature}. Take it from fit_temperature."
        )
    logits = np.log(np.maximum(np.asarray(probabilities, float), SMALLEST_PROBABILITY))
    return softmax(logits / temperature, axis=-1)


def coverage_curve(targets: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Shows what each confidence threshold costs and brings.

    Returns:
        A row per confidence that occurs, rising: threshold; coverage, the share of rows whose
        confidence is at least that; accuracy of those.
    """
    known, probabilities, _ = _labelled(targets, probabilities)
    confidence = probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    correct = (probabilities.argmax(axis=1) == known)[order]
    answered = np.arange(1, len(known) + 1)
    table = pd.DataFrame(
        {
            "threshold": confidence[order],
            "coverage": answered / max(len(known), 1),
            "accuracy": correct.cumsum() / answered,
        }
    )
    # Equal confidences are answered together: only the last row of a tie can be had.
    table = table.drop_duplicates("threshold", keep="last")
    return table.iloc[::-1].reset_index(drop=True)


def choose_threshold(
    targets: np.ndarray,
    probabilities: np.ndarray,
    wanted_accuracy: float,
    fewest_answers: int = 20,
) -> Threshold:
    """Finds the smallest confidence from which on the answers are as accurate as wanted.

    Choose it on validation pictures, and check it on test pictures.

    Args:
        targets: int (n,), -1 where not known.
        probabilities: float (n, classes).
        wanted_accuracy: of the answered rows, 0 to 1.
        fewest_answers: a threshold with fewer answers on these rows is luck, and not taken.

    Returns:
        The threshold; where none will do, one with `reached` False that never answers.
    """
    curve = coverage_curve(targets, probabilities)
    labelled = int((np.asarray(targets) != NOT_KNOWN).sum())
    good = (curve.accuracy >= wanted_accuracy) & (
        (curve.coverage * labelled).round() >= fewest_answers
    )
    if not good.any():
        return Threshold(math.inf, 0.0, math.nan, wanted_accuracy, reached=False)
    row = curve[good].iloc[0]
    return Threshold(
        float(row.threshold), float(row.coverage), float(row.accuracy), wanted_accuracy, True
    )


def likely_label_errors(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Ranks the rows whose label is probably wrong, most suspicious first.

    Confident learning (Northcutt et al. 2021): a class is likely for a row where its
    probability reaches the class's own threshold, the mean probability it gets on the rows
    labelled so. A row is listed where the likeliest such class is not its label, and ranked by
    self-confidence. As in the authors' cleanlab, a row that is predicted as labelled is never
    listed. Use predictions of a network that was not trained on these rows.

    Returns:
        row (position in the arrays), given, suggested, self_confidence (probability of the
        given label), margin (probability of the suggested one minus that).
    """
    rows = np.flatnonzero(np.asarray(targets) != NOT_KNOWN)
    known, probabilities, _ = _labelled(targets, probabilities, None, classes)
    likely = np.where(
        probabilities >= _class_thresholds(known, probabilities), probabilities, -np.inf
    )
    suggested = likely.argmax(axis=1)
    suspect = (
        np.isfinite(likely.max(axis=1, initial=-np.inf))
        & (suggested != known)
        & (probabilities.argmax(axis=1) != known)
    )
    every = np.arange(len(known))
    self_confidence = probabilities[every, known]
    names = np.asarray(classes, object)
    table = pd.DataFrame(
        {
            "row": rows,
            "given": names[known],
            "suggested": names[suggested],
            "self_confidence": self_confidence,
            "margin": probabilities[every, suggested] - self_confidence,
        }
    )
    return table[suspect].sort_values("self_confidence", kind="stable", ignore_index=True)


def worst_mistakes(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], count: int = 12
) -> pd.DataFrame:
    """Lists the `count` rows that are wrong with the highest confidence.

    Returns:
        row (position in the arrays), truth, predicted, confidence (probability of the predicted
        class), truth_probability; most confident first.
    """
    rows = np.flatnonzero(np.asarray(targets) != NOT_KNOWN)
    known, probabilities, _ = _labelled(targets, probabilities, None, classes)
    predicted = probabilities.argmax(axis=1)
    names = np.asarray(classes, object)
    table = pd.DataFrame(
        {
            "row": rows,
            "truth": names[known],
            "predicted": names[predicted],
            "confidence": probabilities.max(axis=1),
            "truth_probability": probabilities[np.arange(len(known)), known],
        }
    )
    wrong = table[predicted != known]
    return wrong.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)[
        :count
    ]


def score_by(
    targets: np.ndarray,
    probabilities: np.ndarray,
    by: Sequence[str],
    groups: np.ndarray | None = None,
    bootstraps: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores a task apart for each value of another column (camera, gender, age).

    Args:
        targets: int (n,), -1 where not known.
        probabilities: float (n, classes).
        by: (n,) the values; an empty one becomes "not known".
        groups: (n,) what is resampled as a whole.
        bootstraps: number of resamples.
        seed: of the resampling.

    Returns:
        A row per value that has a labelled row: labelled, accuracy, accuracy_low, accuracy_high.
    """
    targets, by = np.asarray(targets), np.asarray(by, str)
    _labelled(targets, probabilities, by)
    by = np.where(by == "", "not known", by)
    classes = [str(column) for column in range(np.shape(probabilities)[1])]
    scores = {}
    for value in np.unique(by[targets != NOT_KNOWN]):
        rows = by == value
        part = None if groups is None else np.asarray(groups)[rows]
        scores[str(value)] = asdict(
            score_task(targets[rows], probabilities[rows], classes, part, bootstraps, seed)
        )
    columns = ["labelled", "accuracy", "accuracy_low", "accuracy_high"]
    return pd.DataFrame.from_dict(scores, orient="index").reindex(columns=columns)


def compare(
    targets: np.ndarray,
    probabilities_a: np.ndarray,
    probabilities_b: np.ndarray,
    groups: np.ndarray | None = None,
    bootstraps: int = 1000,
    seed: int = 0,
) -> Difference:
    """Compares two networks on the same rows: the accuracy of a minus that of b.

    Both are resampled together (paired bootstrap over groups), so what is hard for both
    cancels. An interval that holds 0 says: these pictures cannot tell the two apart.
    """
    known, probabilities_a, known_groups = _labelled(targets, probabilities_a, groups)
    _, probabilities_b, _ = _labelled(targets, probabilities_b, groups)
    if not len(known):
        return Difference(math.nan, math.nan, math.nan)
    correct_a = probabilities_a.argmax(axis=1) == known
    correct_b = probabilities_b.argmax(axis=1) == known
    gains = correct_a.astype(int) - correct_b
    means = _resampled_means(gains[:, None], known_groups, bootstraps, seed)[:, 0]
    return Difference(float(gains.mean()), *_interval(means))


def _labelled(
    targets: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Checks the arrays against each other and returns their labelled rows."""
    targets = np.asarray(targets)
    probabilities = np.asarray(probabilities, float)
    groups = np.arange(len(targets)) if groups is None else np.asarray(groups)
    _check_shapes(targets, probabilities, groups, classes)
    _check_values(targets, probabilities)
    rows = targets != NOT_KNOWN
    return targets[rows].astype(int), probabilities[rows], groups[rows]


def _check_shapes(
    targets: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    classes: Sequence[str] | None,
) -> None:
    columns = "classes" if classes is None else len(classes)
    fits = targets.ndim == 1 and probabilities.ndim == 2 and len(targets) == len(probabilities)
    if not fits or (classes is not None and probabilities.shape[1] != columns):
        raise WorkshopError(
            f"expected probabilities of shape ({len(np.atleast_1d(targets))}, {columns}) for "
            f"targets of shape {targets.shape}, found {probabilities.shape}. "
            "Predict the same rows, with a network of the same classes."
        )
    if groups.shape != targets.shape:
        raise WorkshopError(
            f"expected one group or value per row, shape {targets.shape}, found {groups.shape}. "
            "Take them from the same manifest."
        )


def _check_values(targets: np.ndarray, probabilities: np.ndarray) -> None:
    if len(targets) and not (targets.min() >= NOT_KNOWN and targets.max() < probabilities.shape[1]):
        raise WorkshopError(
            f"expected targets from -1 (not known) to {probabilities.shape[1] - 1}, found "
            f"{targets.min()} to {targets.max()}. Use the labels.json of the run."
        )
    sums = probabilities.sum(axis=1)
    # float16 and int8 networks sum to 1 only within a few percent.
    bad = np.flatnonzero(~(np.abs(sums - 1) < 0.05) | (probabilities < 0).any(axis=1))
    if len(bad):
        raise WorkshopError(
            f"expected every row of the probabilities to be positive and sum to 1, found a sum of "
            f"{sums[bad[0]]:.3g} in row {bad[0]} and {len(bad)} such rows. "
            "Give softmax outputs, not logits; nan means that the training diverged."
        )


def _resampled_means(
    values: np.ndarray, groups: np.ndarray, bootstraps: int, seed: int
) -> np.ndarray:
    """Resamples groups and returns the means of `values` (n, k): float (bootstraps, k).

    Only the sums per group matter, and groups with equal sums can be drawn for each other. So
    the counts of the few distinct sums are drawn (multinomial), not the groups: the same
    distribution, and 5,000 rows cost milliseconds. One group gives nan.
    """
    _, group = np.unique(groups, return_inverse=True)
    number = int(group.max()) + 1
    if number < 2:
        return np.full((bootstraps, values.shape[1]), math.nan)
    columns = [*np.asarray(values, float).T, np.ones(len(group))]
    sums = np.column_stack([np.bincount(group, column, number) for column in columns])
    kinds, counts = np.unique(sums, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(number, counts / number, size=bootstraps)
    totals = drawn @ kinds  # (bootstraps, k + 1)
    return totals[:, :-1] / totals[:, -1:]


def _interval(samples: np.ndarray) -> tuple[float, float]:
    if not len(samples):  # bootstraps=0: after every epoch the interval is not worth its time
        return math.nan, math.nan
    low, high = np.quantile(samples, INTERVAL)
    return float(low), float(high)


def _top(known: np.ndarray, probabilities: np.ndarray, k: int) -> float:
    classes = probabilities.shape[1]
    if classes <= k:
        return math.nan
    return float(sk.top_k_accuracy_score(known, probabilities, k=k, labels=range(classes)))


def _balanced_accuracy(known: np.ndarray, predicted: np.ndarray) -> float:
    # scikit-learn's balanced_accuracy_score, without its warning about classes that are only
    # ever predicted.
    present = np.unique(known)
    return float(sk.recall_score(known, predicted, labels=present, average="macro"))


def _class_thresholds(known: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns per class its mean probability on the rows labelled so; inf without such rows."""
    return np.array(
        [
            probabilities[known == column, column].mean() if (known == column).any() else np.inf
            for column in range(probabilities.shape[1])
        ]
    )


def _score_text(row: pd.Series) -> str:
    if not row.labelled:
        return "no labels"
    if np.isnan(row.top3):
        return f"accuracy {_share(row.accuracy)}"
    names = {"top-1": row.accuracy, "top-2": row.top2, "top-3": row.top3}
    return "  ".join(f"{name} {_share(value)}" for name, value in names.items())


def _share(value: float) -> str:
    """Writes a share in four characters: .953, and 1.00 where it rounds to that."""
    return "1.00" if value >= 0.9995 else f"{value:.3f}".removeprefix("0")
