"""What years do to a sign: faded paint, dirt, scratches, stickers and graffiti."""

import cv2
import numpy as np

from data.generate.sign_pen import TEMPLATE
from data.generate.sign_scenes import noise


def age_sign(rng: np.random.Generator, sign: np.ndarray) -> np.ndarray:
    """Returns one physical sign of a kind: float32 (TEMPLATE, TEMPLATE, 4), 0 to 255.

    Args:
        rng: Of everything that happened to it.
        sign: uint8 (TEMPLATE, TEMPLATE, 4), RGB and coverage, as drawn.
    """
    paint = sign[..., :3].astype(np.float32)
    paint = _fade(rng, paint)
    paint = _soil(rng, paint)
    paint = np.ascontiguousarray(paint)
    if rng.random() < 0.12:
        _add_sticker(rng, paint)
    if rng.random() < 0.05:
        _add_graffiti(rng, paint)
    if rng.random() < 0.15:
        _add_scratches(rng, paint)
    return np.concatenate([np.clip(paint, 0, 255), sign[..., 3:].astype(np.float32)], axis=-1)


def _fade(rng: np.random.Generator, paint: np.ndarray) -> np.ndarray:
    """Lets the sun bleach the paint (red turns orange first), and tints differ by maker."""
    tint = np.exp(rng.normal(0, 0.07, 3)).astype(np.float32)
    grey = paint.mean(-1, keepdims=True)
    paint = (grey + (paint - grey) * rng.uniform(0.8, 1.15)) * tint
    bleach = rng.beta(1, 5)
    if rng.random() < 0.1:
        bleach = rng.uniform(0.3, 0.75)
    redness = np.clip((paint[..., :1] - paint[..., 1:2]) / 150, 0, 1)
    bleached = paint + redness * np.array((50, 110, 80), np.float32)
    return paint + bleach * (bleached + (200 - bleached) * 0.2 - paint)


def _soil(rng: np.random.Generator, paint: np.ndarray) -> np.ndarray:
    """Lays dirt over it, more at one edge, and streaks that the rain has drawn."""
    strength = rng.beta(1.2, 5) * 0.9
    clouds = np.clip(noise(rng, TEMPLATE, 3, 5) + rng.normal(0, 0.6), 0, 3) / 3
    streaks = cv2.resize(rng.random((1, 40), np.float32), (TEMPLATE, TEMPLATE))
    cover = strength * (0.7 * clouds + 0.3 * streaks * clouds)[..., None]
    dirt = np.array((96, 88, 74), np.float32) * np.float32(rng.uniform(0.6, 1.2))
    return paint * (1 - cover) + dirt * cover


def _add_sticker(rng: np.random.Generator, paint: np.ndarray) -> None:
    colors = ((235, 235, 230), (200, 40, 40), (240, 210, 60), (40, 90, 170), (30, 30, 30))
    for _ in range(rng.integers(1, 4)):
        angle = rng.uniform(-40, 40)
        size = rng.uniform(11, 30), rng.uniform(7, 17)
        middle = rng.uniform(0.25, 0.75, 2) * TEMPLATE
        corners = cv2.boxPoints((tuple(middle.tolist()), size, float(angle))).astype(np.int32)
        cv2.fillPoly(paint, [corners], colors[rng.integers(len(colors))], cv2.LINE_AA)


def _add_graffiti(rng: np.random.Generator, paint: np.ndarray) -> None:
    colors = ((20, 20, 20), (40, 60, 160), (230, 230, 230), (170, 30, 120))
    color, width = colors[rng.integers(len(colors))], int(rng.integers(2, 6))
    start = rng.uniform(0.25, 0.6, 2) * TEMPLATE
    steps = np.cumsum(rng.normal((4, 0), (8, 11), (14, 2)), axis=0)
    cv2.polylines(paint, [(start + steps).astype(np.int32)], False, color, width, cv2.LINE_AA)


def _add_scratches(rng: np.random.Generator, paint: np.ndarray) -> None:
    for _ in range(rng.integers(2, 9)):
        start = rng.uniform(0.1, 0.9, 2) * TEMPLATE
        end = start + rng.normal(0, 27, 2)
        shade = int(rng.uniform(60, 220))
        cv2.line(paint, start.astype(int).tolist(), end.astype(int).tolist(), (shade,) * 3,
                 int(rng.integers(1, 3)), cv2.LINE_AA)  # fmt: skip
