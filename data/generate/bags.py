"""Draws what a person carries."""

from itertools import pairwise

import numpy as np

from data.generate.canvas import Canvas, Material, Surface
from data.generate.cloth import BUNCH
from data.generate.looks import Look, View
from data.generate.palette import to_linear
from data.generate.skeleton import Skeleton


def draw_bag(canvas: Canvas, look: Look, view: View, bones: Skeleton) -> None:
    """Draws the bag of `view`, if there is one."""
    paint = {
        "backpack": _draw_backpack,
        "messenger": _draw_messenger,
        "handbag": _draw_handbag,
        "briefcase": _draw_briefcase,
        "plastic": _draw_plastic,
        "paper": _draw_plastic,
    }.get(view.bag_kind)
    if paint is not None:
        paint(canvas, look, view, bones)


def _box(canvas: Canvas, top: np.ndarray, height: float, wide, deep, material: Material) -> None:
    """Draws an upright bag below `top` with a rounded upper edge."""
    shares = np.array([0.0, 0.04, 0.12, 0.5, 0.9, 1.0])
    points = np.repeat(top[None].astype(float), 6, 0)
    points[:, 1] -= shares * height
    shape = np.array([0.55, 0.82, 0.95, 1.0, 1.0, 0.9])
    canvas.lathe(points, wide * shape, deep * shape, material, origin=top[1])


def _strap(canvas: Canvas, points: list[np.ndarray], radius: float, material: Material) -> None:
    for start, end in pairwise(points):
        canvas.capsule(start, end, radius, radius, material)


def _leather(look: Look) -> Material:
    return Material(to_linear(look.bag_color), folds=0.15, weave=BUNCH, gloss=0.15)


def _girth(look: Look) -> float:
    """Returns how far the chest reaches from the body's axis along z, coat included."""
    coat = {"puffer": 0.024, "coat": 0.014, "jacket": 0.013, "hoodie": 0.014}.get(
        look.top.cut, 0.006
    )
    return 0.066 * (1 + 0.6 * look.fatness) + coat


def _draw_backpack(canvas: Canvas, look: Look, view: View, bones: Skeleton) -> None:
    main = to_linear(look.bag_color)
    size = look.bag_size
    deep = 0.045 * size

    def cloth(surface: Surface) -> np.ndarray:
        pocket = (surface.along > 0.12) & (np.abs(surface.across) < 0.72)
        line = (np.abs(surface.along - 0.115) < 0.006) | (np.abs(surface.along - 0.03) < 0.005)
        shade = np.where(pocket, 0.8, 1.0) * np.where(line, 0.4, 1.0)
        return main[:, None, None] * shade

    girth, ahead = _girth(look), float(bones.spine(0.72))
    top = np.array([0, 0.815 + bones.rise, ahead - girth - deep * 0.72])
    _box(canvas, top, 0.235 * size, 0.082 * size, deep, Material(cloth, None, 0.25, BUNCH, 0.06))
    strap = Material(main * 0.8 + 0.004, gloss=0.05)
    for sign in (-1, 1):
        x = sign * 0.058
        path = [(x, 0.80, -girth * 0.8), (x, 0.832, -0.01), (x, 0.80, girth * 0.62),
                (x * 1.02, 0.74, girth * 0.86), (x * 1.25, 0.66, girth * 0.62),
                (x * 1.6, 0.62, 0)]  # fmt: skip
        points = [np.array([a, b + bones.rise, c + ahead]) for a, b, c in path]
        _strap(canvas, points, 0.0115 * size, strap)


def _draw_messenger(canvas: Canvas, look: Look, view: View, bones: Skeleton) -> None:
    side = -1 if look.left_handed else 1
    girth, rise, ahead = _girth(look), bones.rise, float(bones.spine(0.7))
    strap = Material(to_linear(look.bag_color) * 0.75 + 0.003)
    wide, size = 0.1 * (1 + 0.8 * max(look.fatness, 0)), look.bag_size
    for sign in (1, -1):  # over the chest and over the back
        path = [
            (-side * 0.055, 0.828, 0.0),
            (-side * 0.045, 0.79, sign * girth * 0.9),
            (-side * 0.01, 0.72, sign * girth * 1.06),
            (side * 0.04, 0.62, sign * girth * 0.98),
            (side * wide, 0.53, sign * 0.02),
        ]
        points = [np.array([a, b + rise, c + ahead]) for a, b, c in path]
        _strap(canvas, points, 0.0085 * size, strap)
    top = np.array([side * (wide + 0.022), 0.545 + rise, ahead * 0.5])
    _box(canvas, top, 0.125 * size, 0.034 * size, 0.085 * size, _leather(look))


def _draw_handbag(canvas: Canvas, look: Look, view: View, bones: Skeleton) -> None:
    side = int(look.left_handed)
    sign, size = (1 if side else -1), look.bag_size
    shoulder = bones.shoulders[side]
    hang = shoulder + np.array([sign * 0.035, -0.2, 0])
    leather = _leather(look)
    for ahead in (0.035, -0.035):
        _strap(canvas, [shoulder + np.array([sign * -0.012, 0.044, 0]),
                        hang + np.array([0, 0, ahead])], 0.006 * size, leather)  # fmt: skip
    at = hang + np.array([sign * 0.008 * size, 0.01, 0])
    _box(canvas, at, 0.125 * size, 0.034 * size, 0.08 * size, leather)


def _draw_briefcase(canvas: Canvas, look: Look, view: View, bones: Skeleton) -> None:
    hand, size = bones.hands[int(look.left_handed)], look.bag_size
    at = hand + np.array([0, -0.022, 0])
    _box(canvas, at, 0.15 * size, 0.022 * size, 0.105 * size, _leather(look))
    grip = Material(np.full(3, 0.01))
    for ahead in (-0.03, 0.03):
        canvas.capsule(hand, hand + np.array([0, -0.026, ahead]), 0.005, 0.005, grip)


PLASTIC = ((240, 240, 242), (240, 240, 238), (70, 160, 90), (60, 110, 200), (220, 60, 60),
           (245, 200, 70))  # fmt: skip
PAPER = ((190, 150, 104), (205, 168, 120), (238, 236, 230))


def _draw_plastic(canvas: Canvas, look: Look, view: View, bones: Skeleton) -> None:
    rng = np.random.default_rng(view.seed)
    hand = bones.hands[int(look.left_handed)] + np.array([0, -0.01, 0])
    plastic = view.bag_kind == "plastic"
    palette = PLASTIC if plastic else PAPER
    color = to_linear(palette[rng.integers(len(palette))])
    size = rng.uniform(0.9, 1.25) * look.bag_size
    material = Material(_printed(color, rng), None, 0.65 if plastic else 0.12, BUNCH, 0.3)
    points = np.repeat(hand[None], 6, 0)
    if plastic:
        points[:, 1] -= np.array([0, 0.045, 0.07, 0.11, 0.15, 0.175]) * size
        shape = np.array([0.12, 0.42, 0.75, 1.0, 0.98, 0.6])
    else:
        points[:, 1] -= np.array([0.05, 0.052, 0.06, 0.1, 0.19, 0.2]) * size
        shape = np.array([0.97, 1.0, 1.0, 1.0, 1.0, 0.96])
        for ahead in (-0.02, 0.02):
            canvas.capsule(hand, hand + np.array([0, -0.056, ahead]), 0.004, 0.004, material)
    canvas.lathe(points, 0.052 * shape * size, 0.066 * shape * size, material, origin=hand[1])


def _printed(color: np.ndarray, rng: np.random.Generator):
    ink = to_linear(((200, 30, 40), (30, 60, 160), (30, 120, 60), (30, 30, 30))[rng.integers(4)])
    if rng.random() < 0.4 or color.mean() < 0.3:
        return color

    def paint(surface: Surface) -> np.ndarray:
        mark = (np.abs(surface.along - 0.115) < 0.022) & (np.abs(surface.across) < 0.6)
        out = np.broadcast_to(color[:, None, None], (3, *mark.shape)).copy()
        np.copyto(out, ink[:, None, None], where=mark)
        return out

    return paint
