"""A pen for crisp signs: polygons, strokes, discs and figures in a sign's own coordinates."""

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

TEMPLATE = 160  # pixels of a drawn sign, on each side; the largest image shows 120
REACH = 1.04  # what half of a template's side is in sign coordinates: a little air around it
FINER = 6  # everything is drawn this much larger and averaged down

Point = tuple[float, float]
Color = tuple[int, int, int]


class Pen:
    """Draws on a transparent square.

    The middle is (0, 0), x goes right, y goes down, and the sign reaches from -1 to 1.
    """

    def __init__(self):
        self._side = TEMPLATE * FINER
        self._image = Image.new("RGBA", (self._side, self._side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._image)

    def image(self) -> np.ndarray:
        """Returns the drawing: uint8 (TEMPLATE, TEMPLATE, 4), RGB and coverage."""
        small = self._image.resize((TEMPLATE, TEMPLATE), Image.Resampling.BOX)
        return np.asarray(small)

    def _place(self, points: Iterable[Point]) -> list[Point]:
        half = self._side / 2
        return [(half + x / REACH * half, half + y / REACH * half) for x, y in points]

    def _length(self, value: float) -> float:
        return value / REACH * self._side / 2

    def polygon(self, points: Iterable[Point], color: Color, corner: float = 0.0) -> None:
        """Fills a polygon; `corner` rounds its corners outwards by that radius."""
        points = list(points)
        self._draw.polygon(self._place(points), (*color, 255))
        if corner:
            self.stroke([*points, points[0]], 2 * corner, color, round_ends=True)

    def box(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        """Fills an upright rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], color)

    def disc(self, center: Point, radius: float, color: Color) -> None:
        """Fills a disc."""
        ((x, y),) = self._place([center])
        r = self._length(radius)
        self._draw.ellipse((x - r, y - r, x + r, y + r), (*color, 255))

    def ring(self, center: Point, radius: float, width: float, color: Color) -> None:
        """Draws a circle of a line; `radius` is that of the line's middle."""
        self.stroke(arc(center, radius, 0, 360), width, color)

    def stroke(
        self, points: Sequence[Point], width: float, color: Color, round_ends: bool = False
    ) -> None:
        """Draws a line of constant width through points, round where it turns."""
        places, wide = self._place(points), self._length(width)
        self._draw.line(places, (*color, 255), max(1, round(wide)), joint="curve")
        for x, y in places if round_ends else places[1:-1]:
            r = wide / 2
            self._draw.ellipse((x - r, y - r, x + r, y + r), (*color, 255))

    def limbs(self, lines: Iterable[Sequence[Point]], width: float, color: Color) -> None:
        """Draws several lines with round ends: arms and legs."""
        for line in lines:
            self.stroke(line, width, color, round_ends=True)

    def arrow(
        self, points: Sequence[Point], width: float, color: Color, head: float = 0.26
    ) -> None:
        """Draws a line with an arrow's head, as long as half as wide, beyond its last point."""
        (x0, y0), (x1, y1) = points[-2:]
        length = float(np.hypot(x1 - x0, y1 - y0))
        along = ((x1 - x0) / length, (y1 - y0) / length)
        across = (-along[1], along[0])
        self.stroke(points, width, color)
        left, right = ((x1 + s * head * across[0], y1 + s * head * across[1]) for s in (-1, 1))
        tip = (x1 + 1.1 * head * along[0], y1 + 1.1 * head * along[1])
        self.polygon([left, tip, right], color)


def arc(center: Point, radius: float, start: float, end: float) -> list[Point]:
    """Returns points on a circle from one angle to another, in degrees; 90 is downwards."""
    angles = np.radians(np.linspace(start, end, max(4, int(abs(end - start) / 6))))
    return [(center[0] + radius * np.cos(a), center[1] + radius * np.sin(a)) for a in angles]


def moved(points: Iterable[Point], by: Point = (0, 0), scale: float = 1.0) -> list[Point]:
    """Returns points scaled about the middle, then shifted."""
    return [(x * scale + by[0], y * scale + by[1]) for x, y in points]


def mirrored(points: Iterable[Point]) -> list[Point]:
    """Returns points with left and right exchanged."""
    return [(-x, y) for x, y in points]


# Middle lines of characters 1 high and about 0.5 wide, after the road script of DIN 1451.
CHARACTERS: dict[str, list[list[Point]]] = {
    "0": [[*arc((0, -0.2), 0.22, 180, 360), *arc((0, 0.2), 0.22, 0, 180), (-0.22, -0.2)]],
    "1": [[(-0.12, -0.24), (0.06, -0.42), (0.06, 0.5)]],
    "2": [[*arc((0, -0.2), 0.22, 180, 385), (-0.22, 0.42), (0.27, 0.42)]],
    "3": [[*arc((0, -0.22), 0.2, 195, 450), *arc((0, 0.19), 0.23, 270, 525)]],
    "5": [[(0.22, -0.42), (-0.18, -0.42), (-0.21, -0.02), *arc((0, 0.19), 0.23, 230, 515)]],
    "6": [arc((0, 0.19), 0.23, 0, 360), [(-0.22, 0.14), (-0.14, -0.14), (0.09, -0.46)]],
    "7": [[(-0.27, -0.42), (0.21, -0.42), (-0.06, 0.5)]],
    "8": [arc((0, -0.22), 0.2, 0, 360), arc((0, 0.2), 0.22, 0, 360)],
    "S": [[*arc((0, -0.21), 0.21, -20, -270), *arc((0, 0.21), 0.21, -90, 160)]],
    "T": [[(-0.27, -0.42), (0.27, -0.42)], [(0, -0.42), (0, 0.5)]],
    "O": [[*arc((0, -0.2), 0.22, 180, 360), *arc((0, 0.2), 0.22, 0, 180), (-0.22, -0.2)]],
    "P": [[(-0.2, 0.5), (-0.2, -0.42), *arc((0.02, -0.2), 0.22, -90, 90), (-0.2, 0.02)]],
}  # fmt: skip


def write(
    pen: Pen, text: str, height: float, color: Color, advance: float = 0.66, weight: float = 0.16
) -> None:
    """Writes a line of characters in the middle of a sign.

    Args:
        pen: What draws.
        text: Of the characters in `CHARACTERS`.
        height: Of a character.
        color: Of the strokes.
        advance: From one character to the next, as a share of the height.
        weight: Width of the strokes, as a share of the height.
    """
    for number, character in enumerate(text):
        x = (number - (len(text) - 1) / 2) * advance * height
        for line in CHARACTERS[character]:
            pen.stroke(moved(line, (x, 0), height), weight * height, color)
