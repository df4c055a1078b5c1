"""Changes training images at random: one pass over the pixels moves them, another recolors them."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

MIDDLE_GREY = 128
CHANGES = ("rotation", "zoom", "down", "across", "contrast", "brightness", "tint")


@dataclass(frozen=True)
class Augmentation:
    """How far the training images are changed at most; all zero leaves them as they are."""

    flip: float = 0.0  # probability of a mirror image
    shift: float = 0.0  # fraction of height and width
    zoom: float = 0.0  # fraction of the scale
    rotation: float = 0.0  # degrees
    brightness: float = 0.0  # fraction of full white
    contrast: float = 0.0  # fraction
    tint: float = 0.0  # fraction of a color channel; small, so that a color label stays right
    erase: float = 0.0  # probability that a rectangle is painted over (Zhong et al. 2017)
    erase_area: tuple[float, float] = (0.02, 0.15)  # smallest and largest fraction of the image
    # Change each image in only so many ways, as far as they go (RandAugment, Cubuk et al. 2020); 0
    # for all ways. The paper's solarize, posterize, equalize and invert spoil color labels.
    operations: int = 0
    shear: float = 0.0  # slant, and difference between the scales of the two sides: a side view
    smooth: bool = False  # interpolate: at 32 pixels the nearest one alone tears strokes apart


AUGMENTATIONS = {
    "none": Augmentation(),
    "flip": Augmentation(flip=0.5),
    "standard": Augmentation(0.5, 0.05, 0.08, 0.0, 0.08, 0.12, 0.04, 0.1),
    "strong": Augmentation(0.5, 0.10, 0.20, 10.0, 0.15, 0.30, 0.08, 0.5, (0.02, 0.25)),
    # of the published person attributes: all of its stages, and the third one
    "erasing": Augmentation(flip=0.5, erase=0.5, erase_area=(0.01, 0.2)),
    "strong erasing": Augmentation(0.5, 0.10, 0.20, 10.0, 0.15, 0.30, 0.08, 0.5, (0.01, 0.2)),
    "randaugment": Augmentation(0.5, 0.10, 0.20, 12.0, 0.15, 0.35, 0.08, operations=2),
    # No mirror: a curve to the left is another class than one to the right.
    "signs": Augmentation(
        0.0, 0.10, 0.15, 12.0, 0.10, 0.20, 0.10, 0.2, (0.02, 0.12), shear=0.12, smooth=True
    ),
}


def augment(images: np.ndarray, augmentation: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Returns a changed copy of images, uint8 (batch, height, width, 3), each in its own way."""
    if augmentation == AUGMENTATIONS["none"]:
        return images
    changed = np.empty(images.shape, np.uint8)  # row by row, whatever the order of `images`
    spread = _spread(len(images), augmentation.operations, rng)
    _move(images, changed, augmentation, spread, rng)
    _recolor(changed, augmentation, spread)
    _erase(changed, augmentation, rng)
    return changed


def _spread(count: int, operations: int, rng: np.random.Generator) -> Callable[..., np.ndarray]:
    """Draws which changes each image gets; the function returned draws how far, -far to far."""
    order = rng.random((count, len(CHANGES))).argsort(axis=1) if operations else None

    def spread(change: str, far: float, values: int = 1) -> np.ndarray:
        drawn = rng.uniform(-far, far, (count, values))
        if order is None:
            return drawn
        chosen = order[:, [CHANGES.index(change)]] < operations
        return np.where(chosen, np.copysign(far, drawn), 0.0)

    return spread


def _move(images: np.ndarray, moved: np.ndarray, a: Augmentation, spread: Callable, rng) -> None:
    count, height, width, _ = images.shape
    middle = np.array(((width - 1) / 2, (height - 1) / 2))
    angle = np.radians(spread("rotation", a.rotation)[:, 0])
    scale = 1 + spread("zoom", a.zoom)[:, 0]
    mirror = np.where(rng.random(count) < a.flip, -1, 1)
    shift = np.hstack((spread("across", a.shift) * width, spread("down", a.shift) * height))
    slant, stretch = rng.uniform(-a.shear, a.shear, (2, count))
    turn = np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    shape = np.array(((mirror * (1 + stretch / 2), slant), (0 * slant, 1 - stretch / 2)))
    matrices = np.einsum("ijn,jkn->nik", turn, shape * scale)  # from a new place to the old one
    offsets = middle - matrices @ middle + shift
    flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_LINEAR if a.smooth else cv2.INTER_NEAREST)
    for i, matrix in enumerate(np.concatenate([matrices, offsets[..., None]], axis=2)):
        cv2.warpAffine(images[i], matrix, (width, height), moved[i], flags, cv2.BORDER_REPLICATE)


def _recolor(images: np.ndarray, a: Augmentation, spread: Callable) -> None:
    contrast = 1 + spread("contrast", a.contrast)
    light = 255 * spread("brightness", a.brightness)
    tint = 1 + spread("tint", a.tint, 3)
    matrices = np.zeros((len(images), 3, 4))  # from an old color, and 1, to the new one
    matrices[:, range(3), range(3)] = contrast * tint
    matrices[:, :, 3] = (light + MIDDLE_GREY * (1 - contrast)) * tint
    for image, matrix in zip(images, matrices):
        cv2.transform(image, matrix, image)  # rounds and clips


def _erase(images: np.ndarray, a: Augmentation, rng: np.random.Generator) -> None:
    count, height, width, _ = images.shape
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
        images[i, first_row:last_row, first_column:last_column] = colors[i]
