"""The colour classes of the generated clothes, and colours on the border between two of them."""

import numpy as np

COLORS = (
    "black", "white", "red", "yellow", "blue", "green",
    "purple", "brown", "grey", "orange", "multicolor", "other",
)  # fmt: skip

# sRGB anchors of each class, 0..255. A garment takes one and moves it a little.
ANCHORS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((26, 26, 28), (34, 33, 35), (30, 31, 36)),
    "white": ((226, 226, 223), (232, 229, 222), (218, 222, 227)),
    "red": ((172, 36, 40), (150, 30, 42), (186, 58, 56), (132, 26, 34)),
    "yellow": ((218, 190, 62), (226, 204, 100), (206, 172, 44)),
    "blue": ((44, 66, 126), (58, 94, 160), (42, 54, 98), (104, 144, 192)),
    "green": ((50, 104, 64), (84, 134, 76), (66, 96, 58), (38, 88, 66)),
    "purple": ((92, 54, 120), (124, 78, 148), (86, 50, 98), (150, 116, 180)),
    "brown": ((96, 66, 46), (118, 84, 58), (80, 56, 40), (140, 104, 74)),
    "grey": ((112, 112, 114), (138, 138, 140), (94, 95, 98), (160, 160, 163)),
    "orange": ((212, 112, 48), (224, 134, 62), (200, 96, 40)),
    "other": ((220, 140, 168), (206, 100, 148), (202, 184, 152), (88, 178, 178)),
}

# Colours that two people would name differently: (class, class): sRGB.
BORDERS: dict[tuple[str, str], tuple[int, int, int]] = {
    ("black", "grey"): (58, 58, 60),
    ("black", "blue"): (22, 27, 48),
    ("black", "brown"): (48, 37, 30),
    ("grey", "white"): (192, 192, 194),
    ("grey", "blue"): (92, 104, 126),
    ("white", "other"): (226, 214, 192),
    ("red", "orange"): (216, 68, 30),
    ("red", "brown"): (112, 34, 26),
    ("red", "other"): (218, 72, 96),
    ("orange", "brown"): (176, 96, 38),
    ("yellow", "orange"): (240, 168, 36),
    ("blue", "purple"): (70, 58, 150),
    ("blue", "green"): (28, 106, 116),
    ("green", "brown"): (92, 86, 46),
    ("yellow", "green"): (176, 196, 48),
    ("purple", "other"): (190, 96, 170),
    ("blue", "other"): (70, 160, 196),
    ("brown", "other"): (178, 148, 108),
}

# Denim, by far the most common blue below the belt.
DENIM = ((58, 78, 118), (44, 58, 92), (92, 118, 158), (70, 96, 140))


def to_linear(rgb: np.ndarray) -> np.ndarray:
    """Turns sRGB 0..255 into linear light 0..1, float32, with the plain 2.2 power."""
    return ((np.asarray(rgb, np.float32) / 255.0) ** 2.2).astype(np.float32)


def sample_color(rng: np.random.Generator, name: str, border_share: float) -> np.ndarray:
    """Draws an sRGB colour (3,) 0..255 that a viewer would call `name`, or nearly so.

    With chance `border_share` it is a colour that others would give another name.
    """
    pairs = [rgb for pair, rgb in BORDERS.items() if name in pair]
    if pairs and rng.random() < border_share:
        return _jitter(rng, pairs[rng.integers(len(pairs))])
    anchors = ANCHORS[name]
    return _jitter(rng, anchors[rng.integers(len(anchors))])


def sample_denim(rng: np.random.Generator) -> np.ndarray:
    """Draws the sRGB colour (3,) 0..255 of blue jeans."""
    return _jitter(rng, DENIM[rng.integers(len(DENIM))])


def sample_several(rng: np.random.Generator) -> list[np.ndarray]:
    """Draws the three sRGB colours of a multicolor garment, far apart from each other."""
    colors: list[np.ndarray] = []
    names = [name for name in ANCHORS if name != "brown"]
    while len(colors) < 3:
        color = sample_color(rng, names[rng.integers(len(names))], 0.0)
        if all(np.abs(color - other).sum() > 190 for other in colors):
            colors.append(color)
    return colors


def _jitter(rng: np.random.Generator, rgb: tuple[int, int, int]) -> np.ndarray:
    color = np.asarray(rgb, np.float64) * rng.uniform(0.92, 1.08) + rng.normal(0, 3.0, 3)
    return np.clip(color, 4, 250)
