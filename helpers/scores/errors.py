"""Where a network is wrong: class by class, and where the label may be."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from helpers.scores.labelled import labelled


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
