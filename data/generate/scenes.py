"""Streets, shop fronts, parks and stations: what stands behind the person, one per camera."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from data.generate.looks import CAMERAS

HEIGHT, WIDTH = 330, 620  # pixels of a scene, for images that are 240 high
GROUNDS = ("asphalt", "slabs", "slabs", "tiles", "crossing", "grass path")
WALLS = ("none", "plaster", "brick", "shop", "street", "trees", "station", "railing")


@dataclass(frozen=True)
class Camera:
    """A fixed camera: what it sees, how it hangs, and what its electronics do to colours."""

    scene: Image.Image
    base: int  # row where the ground begins
    pitch: float  # radians
    closeness: float
    cast: np.ndarray  # (3,) gains
    contrast: float
    saturation: float
    vignette: float
    halo: float  # strength of the sharpening that cheap cameras add
    interlaced: bool
    sunny: float  # chance of direct sun


@lru_cache(maxsize=1)
def cameras() -> tuple[Camera, ...]:
    """Draws the scenes of all cameras; the same ones in every process."""
    return tuple(build_camera(number) for number in range(CAMERAS))


def build_camera(number: int) -> Camera:
    """Draws the scene of a camera; any number from 0 on gives another place."""
    rng = np.random.default_rng((1_000, number))
    high = rng.random() < 0.5  # hangs high: mostly ground is seen
    wall = "none" if high and rng.random() < 0.6 else WALLS[1 + number % (len(WALLS) - 1)]
    base = int(rng.integers(5, 60)) if high else int(rng.integers(130, 215))
    ground = "tiles" if wall == "station" else GROUNDS[rng.integers(len(GROUNDS))]
    poor = number % CAMERAS / CAMERAS
    return Camera(
        scene=_draw_scene(rng, ground, wall, base),
        base=base,
        pitch=float(rng.uniform(0.2, 0.42) if high else rng.uniform(0.0, 0.14)),
        closeness=float(rng.uniform(0.1, 0.22) if high else rng.uniform(0.0, 0.06)),
        cast=np.exp(rng.normal(0, 0.05, 3) * (2.0 if rng.random() < 0.2 else 1.0)),
        contrast=float(rng.normal(1.0, 0.1)),
        saturation=float(rng.uniform(0.7, 1.0)),
        vignette=float(rng.uniform(0, 0.3)),
        halo=float(rng.uniform(0, 0.6) + 0.9 * poor * (rng.random() < 0.5)),
        interlaced=bool(rng.random() < 0.15 + 0.2 * poor),
        sunny=0.0 if wall == "station" else float(rng.choice((0.15, 0.5, 0.85))),
    )


def noise(rng: np.random.Generator, shape: tuple[int, int], *sigmas: float) -> np.ndarray:
    """Returns the sum of smoothed noise of several sizes, float32 of unit variance."""
    total = np.zeros(shape, np.float32)
    for sigma in sigmas:
        small = [max(2, round(side / (1.6 * sigma))) for side in shape]
        grid = Image.fromarray(rng.standard_normal(small, np.float32))
        layer = np.asarray(grid.resize(shape[::-1], Image.Resampling.BICUBIC))
        total += layer / layer.std()
    return total / total.std()


def _draw_scene(rng: np.random.Generator, ground: str, wall: str, base: int) -> Image.Image:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    picture[base:] = _draw_ground(rng, ground, HEIGHT - base, base)
    picture[:base] = _draw_wall(rng, wall, base)
    stains = noise(rng, (HEIGHT, WIDTH), 12, 60)[..., None] * 5
    picture = np.clip(picture + stains, 0, 255)
    near = np.exp(-np.abs(np.arange(HEIGHT) - base) / 5.0)[:, None, None]
    picture *= 1 - 0.35 * near  # dirt and shade where wall and ground meet
    image = Image.fromarray(picture.astype(np.uint8))
    _add_things(rng, image, wall, base)
    return image


def _ground_plane(rng, rows: int, base: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns where each pixel lies on the ground: across and away, in metres or so."""
    horizon = rng.uniform(60, 140) if base > 100 else rng.uniform(160, 420)
    y = np.arange(rows, dtype=np.float32)[:, None] + horizon
    x = np.arange(WIDTH, dtype=np.float32)[None] - WIDTH / 2
    far = 1 / y
    turn = rng.uniform(-0.6, 0.6)
    across, away = x * far * 4.5, 900 * far * 1.4
    away = np.broadcast_to(away, across.shape)
    return across * np.cos(turn) + away * np.sin(turn), away * np.cos(turn) - across * np.sin(turn)


def _draw_ground(rng: np.random.Generator, kind: str, rows: int, base: int) -> np.ndarray:
    across, away = _ground_plane(rng, rows, base)
    grain = noise(rng, (rows, WIDTH), 0.7, 2.5)[..., None]
    tone = np.array(
        {"asphalt": (92, 92, 96), "slabs": (150, 145, 138), "tiles": (168, 164, 158),
         "crossing": (84, 84, 88), "grass path": (158, 146, 128)}[kind], np.float32,
    ) * rng.uniform(0.8, 1.15) * rng.uniform(0.94, 1.06, 3)  # fmt: skip
    floor = tone + grain * (6 if kind in ("asphalt", "crossing") else 3.5)
    if kind in ("slabs", "tiles"):
        size = rng.uniform(0.35, 0.8)
        u, v = across / size, away / (size * rng.uniform(1, 2))
        joint = (np.abs(u % 1 - 0.5) > 0.47) | (np.abs(v % 1 - 0.5) > 0.47)
        shade = np.sin(np.floor(u) * 12.99 + np.floor(v) * 78.2) * 43758.5
        floor = floor + ((shade % 1) - 0.5)[..., None] * 14
        floor = floor * (1 - 0.3 * joint[..., None])
    elif kind == "crossing":
        white = (across / rng.uniform(0.8, 1.3)) % 1 < 0.5
        worn = noise(rng, (rows, WIDTH), 1.5)[..., None] > -1.2
        floor = np.where(white[..., None] & worn, 205 + grain * 8, floor)
    elif kind == "grass path":
        grass = np.abs(across - rng.uniform(-0.5, 0.5)) > rng.uniform(0.9, 1.4)
        green = np.array((104, 118, 78), np.float32) * (1 + 0.07 * grain)
        floor = np.where(grass[..., None], green, floor)
    else:
        line = np.abs(across - rng.uniform(-1, 1)) < 0.05
        paint = np.array((214, 206, 190) if rng.random() < 0.6 else (216, 178, 60), np.float32)
        floor = np.where(line[..., None], paint + grain * 8, floor)
    return floor


def _draw_wall(rng: np.random.Generator, kind: str, base: int) -> np.ndarray:
    shape = (base, WIDTH)
    grain = noise(rng, shape, 0.7, 8)[..., None]
    if kind == "brick":
        rows, cols = np.mgrid[:base, :WIDTH].astype(np.float32)
        course = np.floor(rows / 7)
        place = cols + (course % 2) * 9
        joint = (rows % 7 < 1.2) | (place % 18 < 1.4)
        tint = np.sin(course * 12.99 + np.floor(place / 18) * 78.2) * 43758.5 % 1
        brick = np.array((146, 84, 66), np.float32) * (0.8 + 0.35 * tint[..., None]) + grain * 5
        return np.where(joint[..., None], 168 + grain * 4, brick)
    if kind in ("trees", "railing"):
        leaves = noise(rng, shape, 1.2, 4, 14)[..., None]
        return np.array((72, 92, 48), np.float32) * rng.uniform(0.7, 1.1) * np.exp(0.42 * leaves)
    if kind == "station":
        return np.array((112, 116, 120), np.float32) * rng.uniform(0.7, 1.2) + grain * 4
    if kind == "street":
        tone = np.array(((176, 160, 140), (150, 140, 134), (186, 178, 166))[rng.integers(3)])
        return tone.astype(np.float32) + grain * 5
    tone = np.array(
        ((188, 180, 166), (140, 146, 150), (200, 186, 150), (96, 92, 90))[rng.integers(4)]
    )
    return tone.astype(np.float32) * rng.uniform(0.8, 1.1) + grain * 6


def _add_things(rng: np.random.Generator, image: Image.Image, wall: str, base: int) -> None:
    pen = ImageDraw.Draw(image)
    if wall == "shop":
        _draw_shops(rng, pen, base)
    elif wall == "street":
        _draw_windows(rng, pen, base)
        _draw_cars(rng, image, base)
    elif wall == "station":
        _draw_station(rng, pen, base)
    elif wall in ("trees", "railing"):
        _draw_trunks(rng, pen, base)
        if wall == "railing":
            _draw_railing(rng, pen, base)
    elif wall in ("plaster", "brick"):
        _draw_doors(rng, pen, base)
    if wall == "none" and rng.random() < 0.7:  # a kerb or a wall that crosses the view
        y, slope = rng.integers(20, 120), rng.uniform(-0.25, 0.25)
        tone = tuple(int(c) for c in rng.integers(150, 200) + rng.integers(-8, 8, 3))
        line = [(0, y), (WIDTH, y + slope * WIDTH)]
        pen.line(line, tone, int(rng.integers(5, 16)))
        pen.line([(x, y + 9) for x, y in line], tuple(c // 2 for c in tone), 3)
    for _ in range(rng.integers(0, 4)):  # poles, bins and drain covers
        x, tone = int(rng.integers(WIDTH)), int(rng.integers(30, 110))
        y = base + int(rng.integers(5, 50))
        if rng.random() < 0.6:
            pen.rectangle((x, 0, x + int(rng.integers(4, 10)), y), (tone, tone, tone + 4))
        else:
            pen.rounded_rectangle((x, y - 60, x + 34, y), 5, (tone, tone + 20, tone))


def _draw_shops(rng: np.random.Generator, pen: ImageDraw.ImageDraw, base: int) -> None:
    x = -int(rng.integers(60))
    while x < WIDTH:
        wide = int(rng.integers(90, 170))
        sign = tuple(int(c) for c in rng.integers(20, 230, 3))
        pen.rectangle((x, base - 190, x + wide - 8, base - 150), sign)
        ink = (240, 240, 235) if sum(sign) < 380 else (30, 30, 30)
        for step in range(x + 14, x + wide - 24, 11):
            tall = int(rng.integers(8, 20))
            pen.rectangle((step, base - 168 - tall // 2, step + 7, base - 168 + tall // 2), ink)
        glass = int(rng.integers(40, 110))
        pen.rectangle((x, base - 146, x + wide - 8, base - 14), (glass, glass + 6, glass + 10))
        for _ in range(9):  # goods behind the glass
            left, top = x + int(rng.integers(4, wide - 36)), base - int(rng.integers(40, 130))
            tone = tuple(int(c) for c in rng.integers(30, 215, 3))
            pen.rectangle((left, top, left + int(rng.integers(8, 26)),
                           top + int(rng.integers(10, 40))), tone)  # fmt: skip
        for step in (0, wide // 2, wide - 10):
            pen.line((x + step, base - 148, x + step, base - 10), (60, 58, 56), 4)
        x += wide


def _draw_windows(rng: np.random.Generator, pen: ImageDraw.ImageDraw, base: int) -> None:
    for x in range(int(rng.integers(0, 40)), WIDTH, int(rng.integers(60, 100))):
        for top in range(base - 60, -60, -86):
            tone = int(rng.integers(40, 90))
            pen.rectangle((x - 3, top - 60, x + 37, top + 3), (205, 200, 192))
            pen.rectangle((x, top - 57, x + 34, top), (tone, tone + 8, tone + 18))
            pen.line((x + 17, top - 57, x + 17, top), (205, 200, 192), 3)


def _draw_cars(rng: np.random.Generator, image: Image.Image, base: int) -> None:
    x = -int(rng.integers(80))
    while x < WIDTH:
        wide = int(rng.integers(190, 250))
        draw_car(rng, ImageDraw.Draw(image), x, base + int(rng.integers(2, 10)), wide)
        x += wide + int(rng.integers(20, 260))


def draw_car(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: int, y: int, wide: int) -> None:
    """Draws a parked car from the side: its left edge, the row of its wheels, its length."""
    tones = ((30, 30, 34), (190, 192, 196), (120, 124, 130), (150, 24, 28), (30, 50, 110),
             (226, 226, 224))  # fmt: skip
    body = np.asarray(tones[rng.integers(len(tones))])
    tall = wide * 0.33
    for share, shade in ((0.0, 1.0), (0.35, 0.86), (0.7, 0.66)):
        top = y - tall * 0.62 * (1 - share)
        pen.rounded_rectangle((x, top, x + wide, y - tall * 0.1), 10, _shade(body, shade))
    roof = [
        (x + wide * a, y - tall * b) for a, b in ((0.14, 0.6), (0.28, 1.0), (0.72, 1.0), (0.9, 0.6))
    ]
    pen.polygon(roof, _shade(body, 0.95))
    glass = [
        (x + wide * a, y - tall * b)
        for a, b in ((0.2, 0.62), (0.31, 0.94), (0.69, 0.94), (0.83, 0.62))
    ]
    pen.polygon(glass, (44, 52, 60))
    pen.line(
        (x + wide * 0.5, y - tall * 0.94, x + wide * 0.5, y - tall * 0.3), _shade(body, 0.6), 3
    )
    radius = wide * 0.075
    for place in (0.2, 0.8):
        cx = x + wide * place
        pen.ellipse((cx - radius, y - radius * 1.7, cx + radius, y + radius * 0.3), (16, 16, 18))
        pen.ellipse(
            (cx - radius / 2, y - radius * 1.2, cx + radius / 2, y - radius * 0.2), (130, 132, 136)
        )
    lamp = max(2, wide * 0.05)  # a tiny car has one, too
    pen.rectangle((x + 2, y - tall * 0.5, x + lamp, y - tall * 0.4), (230, 220, 180))


def _shade(color: np.ndarray, factor: float) -> tuple[int, ...]:
    return tuple(int(c * factor) for c in color)


def _draw_station(rng: np.random.Generator, pen: ImageDraw.ImageDraw, base: int) -> None:
    for x in range(int(rng.integers(0, 80)), WIDTH, 150):
        tone = int(rng.integers(90, 160))
        for step in range(26):  # a round column
            light = tone * (0.55 + 0.6 * np.sin(np.pi * step / 26))
            pen.line((x + step, 0, x + step, base + 14), tuple([int(light)] * 3))
        board = tuple(int(c) for c in rng.integers(40, 235, 3))
        pen.rectangle((x + 48, base - 120, x + 118, base - 36), board)
        pen.rectangle((x + 56, base - 110, x + 92, base - 76), tuple(255 - c for c in board))
    pen.rectangle((0, base - 8, WIDTH, base - 3), (196, 160, 40))
    for x in range(0, WIDTH, 120):
        pen.rectangle((x + 10, 6, x + 90, 13), (248, 248, 240))


def _draw_trunks(rng: np.random.Generator, pen: ImageDraw.ImageDraw, base: int) -> None:
    for _ in range(rng.integers(3, 8)):
        x, wide = int(rng.integers(WIDTH)), int(rng.integers(7, 22))
        lean, tone = int(rng.integers(-16, 16)), int(rng.integers(36, 70))
        pen.polygon([(x + lean, 0), (x + lean + wide * 0.7, 0), (x + wide * 1.2, base + 8),
                     (x - wide * 0.2, base + 8)], (tone + 16, tone + 4, tone - 10))  # fmt: skip
    for _ in range(60):  # sky between the leaves
        x, y, r = rng.integers(WIDTH), rng.integers(max(1, base // 2)), rng.integers(2, 8)
        pen.ellipse((x, y, x + r, y + r * 0.8), (206, 216, 224))


def _draw_railing(rng: np.random.Generator, pen: ImageDraw.ImageDraw, base: int) -> None:
    tone = int(rng.integers(40, 190))
    color, y = (tone, tone, tone + 4), base + 10
    for x in range(0, WIDTH, int(rng.integers(9, 16))):
        pen.line((x, y - 92, x, y), color, 3)
    for level in (92, 8):
        pen.line((0, y - level, WIDTH, y - level), color, 5)


def _draw_doors(rng: np.random.Generator, pen: ImageDraw.ImageDraw, base: int) -> None:
    for x in range(int(rng.integers(0, 120)), WIDTH, int(rng.integers(130, 220))):
        tone = np.asarray(rng.integers(30, 150, 3))
        wide = int(rng.integers(44, 90))
        if rng.random() < 0.5:
            pen.rectangle((x - 4, base - 172, x + wide + 4, base), _shade(tone, 1.3))
            pen.rectangle((x, base - 168, x + wide, base), _shade(tone, 1.0))
            pen.rectangle((x + 8, base - 156, x + wide - 8, base - 90), _shade(tone, 0.7))
        else:
            pen.rectangle((x - 4, base - 150, x + wide + 4, base - 56), (214, 210, 204))
            pen.rectangle((x, base - 146, x + wide, base - 60), (58, 66, 76))
            pen.line((x, base - 146, x + wide, base - 60), (92, 104, 116), 6)
