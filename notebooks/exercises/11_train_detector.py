"""What 11_train_detector accepts as an answer, and the hints."""

from helpers.workshop import Exercise, near

EXERCISES: dict[str, Exercise] = {
    "11-anchors": Exercise(
        2 * (32**2 + 16**2 + 8**2),
        "how many cells does each of the three maps have? Every cell has an anchor for each ratio.",
    ),
    "11-iou": Exercise(
        lambda answer: near(answer, 1 / 3),
        "the shared area by what both cover together; do not count the shared part twice.",
    ),
}
