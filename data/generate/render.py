"""Turns a drawn person into linear light: sun, sky, self-shadow and soft edges."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from data.generate.canvas import FAR, Canvas
from data.generate.cloth import SIZE, fold_maps, nearest_zoom
from data.generate.drawing import draw_person
from data.generate.looks import Look, View

SUPERSAMPLE = 2  # canvas pixels per picture pixel and axis, for soft edges


@dataclass(frozen=True)
class Light:
    """Light of one picture, as linear RGB and a direction in view space (right, up, near)."""

    direction: np.ndarray
    sun: np.ndarray
    sky: np.ndarray


@dataclass(frozen=True)
class Framing:
    """How the person lies in the picture: all in shares of the picture's height, or radians."""

    foot_x: float
    foot_y: float
    head_y: float
    pitch: float
    closeness: float


def render_person(
    look: Look, view: View, light: Light, framing: Framing, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws and lights a person.

    Returns:
        Linear RGB (3, height, width) already multiplied by alpha, and alpha (height, width).
    """
    rows, cols = height * SUPERSAMPLE, width * SUPERSAMPLE
    tall = (framing.foot_y - framing.head_y) * rows
    scale = tall / ((1 + framing.closeness / 2) * np.cos(framing.pitch))
    zoom = rows / 240
    rng = np.random.default_rng(look.top.seed)  # the same cloth folds alike from day to day
    canvas = Canvas(
        rows, cols, scale, (framing.foot_x * rows + cols / 2, framing.foot_y * rows), view.yaw,
        framing.pitch, framing.closeness, fold_maps(nearest_zoom(zoom)),
        rng.integers(SIZE, size=2) + view.seed % 40, zoom,
    )  # fmt: skip
    draw_person(canvas, look, view)
    return _shrink(canvas, light, SUPERSAMPLE)


def _shrink(canvas: Canvas, light: Light, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Lights the part of the canvas that holds the person and averages it down."""
    mask = canvas.depth > FAR
    height, width = mask.shape[0] // step, mask.shape[1] // step
    rgb, alpha = np.zeros((3, height, width), np.float32), np.zeros((height, width), np.float32)
    if not mask.any():
        return rgb, alpha
    rows, cols = (_extent(mask.any(axis), step) for axis in (1, 0))
    lit = _shade(canvas, light, rows, cols, mask[rows, cols])
    small = tuple(slice(s.start // step, s.stop // step) for s in (rows, cols))
    alpha[small] = _average(mask[rows, cols].astype(np.float32), step)
    rgb[:, small[0], small[1]] = _average(lit, step)
    return rgb, alpha


def _average(plane: np.ndarray, step: int) -> np.ndarray:
    """Averages blocks of `step` by `step` pixels of (..., h, w)."""
    if step == 1:
        return plane
    total = sum(plane[..., r::step, c::step] for r in range(step) for c in range(step))
    return total / np.float32(step * step)


def _extent(line: np.ndarray, step: int) -> slice:
    used = np.flatnonzero(line)
    return slice(used[0] // step * step, (used[-1] // step + 1) * step)


def _shade(canvas: Canvas, light: Light, rows: slice, cols: slice, mask) -> np.ndarray:
    nx, ny, nz = canvas.normal[:, rows, cols]
    inverse = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-6)
    x, y, z = light.direction.tolist()
    facing = np.clip((nx * x + ny * y + nz * z) * inverse, 0, 1)
    depth, scale = canvas.depth[rows, cols], canvas.scale
    scale = float(scale)
    floor = float(depth[mask].min()) - 0.1 * scale
    depth = np.where(mask, depth, floor)
    around = ndimage.uniform_filter(depth, int(0.045 * scale))
    hidden = np.clip((around - depth) / (0.07 * scale), 0, 1)
    ambient = (0.66 + 0.34 * ny * inverse) * (1 - 0.72 * hidden)
    shadow = _cast(depth, light, scale)
    facing *= shadow
    albedo, gloss = canvas.finish(rows, cols)
    shine = facing * facing
    shine *= shine
    shine *= shine * gloss
    lit = np.zeros_like(albedo)
    for channel in range(3):
        level = light.sky[channel] * ambient + light.sun[channel] * facing
        lit[channel] = (albedo[channel] * level + light.sun[channel] * 0.25 * shine) * mask
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
