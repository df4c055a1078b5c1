"""Draws the head: face with its expression, hair, beard and headwear."""

import numpy as np

from data.generate.canvas import Canvas, Material, Surface
from data.generate.cloth import BUNCH, DRAPE, KNIT, patch, speckle
from data.generate.looks import Look, View
from data.generate.palette import to_linear
from data.generate.skeleton import Skeleton

HEIGHT = 0.139  # chin to crown in statures; 7.5 heads make a body
CHIN = 0.858
# Half width and half depth over the head's height, as fractions of the widest; 1 is the crown.
SHARE = np.array([1.0, 0.985, 0.95, 0.88, 0.76, 0.6, 0.42, 0.25, 0.12, 0.04, 0.0])
WIDE = np.array([0.10, 0.34, 0.6, 0.82, 0.98, 1.0, 0.95, 0.86, 0.72, 0.52, 0.30])
DEEP = np.array([0.10, 0.36, 0.62, 0.84, 0.98, 1.0, 0.94, 0.84, 0.74, 0.62, 0.42])


def draw_head(canvas: Canvas, look: Look, view: View, bones: Skeleton) -> None:
    """Draws the head of `look` with the emotion of `view`."""
    base = head_base(bones)
    wide, deep = head_size(look)
    turn = view.head_turn
    face = Material(_face(look, view), folds=0.03, gloss=0.07)
    canvas.lathe(_column(base, SHARE), wide * WIDE, deep * DEEP, face, turn, _brow(base))
    ahead = np.array([np.sin(turn), 0, np.cos(turn)])
    left = np.array([np.cos(turn), 0, -np.sin(turn)])
    skin = Material(to_linear(look.skin) * 0.95, gloss=0.08)
    nose = base + np.array([0, 0.40 * HEIGHT, 0])
    bridge = base + np.array([0, 0.55 * HEIGHT, 0])
    canvas.capsule(bridge + ahead * deep * 0.9, nose + ahead * (deep + 0.006), 0.005, 0.009, skin)
    if look.hairstyle not in ("long", "bob", "shoulder") and look.headwear != "hood":
        for sign in (-1, 1):
            ear = base + np.array([0, 0.46 * HEIGHT, 0]) + left * sign * wide * 0.97
            canvas.capsule(ear, ear + np.array([0, 0.014, -0.004]), 0.007, 0.009, skin)
    if look.headwear == "headscarf":
        _draw_scarf(canvas, look, base, turn)
    else:
        _draw_hair(canvas, look, base, turn)
        _draw_hat(canvas, look, base, turn)


def head_base(bones: Skeleton) -> np.ndarray:
    """Returns the point (3,) below the middle of the head, at the height of the chin."""
    y = CHIN + bones.rise - 0.05 * bones.stoop
    return np.array([0, y, float(bones.spine(0.88)) + 0.01 + 0.03 * bones.stoop])


def head_size(look: Look) -> tuple[float, float]:
    """Returns half width and half depth of the head in statures."""
    full = 1 + 0.22 * max(look.fatness, 0) + 0.2 * min(look.fatness, 0)
    return (0.047 - 0.0025 * look.femininity) * full, (0.058 - 0.003 * look.femininity) * full


def _column(base: np.ndarray, shares: np.ndarray, shift: float = 0.0) -> np.ndarray:
    points = np.repeat(base[None], len(shares), 0)
    points[:, 1] += shares * HEIGHT
    points[:, 2] += shift
    return points


def _brow(base: np.ndarray) -> float:
    """A texture's `along` is 0 at the crown and HEIGHT at the chin."""
    return base[1] + HEIGHT


def _level(surface: Surface) -> np.ndarray:
    return 1 - surface.along / HEIGHT


def _blob(x: np.ndarray, y: np.ndarray, wide: float, tall: float) -> np.ndarray:
    return np.exp(-((x / wide) ** 2) - (y / tall) ** 2)


def _face(look: Look, view: View):
    skin = to_linear(look.skin)
    hair = to_linear(look.hair)
    emotion = view.truth["emotion"]
    lined = float(np.clip((look.age - 30) / 35, 0, 1))
    rosy = np.array([1.0, 0.72, 0.68])

    def paint(surface: Surface) -> np.ndarray:
        if not surface.front.any():  # seen from behind
            return np.broadcast_to(skin[:, None, None], (3, *surface.across.shape))
        x, y = surface.across, _level(surface)
        dark = np.zeros_like(x)
        brows, eyes = _brows(x, y, emotion), np.zeros_like(x)
        for side in (-1, 1):
            eyes = np.maximum(eyes, _blob(x - side * 0.36, y - 0.50, 0.15, 0.034))
            dark += 0.45 * _blob(x - side * 0.36, y - 0.51, 0.26, 0.075)  # sockets
            dark += lined * 0.35 * _blob(x - side * 0.4, y - 0.42, 0.2, 0.02)
            dark += lined * 0.3 * _blob(x - side * 0.33, y - 0.26, 0.05, 0.07)
        dark += 0.35 * _blob(x, y - 0.325, 0.2, 0.02) + 0.14 * _blob(x, y - 0.06, 0.5, 0.03)
        color = skin[:, None, None] * (1 - 0.6 * np.clip(dark, 0, 1))
        cheeks = _blob(np.abs(x) - 0.5, y - 0.33, 0.25, 0.1) * 0.35
        color = color * (1 - cheeks * (1 - rosy)[:, None, None])
        if look.beard:
            jaw = y < 0.36 - 0.16 * np.cos(np.clip(x * 2.2, -1.5, 1.5)) + 0.12 * np.abs(x)
            jaw |= (np.abs(x) < 0.34) & (np.abs(y - 0.285) < 0.032)
            mask = (jaw * look.beard)[None]
            color = color * (1 - mask) + hair[:, None, None] * 0.9 * mask
        color = _mouth(color, x, y, emotion, look)
        mask = np.clip(np.maximum(brows, eyes), 0, 1)[None]
        color = color * (1 - 0.93 * mask) + 0.012 * mask
        if look.glasses:
            frame = np.abs(np.hypot((np.abs(x) - 0.37) / 0.27, (y - 0.5) / 0.085) - 1) < 0.24
            frame |= (np.abs(x) < 0.12) & (np.abs(y - 0.52) < 0.014)
            color = np.where(frame[None], np.float32(0.012), color)
        return np.where(surface.front[None], color, skin[:, None, None])

    return paint


def _brows(x: np.ndarray, y: np.ndarray, emotion: str) -> np.ndarray:
    slope = {"Angry/Serious": 0.3, "Sad": -0.26, "Happy": -0.04}.get(emotion, 0.03)
    low = {"Angry/Serious": 0.015, "Happy": -0.025, "Sad": -0.02}.get(emotion, 0.0)
    strength = 1.6 if emotion == "Angry/Serious" else 0.85
    height = 0.595 - low + slope * (np.abs(x) - 0.36)
    inside = (np.abs(x) > 0.12) & (np.abs(x) < 0.62)
    return strength * np.exp(-(((y - height) / 0.03) ** 2)) * inside


def _mouth(color: np.ndarray, x: np.ndarray, y: np.ndarray, emotion: str, look: Look):
    curve, half = {
        "Happy": (0.9, 0.5), "Sad": (-0.95, 0.36), "Angry/Serious": (-0.3, 0.4),
    }.get(emotion, (0.05, 0.29))  # fmt: skip
    middle = 0.205 + curve * (x * x - 0.05) * 0.5
    inside = np.abs(x) < half
    lips = np.exp(-(((y - middle) / 0.03) ** 2)) * inside
    red = np.array([0.24, 0.06, 0.06]) * (1 + 0.7 * look.femininity) * to_linear(look.skin).mean()
    red = red / 0.45
    color = color * (1 - 0.8 * lips) + red[:, None, None] * 0.8 * lips
    if emotion == "Happy":
        teeth = (np.abs(y - middle - 0.008) < 0.04) & (np.abs(x) < half * 0.84)
        color = np.where(teeth[None], np.float32(0.8), color)
    elif emotion == "Angry/Serious":
        line = (np.abs(y - middle) < 0.012) & inside
        color = np.where(line[None], np.float32(0.02), color)
    return color


def _strands(look: Look, level: float = 1.0):
    color = to_linear(look.hair) * level

    def paint(surface: Surface) -> np.ndarray:
        return color[:, None, None] * (1 + 0.22 * patch(speckle(), surface))

    return paint


def _draw_hair(canvas: Canvas, look: Look, base: np.ndarray, turn: float) -> None:
    style = look.hairstyle
    if look.headwear == "hood":
        return
    puff, shift = {"crop": (1.03, 0), "bald": (1.015, -0.004), "receding": (1.04, -0.004),
                   "curly": (1.26, -0.008), "bob": (1.13, -0.004), "long": (1.1, -0.005),
                   "shoulder": (1.12, -0.005)}.get(style, (1.08, -0.004))  # fmt: skip
    if look.headwear in ("cap", "beanie"):  # pressed flat
        puff = min(puff, 1.06)
    weave = KNIT if style == "curly" else DRAPE
    material = Material(_strands(look), _hairline(style), 0.5 if style == "curly" else 0.28, weave,
                        0.12)  # fmt: skip
    wide, deep = head_size(look)
    shares = SHARE * (1 + (puff - 1) * 0.8)
    canvas.lathe(_column(base, shares, shift), wide * WIDE * puff, deep * DEEP * puff, material,
                 turn, _brow(base))  # fmt: skip
    back = np.array([-np.sin(turn), 0, -np.cos(turn)])
    crown = base + np.array([0, 0.72 * HEIGHT, 0])
    lock = Material(_strands(look), None, 0.3, DRAPE, 0.12)
    if style in ("long", "shoulder", "bob"):
        _draw_length(canvas, look, base, turn, lock)
    elif style == "ponytail":
        start = crown + back * (deep + 0.008)
        canvas.capsule(start, start + np.array([0, -0.05, -0.022]), 0.016, 0.021, lock)
        canvas.capsule(start + np.array([0, -0.05, -0.022]), start + np.array([0, -0.14, -0.012]),
                       0.021, 0.009, lock)  # fmt: skip
    elif style == "bun":
        knot = base + np.array([0, 0.95 * HEIGHT, 0]) + back * deep * 0.65
        canvas.capsule(knot, knot + np.array([0, 0.012, 0]), 0.026, 0.024, lock)


def _hairline(style: str):
    """Returns the mask of the skull that hair covers."""
    front, side, nape = {
        "bald": (2.0, 0.62, 0.2), "receding": (0.97, 0.55, 0.2), "crop": (0.80, 0.52, 0.22),
        "curly": (0.76, 0.3, 0.1), "long": (0.78, 0.0, -0.1), "bob": (0.70, 0.0, -0.1),
        "shoulder": (0.76, 0.0, -0.1),
    }.get(style, (0.76, 0.46, 0.12))  # fmt: skip

    def keep(surface: Surface) -> np.ndarray:
        y, x = _level(surface), np.abs(surface.across)
        edge = front + (side - front) * np.clip((x - 0.62) / 0.38, 0, 1) ** 0.7
        behind = nape + (side - nape) * x**3
        kept = np.where(surface.front, y > edge, y > behind)
        return kept & (y < 0.68) if style == "bald" else kept

    return keep


def _draw_length(canvas: Canvas, look: Look, base, turn: float, lock: Material) -> None:
    """Draws hair that falls beside the face and down the back."""
    reach = {"bob": -0.02, "shoulder": -0.42, "long": -0.95}[look.hairstyle]
    wide, deep = head_size(look)
    shares = np.array([0.9, 0.72, 0.45, 0.15, min(0, reach / 2), reach])
    widths = wide * np.array([0.78, 1.14, 1.32, 1.42, 1.38, 0.8])
    depths = deep * np.array([0.6, 0.85, 0.88, 0.72, 0.52, 0.24])
    column = _column(base, shares, -0.016)
    column[:, 2] -= np.clip(-shares, 0, 1) * 0.022
    length = (0.9 - reach) * HEIGHT

    def behind(surface: Surface) -> np.ndarray:
        ragged = length - 0.012 - 0.012 * patch(speckle(), surface)
        kept = (surface.front == 0) | (np.abs(surface.across) > 0.80)
        return kept & (surface.along < ragged)

    canvas.lathe(column, widths, depths, Material(lock.color, behind, 0.35, DRAPE, 0.12), turn,
                 column[0, 1])  # fmt: skip
    if look.hairstyle == "long":  # it falls over the shoulders
        for sign in (-1, 1):
            top = base + np.array([sign * wide * 1.02, 0.35 * HEIGHT, 0.012])
            canvas.capsule(top, top + np.array([sign * 0.012, -0.15, 0.05]), 0.019, 0.014, lock)


def _draw_hat(canvas: Canvas, look: Look, base: np.ndarray, turn: float) -> None:
    if look.headwear == "none":
        return
    wide, deep = head_size(look)
    if look.headwear == "hood":
        _draw_hood(canvas, look, base, turn)
        return
    colors = ((20, 20, 24), (60, 60, 66), (30, 40, 90), (140, 24, 30), (200, 200, 200))
    color = to_linear(colors[look.top.seed % 5])
    edge = 0.66 if look.headwear == "beanie" else 0.7
    cloth = Material(color, lambda s: _level(s) > edge - 0.1 * ~s.front, 0.3, KNIT)
    canvas.lathe(_column(base, SHARE * 1.08, -0.003), wide * WIDE * 1.17, deep * DEEP * 1.15, cloth,
                 turn, _brow(base))  # fmt: skip
    if look.headwear == "cap":
        brim = base + np.array([0, 0.72 * HEIGHT, 0])
        ahead = np.array([np.sin(turn), -0.12, np.cos(turn)])
        left = np.array([np.cos(turn), 0, -np.sin(turn)]) * wide * 0.55
        for sign in (-1, 0, 1):
            canvas.capsule(
                brim + ahead * deep * 0.9 + left * sign,
                brim + ahead * (deep + 0.026) + left * sign * 0.7,
                0.011,
                0.008,
                cloth,
            )


def _opening(across: float, middle: float, along: float):
    """Returns the mask of all but an oval hole for the face."""

    def keep(surface: Surface) -> np.ndarray:
        hole = np.hypot(surface.across / across, (_level(surface) - middle) / along) < 1
        return ~(surface.front & hole)

    return keep


def _draw_hood(canvas: Canvas, look: Look, base: np.ndarray, turn: float) -> None:
    wide, deep = head_size(look)
    color = to_linear(look.top.colors[0]) * 0.95
    cloth = Material(color, _opening(0.62, 0.4, 0.5), 0.35, BUNCH)
    column = _column(base, np.append(SHARE * 1.1, -0.25), -0.008)
    widths = np.append(wide * WIDE * 1.3, wide * 0.95)
    depths = np.append(deep * np.maximum(DEEP * 1.26, 0.4), deep)
    canvas.lathe(column, widths, depths, cloth, turn, _brow(base))


def _draw_scarf(canvas: Canvas, look: Look, base: np.ndarray, turn: float) -> None:
    colors = ((24, 24, 28), (90, 60, 70), (40, 60, 100), (196, 186, 170), (120, 50, 90))
    wide, deep = head_size(look)
    cloth = Material(
        to_linear(colors[look.top.seed % 5]), _opening(0.72, 0.42, 0.44), 0.35, BUNCH, 0.05
    )
    shares = np.concatenate([SHARE * 1.06, [-0.3, -0.55]])
    widths = np.concatenate([wide * np.maximum(WIDE * 1.16, 0.1), [wide * 1.25, wide * 1.7]])
    depths = np.concatenate([deep * np.maximum(DEEP * 1.14, 0.1), [deep * 1.1, deep * 1.05]])
    depths[8:11] = np.maximum(depths[8:11], deep * 0.98)
    widths[8:11] = np.maximum(widths[8:11], wide * 0.98)
    canvas.lathe(_column(base, shares), widths, depths, cloth, turn, _brow(base))
