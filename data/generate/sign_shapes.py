"""The 43 signs, each drawn once and crisp: shape, colors and pictogram.

The forms follow the images of the German road traffic regulations (StVO), simplified to what can
be seen at a hundred pixels.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from data.generate.sign_pen import Color, Pen, Point, arc, mirrored, moved, write
from data.sources.gtsrb import SIGNS

RED, WHITE, BLACK = (186, 26, 34), (238, 238, 234), (22, 22, 24)
BLUE, YELLOW, GREY = (18, 72, 158), (240, 178, 20), (108, 110, 112)
ORANGE, GREEN = (236, 150, 24), (0, 128, 106)


@lru_cache(maxsize=len(SIGNS))
def draw_sign(number: int) -> np.ndarray:
    """Draws a sign as it left the factory.

    Args:
        number: Of the class, 0 to 42, in the order of `data.sources.gtsrb.SIGNS`.

    Returns:
        uint8 (TEMPLATE, TEMPLATE, 4), RGB and coverage, 0 to 255.
    """
    pen = Pen()
    _DRAWINGS[SIGNS[number]](pen)
    return pen.image()


def _prohibition(pen: Pen) -> None:
    pen.disc((0, 0), 1.0, WHITE)
    pen.disc((0, 0), 0.97, RED)
    pen.disc((0, 0), 0.76, WHITE)


def _end_of(pen: Pen) -> None:
    pen.disc((0, 0), 1.0, (150, 150, 150))
    pen.disc((0, 0), 0.96, WHITE)


def _stripes(pen: Pen) -> None:
    for shift in (-0.14, -0.07, 0, 0.07, 0.14):
        line = [(-0.66 + shift, 0.66 + shift), (0.66 + shift, -0.66 + shift)]
        pen.stroke(line, 0.05, BLACK)


def _mandatory(pen: Pen) -> None:
    pen.disc((0, 0), 1.0, WHITE)
    pen.disc((0, 0), 0.95, BLUE)


def _triangle(down: bool = False) -> Callable[[float], list[Point]]:
    """Returns a function from the distance to the edge to the corners of a smaller triangle."""
    sign = -1 if down else 1

    def corners(inside: float) -> list[Point]:
        r = 1.2 - 2 * inside  # from the middle to a corner
        return [(0, sign * (0.24 - r)), *((s * r * 0.866, sign * (0.24 + r / 2)) for s in (-1, 1))]

    return corners


def _warning(pen: Pen) -> None:
    corners = _triangle()
    pen.polygon(corners(0.05), WHITE, corner=0.05)
    pen.polygon(corners(0.075), RED, corner=0.05)
    pen.polygon(corners(0.245), WHITE, corner=0.02)


def _yield(pen: Pen) -> None:
    corners = _triangle(down=True)
    pen.polygon(corners(0.05), WHITE, corner=0.05)
    pen.polygon(corners(0.075), RED, corner=0.05)
    pen.polygon(corners(0.27), WHITE, corner=0.02)


def _stop(pen: Pen) -> None:
    for radius, color in ((1.06, WHITE), (1.0, RED)):
        angles = np.radians(np.arange(22.5, 360, 45))
        pen.polygon([(radius * np.cos(a), radius * np.sin(a)) for a in angles], color)
    write(pen, "STOP", 0.62, WHITE, advance=0.66, weight=0.19)


def _priority(pen: Pen) -> None:
    for reach, color in ((0.96, WHITE), (0.64, BLACK), (0.61, YELLOW)):
        pen.polygon([(0, -reach), (reach, 0), (0, reach), (-reach, 0)], color, corner=0.03)


def _no_entry(pen: Pen) -> None:
    pen.disc((0, 0), 1.0, WHITE)
    pen.disc((0, 0), 0.97, RED)
    pen.box(-0.74, -0.2, 0.74, 0.2, WHITE)


def _speed_limit(text: str) -> Callable[[Pen], None]:
    def draw(pen: Pen) -> None:
        _prohibition(pen)
        narrow = len(text) == 3
        write(pen, text, 0.66 if narrow else 0.8, BLACK, 0.58 if narrow else 0.68, 0.16)

    return draw


def _end_of_80(pen: Pen) -> None:
    _end_of(pen)
    write(pen, "80", 0.86, GREY, 0.7, 0.16)
    _stripes(pen)


def _car(pen: Pen, middle: Point, size: float, color: Color) -> None:
    def at(*points: Point) -> list[Point]:
        return moved(points, middle, size)

    pen.polygon(at((-0.62, -0.1), (-0.44, -0.56), (0.44, -0.56), (0.62, -0.1)), color)
    pen.polygon(at((-0.46, -0.14), (-0.34, -0.42), (0.34, -0.42), (0.46, -0.14)), WHITE)
    pen.polygon(at((-0.8, -0.1), (0.8, -0.1), (0.8, 0.38), (-0.8, 0.38)), color)
    for side in (-1, 1):
        pen.polygon(at((side * 0.74, 0.3), (side * 0.74, 0.58), (side * 0.44, 0.58),
                       (side * 0.44, 0.3)), color)  # fmt: skip
        pen.disc((middle[0] + side * 0.55 * size, middle[1] + 0.1 * size), 0.1 * size, WHITE)


def _truck_from_behind(pen: Pen, middle: Point, size: float, color: Color) -> None:
    x, y = middle
    pen.box(x - 0.62 * size, y - 0.95 * size, x + 0.62 * size, y + 0.32 * size, color)
    pen.box(x - 0.7 * size, y + 0.2 * size, x + 0.7 * size, y + 0.42 * size, color)
    for side in (-1, 1):
        left, right = sorted((x + side * 0.6 * size, x + side * 0.3 * size))
        pen.box(left, y + 0.4 * size, right, y + 0.62 * size, color)


def _passing(pen: Pen, overtaking: Color, truck: bool, other: Color) -> None:
    if truck:
        _truck_from_behind(pen, (-0.33, 0.08), 0.4, overtaking)
    else:
        _car(pen, (-0.35, 0.02), 0.37, overtaking)
    _car(pen, (0.35, 0.02 if not truck else 0.1), 0.37 if not truck else 0.32, other)


def _no_passing(truck: bool) -> Callable[[Pen], None]:
    def draw(pen: Pen) -> None:
        _prohibition(pen)
        _passing(pen, RED, truck, BLACK)

    return draw


def _end_of_no_passing(truck: bool) -> Callable[[Pen], None]:
    def draw(pen: Pen) -> None:
        _end_of(pen)
        _passing(pen, GREY, truck, GREY)
        _stripes(pen)

    return draw


def _end_of_all(pen: Pen) -> None:
    _end_of(pen)
    _stripes(pen)


def _no_trucks(pen: Pen) -> None:
    _prohibition(pen)
    pen.box(-0.14, -0.3, 0.6, 0.18, BLACK)
    pen.polygon([(-0.58, 0.18), (-0.58, -0.02), (-0.46, -0.2), (-0.18, -0.2), (-0.18, 0.18)], BLACK)
    pen.polygon([(-0.48, -0.03), (-0.42, -0.13), (-0.3, -0.13), (-0.3, -0.03)], WHITE)
    pen.box(-0.58, 0.12, 0.6, 0.24, BLACK)
    for x in (-0.38, 0.16, 0.42):
        pen.disc((x, 0.25), 0.13, WHITE)
        pen.disc((x, 0.25), 0.105, BLACK)


def _right_of_way(pen: Pen) -> None:
    _warning(pen)
    pen.polygon([(0, -0.4), (0.2, -0.08), (-0.2, -0.08)], BLACK)
    pen.box(-0.11, -0.1, 0.11, 0.52, BLACK)
    pen.box(-0.28, 0.1, 0.28, 0.24, BLACK)


def _caution(pen: Pen) -> None:
    _warning(pen)
    pen.polygon([(-0.1, -0.38), (0.1, -0.38), (0.05, 0.24), (-0.05, 0.24)], BLACK, corner=0.02)
    pen.disc((0, 0.43), 0.1, BLACK)


def _curve(left: bool) -> Callable[[Pen], None]:
    line = [(0.16, 0.52), (0.16, 0.2), *arc((-0.02, 0.2), 0.18, 0, -80), (-0.34, 0.0)]
    points = [(-0.34, -0.15), (-0.34, 0.14), (-0.42, -0.0)]

    def draw(pen: Pen) -> None:
        _warning(pen)
        pen.stroke(line if left else mirrored(line), 0.19, BLACK)
        pen.polygon(points if left else mirrored(points), BLACK)

    return draw


def _double_curve(pen: Pen) -> None:
    _warning(pen)
    line = [(-0.09, -0.34), (-0.16, 0.1), (0.12, 0.08), (0.06, 0.52)]
    pen.stroke(line, 0.14, BLACK)
    pen.polygon([(-0.22, -0.16), (0.04, -0.16), (-0.07, -0.46)], BLACK)


def _bumpy(pen: Pen) -> None:
    _warning(pen)
    pen.box(-0.5, 0.36, 0.5, 0.5, BLACK)
    for x in (-0.24, 0.24):
        bump = [(x + p * 0.2, 0.38 - 0.22 * np.cos(p * np.pi / 2)) for p in np.linspace(-1, 1, 15)]
        pen.polygon(bump, BLACK)


def _slippery(pen: Pen) -> None:
    _warning(pen)
    body = [(-0.26, -0.12), (0.2, -0.28), (0.28, -0.04), (-0.18, 0.12)]
    pen.polygon(body, BLACK, corner=0.03)
    pen.polygon([(-0.16, -0.16), (0.1, -0.26), (0.02, -0.4), (-0.16, -0.34)], BLACK, corner=0.02)
    pen.polygon([(-0.1, -0.2), (0.04, -0.25), (0.0, -0.34), (-0.11, -0.31)], WHITE)
    for x, y in ((-0.14, 0.14), (0.24, 0.02)):
        pen.disc((x, y), 0.07, BLACK)
        start = [(x - 0.02, y + 0.1)]
        waves = [(x + 0.09 * np.sin(t * 2 * np.pi), 0.2 + 0.3 * t) for t in np.linspace(0, 1, 16)]
        pen.stroke([*start, *waves], 0.05, BLACK)


def _narrows(pen: Pen) -> None:
    _warning(pen)
    pen.stroke([(-0.17, -0.22), (-0.17, 0.52)], 0.11, BLACK)
    pen.stroke([(0.06, -0.22), (0.06, 0.04), (0.22, 0.22), (0.22, 0.52)], 0.11, BLACK)


def _road_work(pen: Pen) -> None:
    _warning(pen)
    pen.disc((0.0, -0.34), 0.085, BLACK)
    legs = [[(-0.16, 0.14), (-0.06, 0.3), (-0.1, 0.52)], [(-0.16, 0.14), (-0.3, 0.52)]]
    pen.limbs([[(-0.02, -0.18), (-0.16, 0.12)], *legs], 0.13, BLACK)
    pen.limbs([[(0.02, -0.18), (0.14, -0.04), (0.02, 0.12)]], 0.08, BLACK)
    pen.stroke([(-0.14, -0.06), (0.22, 0.34)], 0.05, BLACK)
    pen.polygon([(0.06, 0.54), (0.26, 0.26), (0.4, 0.28), (0.6, 0.54)], BLACK)


def _signals(pen: Pen) -> None:
    _warning(pen)
    for y, color in ((-0.24, RED), (0.09, ORANGE), (0.42, GREEN)):
        pen.disc((0, y), 0.15, BLACK)
        pen.disc((0, y), 0.13, color)


def _walker(pen: Pen, middle: Point, size: float, stride: float, weight: float) -> None:
    """Draws a person who walks to the left."""

    def at(*points: Point) -> list[Point]:
        return moved(points, middle, size)

    hip, shoulder = (0.02, 0.1), (0.0, -0.42)
    front, back = (-stride, 1.0), (stride * 1.1, 0.95)
    pen.disc(moved([(-0.03, -0.72)], middle, size)[0], 0.16 * size, BLACK)
    pen.limbs([at(shoulder, hip)], 1.6 * weight * size, BLACK)
    legs = [at(hip, (-stride * 0.75, 0.5), front), at(hip, (stride * 0.35, 0.55), back)]
    arms = [at(shoulder, (-0.38, -0.1), (-0.52, 0.08)), at(shoulder, (0.34, -0.12), (0.46, 0.06))]
    pen.limbs(legs + arms, weight * size, BLACK)


def _pedestrians(pen: Pen) -> None:
    _warning(pen)
    for x in (-0.42, -0.14, 0.14, 0.42):
        pen.polygon([(x - 0.06, 0.58), (x * 0.85 - 0.05, 0.46), (x * 0.85 + 0.05, 0.46),
                     (x + 0.06, 0.58)], BLACK)  # fmt: skip
    _walker(pen, (0.0, 0.06), 0.46, 0.42, 0.2)


def _children(pen: Pen) -> None:
    _warning(pen)
    _walker(pen, (0.16, 0.1), 0.44, 0.58, 0.22)
    _walker(pen, (-0.26, 0.24), 0.31, 0.55, 0.24)
    pen.limbs([[(-0.02, 0.08), (-0.14, 0.16)]], 0.08, BLACK)


def _bicycle(pen: Pen) -> None:
    _warning(pen)
    for x in (-0.28, 0.28):
        pen.ring((x, 0.34), 0.19, 0.055, BLACK)
    frame = [
        [(-0.28, 0.34), (-0.18, 0.04), (0.14, 0.04), (0.28, 0.34)],
        [(-0.18, 0.06), (0.0, 0.34), (0.16, 0.04)],
        [(0.0, 0.34), (-0.28, 0.34)],
        [(0.14, 0.08), (0.1, -0.1), (0.24, -0.1)],
        [(-0.18, 0.06), (-0.2, -0.05)], [(-0.28, -0.06), (-0.12, -0.06)],
    ]  # fmt: skip
    pen.limbs(frame, 0.05, BLACK)


def _snow(pen: Pen) -> None:
    _warning(pen)
    middle = (0.0, 0.14)
    for angle in np.radians(np.arange(0, 360, 60) + 30):
        way = np.array((np.cos(angle), np.sin(angle)))
        side = np.array((-way[1], way[0]))
        tip = middle + 0.38 * way
        pen.stroke([middle, tuple(tip)], 0.06, BLACK)
        for place in (0.17, 0.28):
            knot = middle + place * way
            for turn in (-1, 1):
                branch = knot + 0.1 * way + turn * 0.1 * side
                pen.stroke([tuple(knot), tuple(branch)], 0.05, BLACK)


def _animals(pen: Pen) -> None:
    _warning(pen)
    pen.polygon([(-0.2, 0.02), (-0.1, 0.0), (0.22, 0.16), (0.34, 0.3), (0.24, 0.36), (0.04, 0.28),
                 (-0.16, 0.22)], BLACK, corner=0.03)  # fmt: skip
    pen.limbs([[(-0.17, 0.1), (-0.24, -0.14)]], 0.11, BLACK)
    pen.limbs([[(-0.23, -0.16), (-0.36, -0.07)]], 0.09, BLACK)
    horns = [[(-0.22, -0.18), (-0.2, -0.36)], [(-0.2, -0.26), (-0.12, -0.36)]]
    front = [[(-0.14, 0.2), (-0.34, 0.26), (-0.28, 0.38)], [(-0.08, 0.22), (-0.24, 0.36)]]
    back = [[(0.26, 0.3), (0.32, 0.42), (0.44, 0.5)], [(0.2, 0.3), (0.22, 0.44), (0.34, 0.54)]]
    pen.limbs(horns + front + back, 0.05, BLACK)


def _arrows(*lines: list[Point], width: float = 0.2, head: float = 0.3) -> Callable[[Pen], None]:
    def draw(pen: Pen) -> None:
        _mandatory(pen)
        for line in lines:
            pen.arrow(line, width, WHITE, head)

    return draw


_AHEAD = [(0.0, 0.74), (0.0, -0.38)]
_TURN_RIGHT = [(-0.3, 0.62), (-0.3, 0.02), *arc((-0.06, -0.02), 0.24, 180, 270), (0.3, -0.26)]
_STRAIGHT = [(-0.2, 0.72), (-0.2, -0.4)]
_SIDEWAYS = [(-0.2, 0.3), (0.4, 0.3)]
_KEEP_RIGHT = [(-0.46, -0.46), (0.26, 0.26)]


def _roundabout(pen: Pen) -> None:
    _mandatory(pen)
    for start in (-30, 90, 210):
        pen.stroke(arc((0, 0), 0.52, start, start - 74), 0.16, WHITE)
        angle = np.radians(start - 74)
        middle = np.array((np.cos(angle), np.sin(angle))) * 0.52
        way = np.array((np.sin(angle), -np.cos(angle)))
        out = middle / 0.52
        corners = [middle + 0.2 * out, middle + 0.3 * way - 0.04 * out, middle - 0.2 * out]
        pen.polygon([tuple(corner) for corner in corners], WHITE)


_DRAWINGS: dict[str, Callable[[Pen], None]] = {
    **{f"speed limit {n}": _speed_limit(str(n)) for n in (20, 30, 50, 60, 70, 80, 100, 120)},
    "end of speed limit 80": _end_of_80,
    "no passing": _no_passing(truck=False),
    "no passing for trucks": _no_passing(truck=True),
    "right-of-way at next intersection": _right_of_way,
    "priority road": _priority,
    "yield": _yield,
    "stop": _stop,
    "no vehicles": _prohibition,
    "no trucks": _no_trucks,
    "no entry": _no_entry,
    "general caution": _caution,
    "curve left": _curve(left=True),
    "curve right": _curve(left=False),
    "double curve": _double_curve,
    "bumpy road": _bumpy,
    "slippery road": _slippery,
    "road narrows on the right": _narrows,
    "road work": _road_work,
    "traffic signals": _signals,
    "pedestrians": _pedestrians,
    "children crossing": _children,
    "bicycles crossing": _bicycle,
    "beware of ice or snow": _snow,
    "wild animals": _animals,
    "end of all limits": _end_of_all,
    "turn right ahead": _arrows(_TURN_RIGHT),
    "turn left ahead": _arrows(mirrored(_TURN_RIGHT)),
    "ahead only": _arrows(_AHEAD),
    "straight or right": _arrows(_STRAIGHT, _SIDEWAYS, width=0.17, head=0.25),
    "straight or left": _arrows(mirrored(_STRAIGHT), mirrored(_SIDEWAYS), width=0.17, head=0.25),
    "keep right": _arrows(_KEEP_RIGHT, width=0.22, head=0.34),
    "keep left": _arrows(mirrored(_KEEP_RIGHT), width=0.22, head=0.34),
    "roundabout": _roundabout,
    "end of no passing": _end_of_no_passing(truck=False),
    "end of no passing for trucks": _end_of_no_passing(truck=True),
}
