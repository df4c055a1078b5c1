"""Where a network is wrong: class by class, image by image, and where the label may be."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from helpers.scores.labelled import labelled


def per_class(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Returns a row per class: precision, recall, f1 and support (its number of labels).

    Precision of a class that is never predicted and recall of one that has no label are nan.
    """
    counts = confusion(targets, probabilities, classes).to_numpy()
    right, support, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    table = pd.DataFrame(index=pd.Index(classes, name="class"))
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan
        table["precision"], table["recall"] = right / predicted, right / support
        table["f1"] = 2 * right / (support + predicted)
    return table.assign(support=support)


def confusion(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Counts which class was taken for which: rows are the truth, columns the prediction."""
    known, probabilities, _ = labelled(targets, probabilities, classes)
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (known, probabilities.argmax(axis=1)), 1)
    return pd.DataFrame(
        counts, index=pd.Index(classes, name="truth"), columns=pd.Index(classes, name="prediction")
    )


def worst_mistakes(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], count: int = 12
) -> pd.DataFrame:
    """Lists the `count` rows that are wrong with the highest confidence, most confident first.

    The columns: row (position in the arrays), truth, predicted, confidence, truth_probability.
    """
    known, probabilities, rows = labelled(targets, probabilities, classes)
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
    )[predicted != known]
    table = table.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)
    return table[:count]


def likely_label_errors(
    targets: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """Ranks the rows whose label is probably wrong, most suspicious first.

    Confident learning (Northcutt et al. 2021): a class is likely for a row where its
    probability reaches the class's own threshold, the mean probability it gets on the rows
    labelled so. A row is listed where the likeliest such class is not its label, and ranked by
    self-confidence. As in the authors' cleanlab, a row that is predicted as labelled is never
    listed. Use predictions of a network that was not trained on these rows.

    The columns: row (position in the arrays), given, suggested, self_confidence (probability of
    the given label), margin (probability of the suggested one minus that).
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
    table = pd.DataFrame(
        {
            "row": rows,
            "given": names[known],
            "suggested": names[suggested],
            "self_confidence": self_confidence,
            "margin": probabilities[every, suggested] - self_confidence,
        }
    )[suspect]
    return table.sort_values("self_confidence", kind="stable", ignore_index=True)
