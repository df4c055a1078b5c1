"""What stands around a sign: sky, trees, walls and streets behind it, its post and other signs."""

from collections.abc import Callable

import cv2
import numpy as np

from data.generate.sign_pen import REACH, TEMPLATE
from data.generate.sign_shapes import draw_sign
from data.sources.gtsrb import SIGNS

BACKDROP = 160  # pixels of a backdrop, on each side; it is out of focus anyway
LAYER = 280  # pixels of the layer of a sign and what hangs beside it: all that a frame can show
UNIT = TEMPLATE / 2 / REACH  # pixels of that layer for a length of 1: half a sign


def noise(rng: np.random.Generator, size: int, coarse: int, octaves: int = 4) -> np.ndarray:
    """Returns cloudy noise: float32 (size, size), mean 0, standard deviation 1.

    Args:
        rng: Of the noise.
        size: In pixels.
        coarse: Cells of the coarsest octave, on each side.
        octaves: Each has twice the cells of the one before, and six tenths of its strength.
    """
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        cells = min(coarse * 2**octave, size)
        grid = rng.standard_normal((cells, cells), np.float32) * np.float32(0.6**octave)
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / (total.std() + 1e-6)


def draw_backdrop(rng: np.random.Generator) -> np.ndarray:
    """Draws what lies behind a sign: float32 (BACKDROP, BACKDROP, 3), RGB, 0 to 255."""
    kinds: list[Callable] = [_sky, _foliage, _wall, _street, _branches]
    kind = kinds[rng.choice(len(kinds), p=(0.1, 0.38, 0.14, 0.2, 0.18))]
    picture = np.ascontiguousarray(kind(rng), np.float32)
    for _ in range(rng.choice(3, p=(0.55, 0.3, 0.15))):
        _add_post(rng, picture)
    return np.clip(picture + noise(rng, BACKDROP, 40, 2)[..., None] * 4, 0, 255)


def _color(rng: np.random.Generator, *colors: tuple[int, int, int]) -> np.ndarray:
    color = np.array(colors[rng.integers(len(colors))], np.float32)
    return color * np.exp(rng.normal(0, 0.15)) + rng.normal(0, 6, 3).astype(np.float32)


def _sky(rng: np.random.Generator) -> np.ndarray:
    top = _color(rng, (150, 180, 225), (225, 228, 232), (250, 250, 250), (120, 150, 205))
    low = top * 0.6 + np.float32(95)
    share = np.linspace(0, 1, BACKDROP, dtype=np.float32)[:, None, None]
    clouds = noise(rng, BACKDROP, 3)[..., None] * rng.uniform(0, 10)
    return np.broadcast_to(top * (1 - share) + low * share, (BACKDROP, BACKDROP, 3)) + clouds


def _foliage(rng: np.random.Generator) -> np.ndarray:
    base = _color(rng, (26, 32, 18), (40, 44, 24), (66, 50, 24), (40, 30, 22), (20, 24, 18))
    leaf = _color(rng, (120, 128, 66), (168, 130, 60), (104, 84, 56), (150, 140, 110))
    mix = 1 / (1 + np.exp(-2.5 * noise(rng, BACKDROP, 10, 4) + rng.uniform(0.5, 2.5)))[..., None]
    picture = base * (1 - mix) + leaf * mix
    if rng.random() < 0.6:  # the sky between the leaves
        holes = noise(rng, BACKDROP, 8, 4)[..., None] > rng.uniform(1.0, 2.2)
        picture = np.where(holes, _color(rng, (235, 238, 245), (200, 212, 232)), picture)
    return picture


def _wall(rng: np.random.Generator) -> np.ndarray:
    color = _color(rng, (176, 166, 150), (140, 128, 120), (120, 74, 58), (206, 198, 180))
    picture = np.broadcast_to(color, (BACKDROP, BACKDROP, 3)) + noise(rng, BACKDROP, 6)[
        ..., None
    ] * rng.uniform(2, 9)
    picture = np.ascontiguousarray(picture, np.float32)
    if rng.random() < 0.4:
        for y in range(0, BACKDROP, int(rng.integers(5, 9))):
            picture[y] *= 0.82
    for _ in range(rng.integers(0, 4)):  # windows
        x, y = (int(v) for v in rng.integers(0, BACKDROP - 20, 2))
        wide, tall = (int(v) for v in rng.integers(16, 50, 2))
        frame = _color(rng, (220, 220, 215), (90, 80, 70)).tolist()
        cv2.rectangle(picture, (x, y), (x + wide, y + tall), frame, -1)
        glass = _color(rng, (40, 46, 54), (90, 105, 125), (170, 190, 210)).tolist()
        cv2.rectangle(picture, (x + 3, y + 3), (x + wide - 3, y + tall - 3), glass, -1)
    return picture


def _street(rng: np.random.Generator) -> np.ndarray:
    """Layers sky, a row of trees or houses, and the ground with cars."""
    picture = _sky(rng).copy()
    rows = np.arange(BACKDROP)[:, None]
    edge = rng.uniform(0.15, 0.6) * BACKDROP + noise(rng, BACKDROP, 5)[0] * 9
    behind = _foliage(rng) if rng.random() < 0.6 else _wall(rng)
    picture = np.where((rows > edge)[..., None], behind, picture)
    ground = rng.uniform(0.55, 1.0) * BACKDROP
    asphalt = _color(rng, (120, 120, 122), (86, 86, 90), (150, 148, 140))
    picture = np.ascontiguousarray(np.where((rows > ground)[..., None], asphalt, picture))
    for _ in range(rng.integers(0, 4)):
        x, y = int(rng.uniform(-20, BACKDROP)), int(ground - rng.uniform(0, 20))
        paint = _color(rng, (170, 172, 176), (40, 42, 48), (130, 30, 30), (40, 60, 110)).tolist()
        cv2.rectangle(picture, (x, y), (x + 46, y + 16), paint, -1)
        cv2.rectangle(picture, (x + 9, y - 9), (x + 36, y), (60, 66, 74), -1)
    return picture


def _branches(rng: np.random.Generator) -> np.ndarray:
    """Draws bare trees before a bright sky."""
    picture = np.ascontiguousarray(_sky(rng), np.float32)
    color = _color(rng, (52, 44, 40), (36, 32, 32), (80, 66, 54)).tolist()
    for _ in range(rng.integers(4, 10)):
        _grow(rng, picture, color, rng.uniform(0, BACKDROP), BACKDROP * 1.05,
              rng.normal(-90, 14), rng.uniform(50, 90), rng.uniform(2, 7))  # fmt: skip
    return picture


def _grow(rng, picture, color, x, y, angle, length, width) -> None:
    """Draws a branch and what branches from it."""
    way = np.radians(angle)
    end = (x + length * np.cos(way), y + length * np.sin(way))
    cv2.line(picture, (int(x), int(y)), (int(end[0]), int(end[1])), color,
             max(1, round(width)), cv2.LINE_AA)  # fmt: skip
    if length > 14:
        for turn in rng.normal(0, 32, 3):
            share = rng.uniform(0.4, 1.0)
            start = (x + share * (end[0] - x), y + share * (end[1] - y))
            _grow(rng, picture, color, *start, angle + turn, length * 0.62, width * 0.6)


def _add_post(rng: np.random.Generator, picture: np.ndarray) -> None:
    x, wide = int(rng.uniform(0, BACKDROP)), int(rng.uniform(2, 12))
    color = _color(rng, (90, 92, 94), (150, 150, 150), (60, 54, 48), (210, 210, 205)).tolist()
    cv2.rectangle(picture, (x, 0), (x + wide, BACKDROP), color, -1)


def hang_sign(rng: np.random.Generator, sign: np.ndarray) -> np.ndarray:
    """Puts a sign on its post, often with others above and below it.

    Args:
        rng: Of post and neighbors.
        sign: uint8 or float32 (TEMPLATE, TEMPLATE, 4), RGB and coverage.

    Returns:
        float32 (LAYER, LAYER, 4), RGB 0 to 255 and coverage 0 to 1; the sign is in the middle.
    """
    layer = np.zeros((LAYER, LAYER, 4), np.float32)
    middle = LAYER / 2
    if rng.random() < 0.75:
        x, half = middle + rng.normal(0, 4), rng.uniform(3, 8)
        top = middle - UNIT * (rng.uniform(0.3, 1.1) if rng.random() < 0.6 else 3)
        color = _color(rng, (120, 122, 124), (165, 165, 165), (80, 80, 82))
        layer[int(max(top, 0)) :, int(x - half) : int(x + half)] = (*color, 1)
    below, above = rng.random(2)
    if below < 0.25:
        _add_plate(rng, layer, middle + UNIT * rng.uniform(1.25, 1.45))
    elif below < 0.45:
        _add_neighbor(rng, layer, 1)
    if above < 0.2:
        _add_neighbor(rng, layer, -1)
    lay_over(layer, np.asarray(sign, np.float32), (LAYER - TEMPLATE) // 2, (LAYER - TEMPLATE) // 2)
    return layer


def _add_plate(rng: np.random.Generator, layer: np.ndarray, y: float) -> None:
    """Adds a white plate with a line of text below the sign."""
    half, tall = UNIT * rng.uniform(0.6, 1.0), UNIT * rng.uniform(0.35, 0.7)
    left, right = int(LAYER / 2 - half), int(LAYER / 2 + half)
    top = int(y - UNIT * 0.22)
    layer[top : int(top + tall), left:right] = (230, 230, 226, 1)
    for x in np.arange(left + 8, right - 12, 11):
        if rng.random() < 0.8:
            layer[top + 8 : int(top + tall - 8), int(x) : int(x + 6)] = (40, 40, 40, 1)


def _add_neighbor(rng: np.random.Generator, layer: np.ndarray, side: int) -> None:
    other = draw_sign(int(rng.integers(len(SIGNS)))).astype(np.float32)
    gap = round(UNIT * rng.uniform(1.98, 2.2)) * side
    x = (LAYER - TEMPLATE) // 2
    lay_over(layer, other, x + gap, x)


def lay_over(layer: np.ndarray, top: np.ndarray, row: int, column: int) -> None:
    """Lays an image (h, w, 4), RGB and coverage 0 to 255, over a layer in place."""
    first, last = max(row, 0), min(row + len(top), len(layer))
    if last <= first:
        return
    part = top[first - row : last - row]
    place = layer[first:last, column : column + top.shape[1]]
    share = part[..., 3:] / 255
    place[..., :3] = place[..., :3] * (1 - share) + part[..., :3] * share
    place[..., 3:] = np.maximum(place[..., 3:], share)
