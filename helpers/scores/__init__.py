"""Probabilities and labels become scores, with intervals; nothing here needs TensorFlow.

Everywhere `targets` is int (n,), -1 without a label (such rows never count), and `probabilities`
float (n, classes), each row a distribution.
"""

from typing import TYPE_CHECKING

from helpers.common import front_door

if TYPE_CHECKING:
    from helpers.scores.confidence import (
        apply_temperature,
        expected_calibration_error,
        fit_temperature,
    )
    from helpers.scores.errors import likely_label_errors, per_class
    from helpers.scores.scores import score_lines, score_manifest, score_task

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
