"""A depth buffer that draws tapered capsules and lathed shapes with their surface normals.

The picture is an orthographic view of the person with a little perspective added: things higher
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
        zoom: pixels of the canvas per pixel of a 240 high picture.
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
        folds: (maps, 2, n, n) slopes of cloth folds, tileable.
        offset: where in the fold maps this picture begins.
        zoom: pixels of the canvas per pixel of a 240 high picture.
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
        self.normal = np.zeros((3, height, width), np.float32)
        self.albedo = np.zeros((3, height, width), np.float32)
        self.parts = np.zeros((height, width), np.uint8)  # which part is seen, from 1 on
        self._plain: list[np.ndarray | None] = [None]  # the colour of each part that has only one
        self._gloss = [0.0]

    def finish(self, rows: slice, cols: slice) -> tuple[np.ndarray, np.ndarray]:
        """Returns the linear RGB (3, h, w) and the gloss (h, w) of what is seen."""
        parts = self.parts[rows, cols]
        table = np.array([np.zeros(3) if c is None else c for c in self._plain], np.float32)
        plain = np.array([color is not None for color in self._plain])
        albedo = self.albedo[:, rows, cols]
        flat = np.stack([np.take(column, parts) for column in table.T])
        np.copyto(albedo, flat, where=np.take(plain, parts))
        return albedo, np.take(np.asarray(self._gloss, np.float32), parts)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turns body points (n, 3) into pixels and depth (n, 3), and magnification (n,)."""
        x, y, z = np.asarray(points, float).T
        sin, cos = np.sin(self.yaw), np.cos(self.yaw)
        right, near = x * cos + z * sin, -x * sin + z * cos
        up = y * np.cos(self.pitch) - near * np.sin(self.pitch)
        size = (1 + self.closeness * y) * self.scale
        rows = self.foot[1] - (up + self.closeness * up * y / 2) * self.scale
        depth = (near * np.cos(self.pitch) + y * np.sin(self.pitch)) * self.scale
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
        rows, cols = _grid(box)
        axis = [end - begin for begin, end in zip(a, b)]
        squared = max(axis[0] ** 2 + axis[1] ** 2, 1e-3)
        t = np.clip(((cols - a[0]) * axis[0] + (rows - a[1]) * axis[1]) / squared, 0, 1)
        dx, dy = cols - a[0] - t * axis[0], rows - a[1] - t * axis[1]
        radius = ra + t * (rb - ra)
        rest = radius * radius - dx * dx - dy * dy
        inside = rest > 0
        height = np.sqrt(np.maximum(rest, 0))
        inverse = 1 / radius
        across = dx
        if callable(material.color):
            across = (dy * axis[0] - dx * axis[1]) * inverse / squared**0.5
        length = sum((float(p) - float(q)) ** 2 for p, q in zip(start, end)) ** 0.5
        surface = Surface(across, along + t * length, inside, box, self.zoom)
        normal = (dx * inverse, -dy * inverse, height * inverse)
        self._paint(inside, a[2] + t * axis[2] + height, normal, surface, material)

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
        rows, cols = _grid(box)
        y = rows[:, 0]
        knots = np.maximum.accumulate(points[:, 1] + np.arange(len(points)) * 1e-3)
        table = np.stack([points[:, 0], points[:, 2], half, w, d, np.asarray(centers)[:, 1]])
        x0, z0, half, w, d, level = (
            np.interp(y, knots, line).astype(np.float32)[:, None] for line in table
        )
        across = (cols - x0) / half
        rest = 1 - across * across
        inside = (rest > 0) & (y >= knots[0])[:, None] & (y <= knots[-1])[:, None]
        bulge = np.sqrt(np.maximum(rest, 0))
        right = across * half
        near = (d * d - w * w) * (sin * cos) / half * across + w * d / half * bulge
        xb, zb = (right * cos - near * sin) / w, (right * sin + near * cos) / d
        nx, nz = xb / w * cos + zb / d * sin, zb / d * cos - xb / w * sin
        length = np.sqrt(nx * nx + nz * nz) + 1e-6
        slope = np.gradient(half[:, 0])[:, None] if len(y) > 1 else 0.0
        ny = np.clip(slope, -1.5, 1.5)
        norm = 1 / np.sqrt(1 + ny * ny)
        normal = (nx / length * norm, np.broadcast_to(ny * norm, nx.shape), nz / length * norm)
        along = np.broadcast_to(float(origin) - level, across.shape)
        self._paint(inside, z0 + near, normal, Surface(xb, along, zb > 0, box, self.zoom), material)

    def _box(self, left: float, right: float, top: float, bottom: float):
        """Returns the pixels inside these bounds as slices, or None where there are none."""
        height, width = self.depth.shape
        rows = slice(max(int(top), 0), min(int(bottom) + 2, height))
        cols = slice(max(int(left), 0), min(int(right) + 2, width))
        return (rows, cols) if rows.stop > rows.start and cols.stop > cols.start else None

    def _paint(self, inside, depth, normal, surface: Surface, material: Material) -> None:
        box = surface.box
        if material.keep is not None:
            inside = inside & material.keep(surface)
        win = inside & (depth > self.depth[box])
        if not win.any():
            return
        np.copyto(self.depth[box], depth, where=win, casting="same_kind")
        np.copyto(self.parts[box], np.uint8(len(self._plain)), where=win)
        textured = callable(material.color)
        self._plain.append(None if textured else np.asarray(material.color, np.float32))
        self._gloss.append(material.gloss)
        if textured:
            color = np.asarray(material.color(surface), np.float32)
            np.copyto(self.albedo[:, box[0], box[1]], color, where=win)
        nx, ny, nz = normal
        if material.folds:
            bump = self._fold(box, material.weave)
            nx, ny = nx + material.folds * bump[0], ny + material.folds * bump[1]
        for channel, value in enumerate((nx, ny, nz)):
            np.copyto(self.normal[channel][box], value, where=win, casting="same_kind")

    def _fold(self, box: tuple[slice, slice], weave: int) -> np.ndarray:
        size = self.folds.shape[-1]
        row = (box[0].start + self.offset[0] + weave * 97) % size
        col = (box[1].start + self.offset[1] + weave * 61) % size
        height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
        rows, cols = np.arange(row, row + height) % size, np.arange(col, col + width) % size
        if row + height <= size and col + width <= size:
            return self.folds[weave][:, row : row + height, col : col + width]
        return self.folds[weave][:, rows][:, :, cols]


def _grid(box: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] + np.float32(0.5)
    cols = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None] + np.float32(0.5)
    return rows, cols
