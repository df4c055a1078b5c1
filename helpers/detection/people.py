"""What is known of a person in an image."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Person:
    """One person in an image."""

    box: np.ndarray  # (4,) ymin, xmin, ymax, xmax in pixels of the image
    normalized: np.ndarray  # the same as fractions of height and width
    score: float  # of the detector
    attributes: dict[str, dict[str, float]]  # task to (class to probability), the best first
    crop: np.ndarray  # uint8 (height, width, 3), what the attribute network saw
