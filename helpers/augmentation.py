"""Changes training pictures at random, a batch at a time.

Pure numpy on bytes: each picture is read once through a table of places (flip, shift, zoom and
rotation at once) and once through a table of 256 values (light, contrast, tint). On two cores every
pass over the pixels is time that the network does not get.
"""

from dataclasses import dataclass

import numpy as np

MIDDLE_GREY = 128


@dataclass(frozen=True)
class Augmentation:
    """How far the training pictures are changed; all zero leaves them as they are.

    Attributes:
        flip: probability of a mirror image.
        shift: largest shift, as a share of height and width.
        zoom: largest change of scale, as a share.
        rotation: largest angle in degrees.
        brightness: largest change, as a share of full white.
        contrast: largest change of contrast, as a share.
        tint: largest change of a single color channel, as a share. Small, since a color label
            must still be right after it.
        erase: probability that a rectangle is painted over (Zhong et al. 2017).
        erase_area: smallest and largest share of the picture that it covers.
    """

    flip: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    tint: float = 0.0
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.15)


AUGMENTATIONS = {
    "none": Augmentation(),
    "standard": Augmentation(0.5, 0.06, 0.10, 4.0, 0.08, 0.15, 0.05, 0.3),
    "strong": Augmentation(0.5, 0.10, 0.20, 10.0, 0.15, 0.30, 0.08, 0.5, (0.02, 0.25)),
}


def augment(
    pictures: np.ndarray, augmentation: Augmentation, rng: np.random.Generator
) -> np.ndarray:
    """Changes each picture of a batch in its own way.

    Args:
        pictures: uint8 (batch, height, width, 3), 0 to 255; left as they are.
        augmentation: how far to go.
        rng: where the random numbers come from; the same state gives the same changes.

    Returns:
        uint8 (batch, height, width, 3), 0 to 255.
    """
    if augmentation == AUGMENTATIONS["none"]:
        return pictures
    changed = np.empty_like(pictures)
    places = _source_places(pictures.shape, augmentation, rng)
    values = _value_tables(len(pictures), augmentation, rng)
    for picture, place, table, out in zip(pictures, places, values, changed):
        moved = picture.reshape(-1, 3).take(place, axis=0)  # (height, width, 3)
        for channel in range(3):
            out[..., channel] = table[channel].take(moved[..., channel])
    return _erase(changed, augmentation, rng)


def _source_places(shape: tuple, a: Augmentation, rng: np.random.Generator):
    """Yields for each picture where its pixels come from: int (height, width), flat indices.

    The nearest pixel is taken, and beyond the edge the edge's own.
    """
    count, height, width, _ = shape
    y = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2
    x = np.arange(width, dtype=np.float32) - (width - 1) / 2
    angle = np.radians(rng.uniform(-a.rotation, a.rotation, count))
    scale = 1 + rng.uniform(-a.zoom, a.zoom, count)
    mirror = np.where(rng.random(count) < a.flip, -1, 1)
    down = rng.uniform(-a.shift, a.shift, count) * height + height / 2  # + 1/2 rounds
    across = rng.uniform(-a.shift, a.shift, count) * width + width / 2
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    for i in range(count):
        # Sums of a column and a row of numbers: one pass over the picture each.
        row = (y * cosine[i] + down[i]).astype(np.float32) + (x * sine[i]).astype(np.float32)
        column = (y * -sine[i] * mirror[i]).astype(np.float32)
        column = column + (x * cosine[i] * mirror[i] + across[i]).astype(np.float32)
        row = np.clip(row, 0, height - 1).astype(np.int32)
        yield row * width + np.clip(column, 0, width - 1).astype(np.int32)


def _value_tables(count: int, a: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Returns what each value becomes, for each picture and channel: uint8 (count, 3, 256)."""
    contrast = 1 + rng.uniform(-a.contrast, a.contrast, (count, 1, 1))
    light = 255 * rng.uniform(-a.brightness, a.brightness, (count, 1, 1))
    tint = 1 + rng.uniform(-a.tint, a.tint, (count, 3, 1))
    values = (np.arange(256) - MIDDLE_GREY) * contrast + MIDDLE_GREY + light
    return np.round(values * tint).clip(0, 255).astype(np.uint8)


def _erase(pictures: np.ndarray, a: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Paints a rectangle of one random color into some of the pictures, in place."""
    count, height, width, _ = pictures.shape
    chosen = rng.random(count) < a.erase
    area = rng.uniform(*a.erase_area, count)
    aspect = np.exp(rng.uniform(np.log(0.3), np.log(3.3), count))  # the paper's range
    tall = np.minimum(np.sqrt(area * aspect), 1) * height
    broad = np.minimum(np.sqrt(area / aspect), 1) * width
    top, left = rng.random(count) * (height - tall), rng.random(count) * (width - broad)
    colors = rng.integers(0, 256, (count, 3))
    box = np.round([top, top + tall, left, left + broad]).astype(int).T
    for i in np.flatnonzero(chosen):
        first_row, last_row, first_column, last_column = box[i]
        pictures[i, first_row:last_row, first_column:last_column] = colors[i]
    return pictures
