"""What 04_visualize_inference accepts as an answer, and the hints."""

from typing import Any

import numpy as np

from helpers.scores import choose_threshold
from helpers.workshop import Exercise, near


def _threshold(answer: Any, targets: Any, probabilities: Any) -> bool:
    wanted = choose_threshold(targets, probabilities, wanted_accuracy=0.9).threshold
    answer = float(getattr(answer, "threshold", answer))
    return answer == wanted or near(answer, wanted)  # the first also where both are infinite


EXERCISES: dict[str, Exercise] = {
    "04-all-sure": Exercise(
        lambda answer, sure: near(answer, np.asarray(sure, bool).all(axis=1).mean()),
        "an image counts if all of its columns are true: pandas has all(axis=1).",
    ),
    "04-threshold": Exercise(
        _threshold,
        "metrics.choose_threshold with other numbers; what is chosen is not chosen on test.",
    ),
    "04-export": Exercise(
        "LiteRT, from files",
        "which ways start from the bytes of a file, and which of these run without TensorFlow?",
    ),
}
