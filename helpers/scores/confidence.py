"""What a confidence is worth: calibration and temperature."""

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from helpers.common import expected
from helpers.scores.labelled import labelled

BINS = 15  # as in Guo et al. 2017
SMALLEST_PROBABILITY = 1e-12  # keeps the logarithm finite; float32 softmax does reach 0


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
