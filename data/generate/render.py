"""Turns a drawn person into linear light: sun, sky, self-shadow and soft edges."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from data.generate.canvas import FAR, Canvas, Seen
from data.generate.cloth import SIZE, fold_maps, nearest_zoom
from data.generate.drawing import draw_person
from data.generate.looks import Look, View


@dataclass(frozen=True)
class Light:
    """Light of one image, as linear RGB and a direction in view space (right, up, near)."""

    direction: np.ndarray
    sun: np.ndarray
    sky: np.ndarray


@dataclass(frozen=True)
class Framing:
    """How the person lies in the image: all as fractions of the image's height, or radians."""

    foot_x: float
    foot_y: float
    head_y: float
    pitch: float
    closeness: float


def render_person(
    look: Look, view: View, light: Light, framing: Framing, height: int, width: int, step: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Draws and lights a person.

    Args:
        look: who it is.
        view: how they stand.
        light: of the place.
        framing: where they stand in the image.
        height: pixels of the image.
        width: pixels of the image.
        step: canvas pixels per image pixel and axis: 2 gives soft edges.

    Returns:
        Linear RGB (3, height, width) already multiplied by alpha, and alpha (height, width).
    """
    rows, cols = height * step, width * step
    tall = (framing.foot_y - framing.head_y) * rows
    scale = tall / ((1 + framing.closeness / 2) * np.cos(framing.pitch))
    rng = np.random.default_rng(look.top.seed)  # the same cloth folds alike from day to day
    canvas = Canvas(
        rows, cols, scale, (framing.foot_x * rows + cols / 2, framing.foot_y * rows), view.yaw,
        framing.pitch, framing.closeness, fold_maps(nearest_zoom(height / 240)),
        rng.integers(SIZE, size=2) + view.seed % 40, rows / 240,
    )  # fmt: skip
    draw_person(canvas, look, view)
    return _shrink(canvas, light, step)


def _shrink(canvas: Canvas, light: Light, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Lights the part of the canvas that holds the person and averages it down."""
    mask = canvas.depth > FAR
    height, width = mask.shape[0] // step, mask.shape[1] // step
    rgb, alpha = np.zeros((3, height, width), np.float32), np.zeros((height, width), np.float32)
    if not mask.any():
        return rgb, alpha
    rows, cols = (_extent(mask.any(axis), step) for axis in (1, 0))
    seen = canvas.finish(rows, cols, step)
    small = tuple(slice(s.start // step, s.stop // step) for s in (rows, cols))
    alpha[small] = seen.alpha
    rgb[:, small[0], small[1]] = _shade(seen, light, canvas.scale / step)
    return rgb, alpha


def _extent(line: np.ndarray, step: int) -> slice:
    used = np.flatnonzero(line)
    return slice(used[0] // step * step, (used[-1] // step + 1) * step)


def _shade(seen: Seen, light: Light, scale: float) -> np.ndarray:
    """Returns the linear RGB (3, h, w) that reaches the camera; `scale` is pixels per stature."""
    nx, ny, nz = seen.normal
    x, y, z = light.direction.tolist()
    facing = np.maximum(nx * x + ny * y + nz * z, 0)
    depth = np.maximum(seen.depth, seen.depth[seen.alpha > 0].min() - np.float32(0.1 * scale))
    around = ndimage.uniform_filter(depth, int(0.045 * scale))
    hidden = np.clip((around - depth) / (0.07 * scale), 0, 1)
    ambient = (0.66 + 0.34 * ny) * (1 - 0.72 * hidden)
    shadow = _cast(depth, light, scale)
    facing *= shadow
    shine = facing * facing
    shine *= shine
    shine *= shine * seen.gloss
    lit = np.empty_like(seen.albedo)
    for channel in range(3):  # colour and gloss are 0 where nobody stands
        level = light.sky[channel] * ambient + light.sun[channel] * facing
        lit[channel] = seen.albedo[channel] * level + (0.25 * light.sun[channel]) * shine
    return lit


def _cast(depth: np.ndarray, light: Light, scale: float) -> np.ndarray:
    """Returns 1 in the sun and less where a nearer part stands between the point and the sun."""
    shade = np.ones_like(depth)
    x, y, z = light.direction.tolist()
    for reach in (0.02, 0.045):
        dx, dy = int(round(x * reach * scale)), int(round(-y * reach * scale))
        moved = np.roll(depth, (-dy, -dx), (0, 1))
        rise = moved - depth - z * reach * scale
        shade = np.minimum(shade, 1 - np.clip(rise / (0.012 * scale), 0, 1) * (rise < 0.2 * scale))
    return shade
