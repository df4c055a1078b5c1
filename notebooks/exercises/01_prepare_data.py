"""What 01_prepare_data accepts as an answer, and the hints."""

from itertools import pairwise
from typing import Any

import numpy as np

from helpers.workshop import Exercise


def _halves(answer: Any, table: Any) -> bool:
    side, group = np.asarray(answer), table["group"].to_numpy()
    first = side == "first"
    even = abs(first.mean() - 0.5) < 0.08  # people are not cut in two
    named = set(side) == {"first", "second"} and len(side) == len(group)
    return named and even and not set(group[first]) & set(group[~first])


def _sign() -> np.ndarray:
    """A white arrow to the right, between a red bar above and a blue one below: (48, 48, 3)."""
    sign = np.full((48, 48, 3), 90.0, np.float32)
    sign[:10], sign[-10:] = (200, 40, 40), (40, 40, 200)
    sign[21:27, 8:30] = 230
    for column in range(12):  # the head
        sign[12 + column : 36 - column, 28 + column] = 230
    return sign


def _alike(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


def _leaves_the_sign(changed: np.ndarray, sign: np.ndarray) -> bool:
    if changed.shape != sign.shape:
        return False
    others = [sign[:, ::-1], sign[::-1], *(np.rot90(sign, turns) for turns in (1, 2, 3))]
    upright = all(_alike(changed, sign) > _alike(changed, other) for other in others)
    red, blue = changed[:10].mean(axis=(0, 1)), changed[-10:].mean(axis=(0, 1))
    return upright and red.argmax() == 0 and blue.argmax() == 2


def _signs(answer: Any) -> bool:
    sign = _sign()
    changed = [np.asarray(answer(sign.copy()), np.float32) for _ in range(20)]
    varied = all(np.abs(a - b).mean() > 0.1 for a, b in pairwise(changed))
    return varied and all(_leaves_the_sign(image, sign) for image in changed)


def _pipeline(answer: Any, validation: Any) -> bool:
    batches = [(images.numpy(), targets.numpy()) for images, targets in answer]
    images = np.concatenate([images for images, _ in batches])
    targets = np.concatenate([targets for _, targets in batches])
    shaped = images.shape == (len(validation), 48, 48, 3)
    scaled = images.min() >= 0 and 0.5 < images.max() <= 1
    sized = len(batches[0][0]) == min(32, len(validation))
    return shaped and scaled and sized and (targets == validation.targets("gender")).all()


EXERCISES: dict[str, Exercise] = {
    "01-halves": Exercise(
        _halves,
        "`next(GroupShuffleSplit(train_size=0.5).split(table, groups=table['group']))` gives the "
        "row numbers of the two halves. Write a name at each of them.",
    ),
    "01-signs": Exercise(
        _signs,
        "what does a mirror, a quarter turn or another hue make of a sign? Light is harmless: "
        "`tf.image.random_brightness(image, 30)`.",
    ),
    "01-pipeline": Exercise(
        _pipeline,
        "start from `tf.data.Dataset.from_tensor_slices(by_person.subset('validation').paths)` "
        "with the targets next to the paths. No shuffle; resize to 48 x 48, then divide by 255.",
    ),
}
