"""Draws one person onto a canvas: body, clothes and shoes. Head and bags have their own modules."""

import numpy as np

from data.generate import bags, head
from data.generate.canvas import Canvas, Material, Surface, Texture
from data.generate.cloth import BUNCH, DRAPE, KNIT, QUILT, texture_of
from data.generate.looks import Garment, Look, View
from data.generate.palette import to_linear
from data.generate.skeleton import Skeleton, pose_body

# The trunk from neck to crotch: heights, then half widths and half depths, all in statures.
LEVELS = np.array([0.85, 0.828, 0.812, 0.795, 0.765, 0.72, 0.67, 0.62, 0.575, 0.53, 0.49, 0.462])
WIDTHS = {
    "male": (0.037, 0.065, 0.087, 0.100, 0.107, 0.104, 0.097, 0.091, 0.087, 0.086, 0.083, 0.062),
    "female": (0.028, 0.045, 0.063, 0.074, 0.080, 0.077, 0.066, 0.060, 0.075, 0.096, 0.099, 0.070),
}
DEPTHS = {
    "male": (0.034, 0.041, 0.047, 0.053, 0.061, 0.066, 0.062, 0.058, 0.058, 0.060, 0.060, 0.045),
    "female": (0.029, 0.036, 0.042, 0.049, 0.060, 0.070, 0.056, 0.050, 0.054, 0.064, 0.066, 0.048),
}
# How much of the fatness each level takes up.
GAINS = np.array([0.2, 0.15, 0.15, 0.2, 0.32, 0.5, 0.75, 0.95, 1.0, 0.8, 0.65, 0.5])

# cut: (hem height, sleeve length 0..1 over arm, added thickness, folds, weave, looseness at hem)
TOPS = {
    "t-shirt": (0.485, 0.32, 0.004, 0.2, BUNCH, 0.01),
    "fitted tee": (0.50, 0.2, 0.002, 0.16, BUNCH, 0.004),
    "fitted jacket": (0.50, 1.0, 0.006, 0.2, BUNCH, 0.006),
    "tank": (0.50, 0.0, 0.002, 0.16, BUNCH, 0.004),
    "shirt": (0.475, 1.0, 0.005, 0.24, BUNCH, 0.008),
    "blouse": (0.49, 0.92, 0.006, 0.28, DRAPE, 0.018),
    "sweater": (0.48, 1.0, 0.010, 0.12, KNIT, 0.004),
    "hoodie": (0.475, 1.0, 0.014, 0.22, BUNCH, 0.006),
    "jacket": (0.47, 1.0, 0.013, 0.24, BUNCH, 0.006),
    "blazer": (0.435, 1.0, 0.010, 0.16, DRAPE, 0.008),
    "puffer": (0.47, 1.0, 0.019, 0.34, QUILT, 0.0),
    "coat": (0.30, 1.0, 0.014, 0.22, DRAPE, 0.022),
}
# cut: (hem height of the skirt or of the legs, radius factor of the legs, folds)
LEGS = {
    "jeans": (0.0, 1.14, 0.24),
    "trousers": (0.0, 1.24, 0.18),
    "joggers": (0.05, 1.2, 0.24),
    "slim": (0.04, 0.86, 0.12),
    "shorts": (0.29, 1.28, 0.24),
}
SKIRTS = {"skirt": (0.31, 0.018), "long skirt": (0.12, 0.035), "dress": (0.26, 0.035)}


def draw_person(canvas: Canvas, look: Look, view: View) -> None:
    """Draws the person of `look` as they stand in `view`."""
    bones = pose_body(look, view)
    draw_legs(canvas, look, bones)
    draw_trunk(canvas, look, bones)
    draw_arms(canvas, look, view, bones)
    head.draw_head(canvas, look, view, bones)
    bags.draw_bag(canvas, look, view, bones)


def trunk_shape(look: Look, levels: np.ndarray, thick: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns half widths and half depths of the trunk at `levels` (n,), cloth included."""
    f, fat = look.femininity, look.fatness
    order = slice(None, None, -1)
    shape = []
    for table, gain in ((WIDTHS, 0.85), (DEPTHS, 1.35)):
        base = np.asarray(table["male"]) * (1 - f) + np.asarray(table["female"]) * f
        base = base * (1 + gain * fat * GAINS) + thick
        shape.append(np.interp(levels, LEVELS[order], base[order]))
    return shape[0], shape[1]


def _hem_height(look: Look) -> float:
    """Returns where the top ends, in statures: at the waist where it is tucked in."""
    hem = TOPS[look.top.cut][0]
    tuck = look.top.seed % 3 == 0 and look.top.cut in ("shirt", "blouse", "t-shirt", "fitted tee")
    return 0.55 if tuck or (look.bottom.cut in SKIRTS and hem > 0.45) else hem


def _hang(look: Look, levels: np.ndarray, thick: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the trunk's shape under cloth, which bridges the waist rather than follow it."""
    loose = 0.75 if look.femininity < 0.7 else 0.12
    shape = []
    for line in trunk_shape(look, levels, thick):
        chest, hip = line[np.argmin(abs(levels - 0.72))], line[-1]
        straight = np.interp(levels, (0.53, 0.72), (hip, chest))
        waist = (levels < 0.72) & (levels > 0.53)
        shape.append(np.where(waist, line + loose * np.clip(straight - line, 0, None), line))
    return shape[0], shape[1]


def trunk_centers(bones: Skeleton, levels: np.ndarray, look: Look) -> np.ndarray:
    """Returns the axis (n, 3) of the trunk at `levels` of the upright body."""
    belly = 0.03 * max(look.fatness, 0) * np.exp(-(((levels - 0.58) / 0.07) ** 2))
    drop = bones.stoop * np.clip(levels - 0.7, 0, None) * 0.25
    z = bones.spine(levels) + belly
    return np.stack([np.zeros_like(levels), levels + bones.rise - drop, z], 1)


def draw_trunk(canvas: Canvas, look: Look, bones: Skeleton) -> None:
    """Draws the top garment over the trunk, with collar and opening, and the neck."""
    _, _, thick, folds, weave, loose = TOPS[look.top.cut]
    hem = _hem_height(look)
    levels = np.concatenate([LEVELS[hem + 0.01 < LEVELS], [hem + 0.005, hem]])
    flat = np.maximum(levels, 0.53)  # below the hips cloth hangs straight down
    widths, depths = _hang(look, flat, thick)
    flare = np.clip((0.6 - levels) / (0.61 - hem), 0, 1) * (loose + 0.004)
    room = bones.spread * 0.9 * np.clip((0.5 - levels) / 0.2, 0, 1)
    widths, depths = widths + flare + room * 0.15, depths + flare + room
    gloss = 0.25 if look.top.cut == "puffer" else 0.04
    material = Material(_front_texture(look, 0.81 - hem), _neckline(look), folds, weave, gloss)
    skin = Material(to_linear(look.skin), folds=0.04, gloss=0.06)
    centers = trunk_centers(bones, levels, look)
    canvas.lathe(centers, widths, depths, material, origin=0.81 + bones.rise)
    if look.top.cut == "tank" or _is_open_neck(look.top):
        inner = LEVELS[:6]
        canvas.lathe(trunk_centers(bones, inner, look), *trunk_shape(look, inner, 0.0), skin)
    neck = trunk_centers(bones, np.array([0.80, 0.885]), look)
    neck[1, 2] += 0.012
    thickness = (0.033 - 0.006 * look.femininity) * (1 + 0.5 * max(look.fatness, 0))
    canvas.capsule(neck[0], neck[1], thickness * 1.08, thickness, skin)
    _draw_collar(canvas, look, bones)


def draw_arms(canvas: Canvas, look: Look, view: View, bones: Skeleton) -> None:
    """Draws sleeves, forearms and hands."""
    _, sleeve, thick, folds, weave, _ = TOPS[look.top.cut]
    skin = Material(to_linear(look.skin), folds=0.05, gloss=0.05)
    cloth = Material(texture_of(_plain_arm(look.top)), None, folds, weave, 0.04)
    slim = (1.08 - 0.3 * look.femininity) * (1 + 0.75 * look.fatness * (look.fatness > 0))
    radii = np.array([0.0295, 0.0255, 0.0245, 0.0175]) * slim * (1 + 0.3 * min(look.fatness, 0))
    for side in (0, 1):
        shoulder, elbow = bones.shoulders[side], bones.elbows[side]
        wrist, hand = bones.wrists[side], bones.hands[side]
        bare = skin if sleeve < 0.9 else cloth
        extra = 0.0 if sleeve < 0.9 else thick
        upper = skin if sleeve == 0 else cloth
        if 0 < sleeve < 0.9:
            cut = shoulder + (elbow - shoulder) * min(sleeve / 0.5, 1)
            canvas.capsule(shoulder, elbow, radii[0], radii[1], skin)
            canvas.capsule(shoulder, cut, radii[0] + thick, radii[1] + 0.012, cloth)
        else:
            canvas.capsule(shoulder, elbow, radii[0] + extra, radii[1] + extra, upper)
        canvas.capsule(elbow, wrist, radii[2] + extra, radii[3] + extra, bare, along=0.17)
        if view.arms[side] != "pocket":
            _draw_hand(canvas, wrist, hand, skin, view.arms[side], look)


def _draw_hand(canvas: Canvas, wrist, hand, skin: Material, action: str, look: Look) -> None:
    size = 0.0165 - 0.003 * look.femininity
    canvas.capsule(wrist, hand, size * 0.9, size, skin)
    canvas.capsule(hand, hand + (hand - wrist) * 0.45, size, size * 0.6, skin)
    if action == "phone":
        up = hand + np.array([0, 0.02, 0.012])
        phone = Material(np.array([0.012, 0.012, 0.016]), gloss=0.6)
        canvas.capsule(hand + np.array([0, -0.014, 0.01]), up, 0.014, 0.014, phone)


def draw_legs(canvas: Canvas, look: Look, bones: Skeleton) -> None:
    """Draws hips, legs, a skirt where there is one, and shoes."""
    cut = look.bottom.cut
    cloth = _leg_material(look)
    skin = Material(_stockings(look), folds=0.05, gloss=0.05)
    hips = np.array([0.595, 0.57, 0.53, 0.49, 0.455])
    widths, depths = trunk_shape(look, hips, 0.004 if _hem_height(look) > 0.54 else -0.006)
    centers = trunk_centers(bones, hips, look)
    canvas.lathe(centers, widths, depths, cloth, origin=0.6 + bones.rise)
    full = 1 + 0.6 * max(look.fatness, 0) + 0.55 * min(look.fatness, 0) + 0.05 * look.femininity
    radii = np.array([0.051, 0.036, 0.036, 0.0205]) * full
    bare = cut in SKIRTS or cut == "shorts"
    _, wide, _ = LEGS.get(cut, (0, 1.0, 0))
    for side in (0, 1):
        hip, knee, ankle = bones.hips[side], bones.knees[side], bones.ankles[side]
        over = skin if cut in SKIRTS else cloth
        thin = 1.0 if cut in SKIRTS else wide
        canvas.capsule(hip, knee, radii[0] * (1 + (thin - 1) * 0.4), radii[1] * thin, over, 0.08)
        calf = radii[2:] * ((1.0, 1.0) if bare else (thin, 1 + (thin - 1) * 3.2))
        canvas.capsule(knee, ankle, *calf, skin if bare else cloth, 0.32)
        _draw_shoe(canvas, look, knee, ankle, bones.toes[side], calf[1])
    if cut in SKIRTS:
        _draw_skirt(canvas, look, bones)


def _stockings(look: Look) -> np.ndarray:
    if look.bottom.cut in SKIRTS and look.bottom.seed % 5 < 2:
        return np.array([0.012, 0.012, 0.014])
    return to_linear(look.skin)


def _leg_material(look: Look) -> Material:
    folds = LEGS.get(look.bottom.cut, (0, 0, 0.26))[2]
    texture = texture_of(look.bottom)
    if look.bottom.cut in ("trousers", "slim") and look.bottom.pattern == "plain":
        return Material(texture, None, folds, DRAPE if look.bottom.seed % 2 else BUNCH, 0.03)
    color = to_linear(look.bottom.colors[0])
    if look.bottom.cut == "jeans" and look.bottom.pattern == "plain" and look.bottom.seed % 2:

        def texture(surface: Surface) -> np.ndarray:  # worn pale over the thighs
            worn = np.exp(-(((surface.along - 0.2) / 0.09) ** 2)) * (1 - surface.across**2)
            return color[:, None, None] * (1 + 0.5 * np.clip(worn, 0, 1))

    return Material(texture, None, folds, BUNCH, 0.03)


def _draw_skirt(canvas: Canvas, look: Look, bones: Skeleton) -> None:
    hem, flare = SKIRTS[look.bottom.cut]
    levels = np.array([0.605, 0.57, 0.53, 0.49, 0.44, (0.44 + hem) / 2, hem])
    widths, depths = trunk_shape(look, np.maximum(levels, 0.51), 0.008)
    drop = np.clip((0.53 - levels) / (0.53 - hem), 0, 1)
    reach = bones.spread * drop * 0.8 * (0.53 - hem) / 0.24
    centers = trunk_centers(bones, levels, look)
    material = Material(texture_of(look.bottom), None, 0.42, DRAPE, 0.04)
    origin = 0.6 + bones.rise if look.bottom.cut != "dress" else 0.81 + bones.rise
    canvas.lathe(centers, widths + flare * drop + 0.2 * reach, depths + flare * drop + reach,
                 material, origin=origin)  # fmt: skip


def _draw_shoe(canvas: Canvas, look: Look, knee, ankle, toe, calf: float) -> None:
    color = to_linear(look.shoe_color)
    shiny = look.shoes in ("leather", "heels", "boots")
    upper = Material(color, folds=0.1, weave=BUNCH, gloss=0.35 if shiny else 0.08)
    sole = Material(np.full(3, 0.75) if "sneaker" in look.shoes else np.full(3, 0.02))
    if look.shoes == "trainers":
        sole = Material(np.full(3, 0.45))
    ahead = (toe - ankle) / (np.linalg.norm(toe - ankle) + 1e-9)
    heel = ankle - 0.028 * ahead + np.array([0, -0.016, 0])
    slim = 0.76 if look.shoes == "heels" else 1.0
    canvas.capsule(heel, toe, 0.021 * slim, 0.0175 * slim, upper)
    canvas.capsule(ankle - 0.008 * ahead, ankle + 0.055 * ahead - np.array([0, 0.006, 0]),
                   0.023 * slim, 0.019 * slim, upper)  # fmt: skip
    down = np.array([0, -0.014, 0])
    canvas.capsule(heel + down, toe + down * 0.6, 0.014 * slim, 0.012 * slim, sole)
    if look.shoes == "heels":
        canvas.capsule(heel, heel + np.array([0, -0.042, 0]), 0.007, 0.004, upper)
    if look.shoes in ("boots", "ankle boots"):
        top = 0.72 if look.shoes == "boots" else 0.28
        shaft = ankle + (knee - ankle) * top
        bare = min(calf, 0.024)
        canvas.capsule(ankle, shaft, bare + 0.007, bare + 0.008 + 0.012 * top, upper)


def _is_open_neck(top: Garment) -> bool:
    return top.cut not in ("hoodie", "puffer", "tank")


def _neckline(look: Look):
    """Returns the mask that leaves the throat, or the shoulders of a tank top, uncovered."""
    depth = {"tank": 0.055, "blouse": 0.06, "t-shirt": 0.03, "fitted tee": 0.05,
             "fitted jacket": 0.03, "shirt": 0.03, "sweater": 0.018,
             "blazer": 0.02, "jacket": 0.02, "coat": 0.015}.get(look.top.cut, 0.0)  # fmt: skip
    if not depth:
        return None
    start = -0.012

    def keep(surface: Surface) -> np.ndarray:
        throat = surface.along < start + depth * (1 - (surface.across / 0.42) ** 2)
        return ~(throat & surface.front)

    return keep


def _plain_arm(top: Garment) -> Garment:
    """Returns the garment as it is on the sleeves: no logo."""
    return Garment(top.cut, top.colors, top.pattern, top.seed, top.period, logo=False)


INNER = ((235, 235, 232), (30, 30, 34), (150, 160, 180), (120, 30, 34))


def _front_texture(look: Look, hem: float) -> Texture:
    """Adds to a top what is on it: an open front, a zip or buttons, pockets and a hem.

    Args:
        look: the person.
        hem: distance from the shoulder to the hem in statures.
    """
    base, top = texture_of(look.top), look.top
    rng = np.random.default_rng(top.seed + 1)
    inner = to_linear(INNER[rng.integers(len(INNER))])
    is_open = {"jacket": 0.5, "fitted jacket": 0.5, "blazer": 0.75, "coat": 0.4}.get(
        top.cut, 0.0
    ) > rng.random()
    has_line = top.cut in ("jacket", "fitted jacket", "puffer", "hoodie", "coat", "shirt", "blazer")
    has_pockets = top.cut in ("jacket", "fitted jacket", "puffer", "coat", "blazer", "hoodie")
    ribbed = top.cut in ("hoodie", "sweater", "jacket", "puffer")
    width = rng.uniform(0.12, 0.24)
    main = to_linear(top.colors[0])
    line = (main * 0.5 if main.mean() > 0.05 else main * 2.0 + 0.012)[:, None, None]

    def paint(surface: Surface) -> np.ndarray:
        color = base(surface) if callable(base) else base[:, None, None]
        color = np.broadcast_to(color, (3, *surface.across.shape)).copy()
        middle, left = np.abs(surface.across), surface.along - hem
        color *= np.where(left > -0.006, 0.7, np.where(ribbed & (left > -0.028), 0.85, 1.0))
        if is_open:  # a V that narrows to the waist
            gap = width * np.clip(1.25 - surface.along / 0.34, 0.12, 1)
            np.copyto(color, line, where=surface.front & (middle < gap + 0.07))
            np.copyto(color, inner[:, None, None], where=surface.front & (middle < gap))
        elif has_line:
            np.copyto(color, line, where=surface.front & (middle < 0.03))
        if has_pockets:
            slit = np.abs(middle - 0.55 - (surface.along - 0.25) * 3) < 0.035
            slit &= surface.front & (np.abs(surface.along - 0.25) < 0.028)
            np.copyto(color, line, where=slit)
        return color

    return paint


def _draw_collar(canvas: Canvas, look: Look, bones: Skeleton) -> None:
    color = to_linear(look.top.colors[0])
    centers = trunk_centers(bones, np.array([0.862, 0.85, 0.828, 0.815]), look)
    fit = 1 + 0.3 * max(look.fatness, 0)
    if look.scarf is not None:
        cloth = Material(to_linear(look.scarf), folds=0.6, weave=BUNCH)
        canvas.lathe(centers + (0, 0.004, 0.008), np.array([0.03, 0.054, 0.066, 0.05]) * fit,
                     np.array([0.035, 0.058, 0.068, 0.05]) * fit, cloth)  # fmt: skip
    elif look.top.cut in ("puffer", "jacket", "coat"):
        cloth = Material(color, folds=0.2, weave=BUNCH)
        open_front = lambda s: ~(s.front & (np.abs(s.across) < 0.4))  # noqa: E731
        cloth = Material(color, open_front, 0.2, BUNCH)
        canvas.lathe(centers, np.array([0.044, 0.048, 0.06, 0.07]) * fit,
                     np.array([0.048, 0.05, 0.055, 0.05]) * fit, cloth)  # fmt: skip
    elif look.top.cut == "hoodie" and look.headwear != "hood":
        cloth = Material(color * 0.92, folds=0.5, weave=BUNCH)
        behind = lambda s: ~(s.front & (np.abs(s.across) < 0.6))  # noqa: E731
        cloth = Material(color * 0.92, behind, 0.5, BUNCH)
        canvas.lathe(centers + (0, -0.004, -0.018), np.array([0.042, 0.056, 0.07, 0.06]) * fit,
                     np.array([0.042, 0.056, 0.06, 0.05]) * fit, cloth)  # fmt: skip
    elif look.top.cut in ("shirt", "blazer"):
        collar = color if look.top.cut == "shirt" else np.full(3, 0.7)
        cloth = Material(collar, lambda s: ~(s.front & (np.abs(s.across) < 0.25)))
        canvas.lathe(centers[1:], np.array([0.036, 0.044, 0.05]) * fit,
                     np.array([0.038, 0.044, 0.046]) * fit, cloth)  # fmt: skip
