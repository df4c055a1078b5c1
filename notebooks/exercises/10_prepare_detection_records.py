"""What 10_prepare_detection_records accepts as an answer, and the hints."""

import numpy as np

from helpers.workshop import Exercise, near

EXERCISES: dict[str, Exercise] = {
    "10-difficult": Exercise(
        lambda answer, found: answer == sum(box.difficult for one in found for box in one.boxes),
        "each image of found has boxes, and each box says whether it is difficult.",
    ),
    "10-pixels": Exercise(
        lambda answer, one, width: near(answer, np.diff(one["boxes"][0][1::2])[0] * width, 0.6),
        "the order is ymin, xmin, ymax, xmax, and x counts along the width.",
    ),
}
