"""Probabilities and labels become scores, with intervals; nothing here needs TensorFlow.

Everywhere `targets` is int (n,), -1 without a label (such rows never count), and `probabilities`
float (n, classes), each row a distribution.
"""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "confidence": [
            "Threshold",
            "apply_temperature",
            "calibration_curve",
            "choose_threshold",
            "coverage_curve",
            "expected_calibration_error",
            "fit_temperature",
        ],
        "errors": ["confusion", "likely_label_errors", "per_class", "worst_mistakes"],
        "priors": ["co_occurrence", "without_prior"],
        "scores": [
            "accuracy_difference",
            "at_majority_baseline",
            "score_by",
            "score_lines",
            "score_manifest",
            "score_task",
        ],
    },
)
