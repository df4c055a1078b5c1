"""What 12_detect_and_describe accepts as an answer, and the hints."""

from typing import Any

import numpy as np
from PIL import Image

from helpers.workshop import Exercise

BOX = (20, 30, 140, 90)  # ymin, xmin, ymax, xmax
HEAD = (slice(20, 40), slice(30, 90))  # the upper sixth of it


def _anonymous(answer: Any) -> bool:
    before = np.random.default_rng(0).integers(0, 256, (160, 120, 3)).astype(np.uint8)
    image = Image.fromarray(before)
    after = np.asarray(answer(image, BOX))
    elsewhere = np.ones(before.shape[:2], bool)
    elsewhere[18:42, 28:92] = False  # a pixel more or less, where edges are rounded
    kept = (after[elsewhere] == before[elsewhere]).all()
    # what a blur and large pixels have in common: neighbors are alike
    rough = [np.abs(np.diff(one[HEAD].astype(float), axis=1)).mean() for one in (before, after)]
    return bool(kept and rough[1] < rough[0] / 2 and (np.asarray(image) == before).all())


def _tight(answer: Any) -> bool:
    # one color of its own for each place, smooth, so that the way of resizing makes no difference
    y, x = np.mgrid[:160, :120]
    scene = np.stack([y, 2 * x, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    found = np.asarray(answer(Image.fromarray(scene), BOX, (80, 32)), float)
    wanted = Image.fromarray(scene[20:140, 30:90]).resize((32, 80), Image.Resampling.BILINEAR)
    return found.shape == (80, 32, 3) and np.abs(found - np.asarray(wanted, float)).max() < 5


EXERCISES: dict[str, Exercise] = {
    "12-anonymize": Exercise(
        _anonymous,
        "crop the upper sixth, apply `ImageFilter.GaussianBlur(8)` to it, and paste it into a copy "
        "of the image, at the corner where it was.",
    ),
    "12-tight": Exercise(
        _tight,
        "Pillow wants left, top, right, bottom: `(box[1], box[0], box[3], box[2])`. "
        "And `size` is height and width, but resize wants width and height.",
    ),
    "12-batch": Exercise(32, "a batch that is not full is padded; how many does a batch hold?"),
}
