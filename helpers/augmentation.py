"""Changes training pictures at random, a batch at a time.

Pure numpy on whole numbers: flip, shift, zoom and rotation move each picture at once, then light,
contrast and tint recolor many pictures at once with 16 bits a value. On two cores every pass over
the pixels is time that the network does not get. Small pictures are moved smoothly, by OpenCV.
"""

from dataclasses import dataclass

import cv2
import numpy as np

AT_ONCE = 32  # pictures: little memory, used again and again, is much faster than fresh memory
MIDDLE_GREY = 128
STEPS = 64  # a factor is a whole number of 64ths: 255 times 1.5 then still fits into 16 bits


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
        shear: largest slant and largest difference between the scales of the two sides, as a share;
            what a view from the side does. Needs `smooth`.
        smooth: mix the pixels between which a moved one lies. At 32 pixels the nearest one alone
            tears thin strokes apart; at 160 nobody sees it, and it takes time.
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
    shear: float = 0.0
    smooth: bool = False


AUGMENTATIONS = {
    "none": Augmentation(),
    "flip": Augmentation(flip=0.5),
    "standard": Augmentation(0.5, 0.05, 0.08, 0.0, 0.08, 0.12, 0.04, 0.1),
    "strong": Augmentation(0.5, 0.10, 0.20, 10.0, 0.15, 0.30, 0.08, 0.5, (0.02, 0.25)),
    # No mirror: a curve to the left is another class than one to the right.
    "signs": Augmentation(
        0.0, 0.10, 0.15, 12.0, 0.10, 0.20, 0.10, 0.2, (0.02, 0.12), shear=0.12, smooth=True
    ),
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
    changed = np.empty(pictures.shape, np.uint8)  # row by row, whatever the order of `pictures`
    for start in range(0, len(pictures), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        move = _warp if augmentation.smooth else _move
        move(pictures[part], changed[part], augmentation, rng)
        _recolor(changed[part], augmentation, rng)
        _erase(changed[part], augmentation, rng)
    return changed


def _move(
    pictures: np.ndarray, moved: np.ndarray, a: Augmentation, rng: np.random.Generator
) -> None:
    """Flips, shifts, zooms and rotates into `moved`: nearest pixels, and the edge's beyond it."""
    count, height, width, _ = pictures.shape
    y = np.arange(height) - (height - 1) / 2
    x = np.arange(width) - (width - 1) / 2
    angle = np.radians(rng.uniform(-a.rotation, a.rotation, count))[:, None]
    scale = 1 + rng.uniform(-a.zoom, a.zoom, (count, 1))
    mirror = np.where(rng.random((count, 1)) < a.flip, -1, 1)
    down = rng.uniform(-a.shift, a.shift, (count, 1)) * height + height / 2  # + 1/2 rounds
    across = rng.uniform(-a.shift, a.shift, (count, 1)) * width + width / 2
    rows, columns = np.cos(angle) * scale * y + down, np.cos(angle) * scale * mirror * x + across
    if a.rotation:
        slope = np.sin(angle) * scale
        for i, out in enumerate(moved):
            row = np.clip(rows[i][:, None] + slope[i] * x, 0, height - 1).astype(np.intp)
            column = columns[i] - (slope[i] * mirror[i] * y)[:, None]
            place = row * width + np.clip(column, 0, width - 1).astype(np.intp)
            pictures[i].reshape(-1, 3).take(place, axis=0, out=out, mode="clip")
        return
    # Without rotation whole rows move, then columns, byte by byte: half the time of pixels.
    rows = rows.clip(0, height - 1).astype(np.intp)
    columns = columns.clip(0, width - 1).astype(np.intp)
    columns = (columns[..., None] * 3 + np.arange(3)).reshape(count, -1)
    for i, out in enumerate(moved):
        whole = pictures[i].reshape(height, -1).take(rows[i], axis=0)
        whole.take(columns[i], axis=1, out=out.reshape(height, -1), mode="clip")


def _warp(
    pictures: np.ndarray, moved: np.ndarray, a: Augmentation, rng: np.random.Generator
) -> None:
    """Flips, shifts, zooms, turns and slants into `moved`: mixed pixels, and the edge's beyond."""
    count, height, width, _ = pictures.shape
    middle = np.array(((width - 1) / 2, (height - 1) / 2))
    angle = np.radians(rng.uniform(-a.rotation, a.rotation, count))
    scale = 1 + rng.uniform(-a.zoom, a.zoom, count)
    mirror = np.where(rng.random(count) < a.flip, -1, 1)
    shift = rng.uniform(-a.shift, a.shift, (count, 2)) * (width, height)
    slant, stretch = rng.uniform(-a.shear, a.shear, (2, count))
    turn = np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    shape = np.array(((mirror * (1 + stretch / 2), slant), (0 * slant, 1 - stretch / 2)))
    matrices = np.einsum("ijn,jkn->nik", turn, shape * scale)  # from a new place to the old one
    offsets = middle - matrices @ middle + shift
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for i, matrix in enumerate(np.concatenate([matrices, offsets[..., None]], axis=2)):
        cv2.warpAffine(pictures[i], matrix, (width, height), moved[i], flags, cv2.BORDER_REPLICATE)


def _recolor(pictures: np.ndarray, a: Augmentation, rng: np.random.Generator) -> None:
    """Changes contrast around middle grey, then brightness, then each channel, in place."""
    count, height, width, _ = pictures.shape
    contrast = 1 + rng.uniform(-a.contrast, a.contrast, (count, 1))
    light = 255 * rng.uniform(-a.brightness, a.brightness, (count, 1))
    tint = 1 + rng.uniform(-a.tint, a.tint, (count, 3))
    factor = np.round(contrast * tint * STEPS)
    offset = np.round((light + MIDDLE_GREY) * tint * STEPS - MIDDLE_GREY * factor + STEPS / 2)
    # A row of numbers as long as the picture's lets numpy treat many pixels at a time.
    factor, offset = (np.tile(n.astype(np.int16), width)[:, None] for n in (factor, offset))
    values = pictures.reshape(count, height, -1) * factor
    values += offset
    values //= STEPS
    values = values.clip(0, 255, out=values).reshape(pictures.shape)
    np.copyto(pictures, values, casting="unsafe")


def _erase(pictures: np.ndarray, a: Augmentation, rng: np.random.Generator) -> None:
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
