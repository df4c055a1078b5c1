"""The colour classes of the generated clothes, and colours on the border between two of them."""

import numpy as np

COLORS = (
    "black", "white", "red", "yellow", "blue", "green",
    "purple", "brown", "grey", "orange", "multicolor", "other",
)  # fmt: skip

# sRGB anchors of each class, 0..255. A garment takes one and moves it a little.
ANCHORS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "black": ((20, 20, 22), (28, 27, 29), (24, 25, 30)),
    "white": ((232, 232, 230), (240, 238, 232), (224, 228, 234)),
    "red": ((190, 25, 30), (168, 20, 36), (206, 44, 44), (150, 16, 28)),
    "yellow": ((235, 205, 40), (240, 216, 84), (226, 190, 24)),
    "blue": ((30, 60, 140), (40, 90, 180), (32, 48, 108), (92, 142, 205)),
    "green": ((36, 112, 56), (72, 146, 62), (58, 96, 48), (20, 92, 62)),
    "purple": ((96, 44, 132), (132, 70, 164), (88, 40, 104), (152, 110, 192)),
    "brown": ((96, 62, 38), (122, 82, 50), (80, 52, 34), (142, 100, 64)),
    "grey": ((112, 112, 114), (140, 140, 142), (94, 95, 98), (162, 162, 165)),
    "orange": ((232, 112, 26), (240, 136, 40), (218, 94, 22)),
    "other": ((236, 132, 172), (226, 92, 152), (208, 186, 148), (62, 192, 192)),
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
    """Draws the two or three sRGB colours of a multicolor garment, far apart from each other."""
    colors: list[np.ndarray] = []
    names = [name for name in ANCHORS if name != "brown"]
    wanted = 2 + int(rng.random() < 0.5)
    while len(colors) < wanted:
        color = sample_color(rng, names[rng.integers(len(names))], 0.0)
        if all(np.abs(color - other).sum() > 160 for other in colors):
            colors.append(color)
    return colors


def _jitter(rng: np.random.Generator, rgb: tuple[int, int, int]) -> np.ndarray:
    color = np.asarray(rgb, np.float64) * rng.uniform(0.92, 1.08) + rng.normal(0, 3.0, 3)
    return np.clip(color, 4, 250)
