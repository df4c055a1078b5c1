"""A depth buffer that draws tapered capsules and lathed shapes with their surface normals.

The image is an orthographic view of the person with a little perspective added: things higher
up are nearer to a camera that hangs above the street, and so a little larger.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FAR = np.float32(-1e6)


@dataclass(frozen=True)
class Surface:
    """What a texture is asked to color: the points of one part of the body.

    Attributes:
        across: -1 to 1 over the width, in the part's own frame (0 is its front).
        along: distance along the part in statures (from the shoulder, the hip, the chin).
        front: true where the point is on the front half of the part.
        box: the pixels on the canvas, so that noise can be looked up.
        zoom: pixels of the canvas per pixel of a 240 high image.
    """

    across: np.ndarray
    along: np.ndarray
    front: np.ndarray
    box: tuple[slice, slice]
    zoom: float


Texture = Callable[[Surface], np.ndarray]


@dataclass(frozen=True)
class Material:
    """How a part looks: its linear RGB or texture, its folds and its shine.

    Attributes:
        color: (3,) linear RGB, or a function of a `Surface` to (3, h, w).
        keep: optional function of a `Surface` to a mask; the rest of the part is not drawn.
        folds: strength of the folds, 0 for smooth.
        weave: which of the fold maps is used.
        gloss: strength of the highlight.
    """

    color: np.ndarray | Texture
    keep: Callable[[Surface], np.ndarray] | None = None
    folds: float = 0.0
    weave: int = 0
    gloss: float = 0.0

    @property
    def is_mapped(self) -> bool:
        """Whether a `Surface` is needed to draw it."""
        return callable(self.color) or self.keep is not None


@dataclass(frozen=True)
class Seen:
    """What a canvas shows.

    Attributes:
        depth: (h, w), in pixels of this size.
        normal: (3, h, w), unit vectors.
        albedo: (3, h, w), linear RGB times alpha.
        gloss: (h, w), times alpha.
        alpha: (h, w), 0 to 1.
    """

    depth: np.ndarray
    normal: np.ndarray
    albedo: np.ndarray
    gloss: np.ndarray
    alpha: np.ndarray


class Canvas:
    """Depth, normals and colours of `height` x `width` pixels.

    Args:
        height: pixels.
        width: pixels.
        scale: pixels per stature.
        foot: (x, y) pixel of the ground below the body's middle.
        yaw: radians, 0 faces the camera.
        pitch: radians that the camera looks down.
        closeness: how much larger a thing one stature above the ground is drawn.
        folds: (maps, 2, n, n) slopes of cloth folds, tileable, at the size of the image.
        offset: where in the fold maps this image begins.
        zoom: pixels of the canvas per pixel of a 240 high image.
    """

    def __init__(
        self, height, width, scale, foot, yaw, pitch, closeness, folds, offset, zoom
    ) -> None:
        self.scale, self.foot, self.closeness = scale, foot, closeness
        self.yaw, self.pitch = yaw, pitch
        self._sin, self._cos = float(np.sin(yaw)), float(np.cos(yaw))
        self._tilt, self._level = float(np.sin(pitch)), float(np.cos(pitch))
        self.folds, self.offset, self.zoom = folds, offset, zoom
        self.depth = np.full((height, width), FAR, np.float32)
        self._normal = np.zeros((3, height, width), np.float32)  # of any length
        self._albedo = np.zeros((3, height, width), np.float32)
        self._parts = np.zeros((height, width), np.uint8)  # which part is seen, from 1 on
        self._materials: list[Material | None] = [None]
        self._rows = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
        self._cols = np.arange(width, dtype=np.float32)[None] + np.float32(0.5)

    def finish(self, rows: slice, cols: slice, step: int) -> Seen:
        """Returns what is seen in these pixels, `step` by `step` of them averaged into one.

        Folds and plain colours are laid here, once over all parts: much cheaper than part by part.
        """
        parts = self._parts[rows, cols]
        drawn = [Material(np.zeros(3)) if m is None else m for m in self._materials]
        albedo = self._albedo[:, rows, cols]
        plain = [None if callable(m.color) else m.color for m in drawn]
        is_plain = np.array([color is not None for color in plain]).take(parts)
        for channel, plane in enumerate(albedo):
            flat = _look_up([0 if color is None else color[channel] for color in plain], parts)
            np.copyto(plane, flat, where=is_plain)
        depth = self.depth[rows, cols]
        alpha = average((depth > FAR).astype(np.float32), step)
        nearest = np.maximum.reduce([depth[r::step, c::step] for r, c in np.ndindex(step, step)])
        normal = average(self._normal[:, rows, cols], step)
        _make_unit(normal)
        parts = parts[step // 2 :: step, step // 2 :: step]
        small = tuple(slice(s.start // step, s.stop // step) for s in (rows, cols))
        for weave in sorted({m.weave for m in drawn if m.folds}):
            strength = _look_up([m.folds * (m.weave == weave) for m in drawn], parts)
            normal[:2] += self._fold(*small, weave) * strength
        _make_unit(normal)
        gloss = _look_up([m.gloss for m in drawn], parts) * alpha
        return Seen(nearest / step, normal, average(albedo, step), gloss, alpha)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turns body points (n, 3) into pixels and depth (n, 3), and magnification (n,)."""
        x, y, z = np.asarray(points, float).T
        right, near = x * self._cos + z * self._sin, z * self._cos - x * self._sin
        up = y * self._level - near * self._tilt
        size = (1 + self.closeness * y) * self.scale
        rows = self.foot[1] - (up + self.closeness * up * y / 2) * self.scale
        depth = (near * self._level + y * self._tilt) * self.scale
        return np.stack([self.foot[0] + right * size, rows, depth], 1), size

    def _place(self, point: np.ndarray) -> tuple[tuple[float, float, float], float]:
        x, y, z = map(float, point)
        right, near = x * self._cos + z * self._sin, z * self._cos - x * self._sin
        up = y * self._level - near * self._tilt
        column = self.foot[0] + right * (1 + self.closeness * y) * self.scale
        row = self.foot[1] - (up + self.closeness * up * y / 2) * self.scale
        depth = (near * self._level + y * self._tilt) * self.scale
        return (column, row, depth), (1 + self.closeness * y) * self.scale

    def capsule(self, start, end, start_radius, end_radius, material, along=0.0) -> None:
        """Draws a tapered capsule between two body points; radii in statures."""
        # Plain floats: fast for two points, and float32 arrays stay float32.
        a, size_a = self._place(start)
        b, size_b = self._place(end)
        ra, rb = float(max(start_radius * size_a, 0.6)), float(max(end_radius * size_b, 0.6))
        box = self._box(
            min(a[0] - ra, b[0] - rb), max(a[0] + ra, b[0] + rb),
            min(a[1] - ra, b[1] - rb), max(a[1] + ra, b[1] + rb),
        )  # fmt: skip
        if box is None:
            return
        rows, cols = self._rows[box[0]], self._cols[:, box[1]]
        axis = [end - begin for begin, end in zip(a, b)]
        squared = max(axis[0] ** 2 + axis[1] ** 2, 1e-3)
        x, y = cols - a[0], rows - a[1]
        t = x * (axis[0] / squared) + y * (axis[1] / squared)  # 0 at the start, 1 at the end
        np.maximum(t, 0, out=t)
        np.minimum(t, 1, out=t)
        dx, dy = x - t * axis[0], t * axis[1] - y
        radius = t * (rb - ra) + ra
        rest = radius * radius
        rest -= dx * dx
        rest -= dy * dy
        inside = rest > 0
        height = np.sqrt(np.maximum(rest, 0, out=rest), out=rest)
        surface = None
        if material.is_mapped:
            across = (dy * axis[0] + dx * axis[1]) / (radius * -(squared**0.5))
            length = sum((float(p) - float(q)) ** 2 for p, q in zip(start, end)) ** 0.5
            surface = Surface(across, along + t * length, inside, box, self.zoom)
        depth = height + t * axis[2] + a[2]
        self._paint(box, inside, depth, (dx, dy, height), surface, material)

    def lathe(self, centers, widths, depths, material, turn=0.0, origin=0.0) -> None:
        """Draws a stack of ellipses around body points `centers` (n, 3), from the top one down.

        `widths` and `depths` (n,) are half axes in statures. `turn` is the angle in radians
        against the body. A texture's `along` counts down from the height `origin`.
        """
        points, size = self.project(centers)
        w, d = np.asarray(widths) * size, np.asarray(depths) * size
        yaw = self.yaw + turn
        sin, cos = float(np.sin(yaw)), float(np.cos(yaw))
        half = np.sqrt((w * cos) ** 2 + (d * sin) ** 2)
        box = self._box(
            float((points[:, 0] - half).min()), float((points[:, 0] + half).max()),
            float(points[0, 1]), float(points[-1, 1]),
        )  # fmt: skip
        if box is None:
            return
        y = self._rows[box[0], 0]
        knots = np.maximum.accumulate(points[:, 1] + np.arange(len(points)) * 1e-3)
        table = np.stack([points[:, 0], points[:, 2], half, w, d, np.asarray(centers)[:, 1]])
        x0, z0, half, w, d, level = _between(y, knots, table)
        across = (self._cols[:, box[1]] - x0) / half
        rest = across * across
        np.subtract(1, rest, out=rest)
        inside = rest > 0
        inside &= ((y >= knots[0]) & (y <= knots[-1]))[:, None]
        bulge = np.sqrt(np.maximum(rest, 0, out=rest), out=rest)
        # The front of the ellipse, turned: everything is a mix of `across` and `bulge` in each row.
        near = (d * d - w * w) * (sin * cos) / half * across + w * d / half * bulge
        xb = half * cos / w - (d * d - w * w) * (sin * sin * cos) / (half * w), -d * sin / half
        zb = half * sin / d + (d * d - w * w) * (sin * cos * cos) / (half * d), w * cos / half
        nx, nz = (
            (xb[0] * p + zb[0] * q) * across + (xb[1] * p + zb[1] * q) * bulge
            for p, q in ((cos / w, sin / d), (-sin / w, cos / d))
        )
        slope = np.diff(half, axis=0, append=half[-1:])
        ny = np.clip(slope, -1.5, 1.5) * (2 / (w + d))  # the length of (nx, nz), about
        surface = None
        if material.is_mapped:
            around, front = (c[0] * across + c[1] * bulge for c in (xb, zb))
            along = np.broadcast_to(float(origin) - level, across.shape)
            surface = Surface(around, along, front > 0, box, self.zoom)
        self._paint(box, inside, z0 + near, (nx, ny, nz), surface, material)

    def _box(self, left: float, right: float, top: float, bottom: float):
        """Returns the pixels inside these bounds as slices, or None where there are none."""
        height, width = self.depth.shape
        rows = slice(max(int(top), 0), min(int(bottom) + 2, height))
        cols = slice(max(int(left), 0), min(int(right) + 2, width))
        return (rows, cols) if rows.stop > rows.start and cols.stop > cols.start else None

    def _paint(self, box, inside, depth, normal, surface, material: Material) -> None:
        rows, cols = box
        if material.keep is not None:
            inside = inside & material.keep(surface)
        win = inside & (depth > self.depth[rows, cols])
        if not win.any():
            return
        np.copyto(self.depth[rows, cols], depth, where=win)
        np.copyto(self._parts[rows, cols], np.uint8(len(self._materials)), where=win)
        self._materials.append(material)
        if callable(material.color):
            np.copyto(self._albedo[:, rows, cols], material.color(surface), "same_kind", win)
        for plane, value in zip(self._normal, normal):
            np.copyto(plane[rows, cols], value, where=win)

    def _fold(self, rows: slice, cols: slice, weave: int) -> np.ndarray:
        """Returns the slopes (2, h, w) of the folds that lie on these pixels."""
        size = self.folds.shape[-1]
        row = rows.start + self.offset[0] + weave * 97
        col = (cols.start + self.offset[1] + weave * 61) % size
        band = self.folds[weave].take(np.arange(row, row + rows.stop - rows.start), 1, mode="wrap")
        width = cols.stop - cols.start
        if col + width <= size:
            return band[..., col : col + width]
        return band.take(np.arange(col, col + width), 2, mode="wrap")


def average(plane: np.ndarray, step: int) -> np.ndarray:
    """Averages blocks of `step` by `step` pixels of (..., h, w)."""
    rows = sum(plane[..., r::step, :] for r in range(step))
    return sum(rows[..., c::step] for c in range(step)) / np.float32(step * step)


def _look_up(table: list[float], parts: np.ndarray) -> np.ndarray:
    """Returns the entry of `table` for each of `parts` (h, w) as float32."""
    return np.asarray(table, np.float32).take(parts)


def _make_unit(normal: np.ndarray) -> None:
    """Gives the vectors (3, h, w) length 1 in place; a vector of 0 stays."""
    x, y, z = normal
    square = x * x
    square += y * y
    square += z * z
    square += 1e-12
    normal /= np.sqrt(square, out=square)


def _between(y: np.ndarray, knots: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Interpolates the lines of `table` (m, n), given at `knots` (n,), at y (h,): (m, h, 1)."""
    place = np.interp(y, knots, np.arange(len(knots)))
    below = np.minimum(place.astype(int), len(knots) - 2)
    share = place - below
    lines = table[:, below] * (1 - share) + table[:, below + 1] * share
    return lines.astype(np.float32)[..., None]
