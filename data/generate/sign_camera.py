"""Photographs a sign badly, again and again as the car comes nearer: a track of frames.

The ranges are chosen so that brightness, contrast and sizes of the frames are spread as in GTSRB:
the white of a sign has the quantiles 41, 61, 112, 180 and 253 of 255 at .1, .25, .5, .75 and .9
there, and the width of a frame 28, 35, 43, 58 and 101 pixels at .05, .25, .5, .75 and .95.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from data.generate.sign_pen import TEMPLATE
from data.generate.sign_scenes import BACKDROP, LAYER, UNIT, draw_backdrop, hang_sign, noise
from data.generate.sign_shapes import draw_sign
from data.generate.sign_wear import age_sign
from data.sources.gtsrb import SIGNS

SMALLEST, LARGEST = 15, 120  # pixels of a sign
BORDER, BORDER_SHARE = 5.5, 0.1  # around a sign: so many pixels, or that fraction of it if more
GAMMA = 2.2
WHITE_PAINT = 238.0
LINEAR = ((np.arange(256) / 255) ** GAMMA).astype(np.float32)
cv2.setNumThreads(1)  # a process for each core works already


@dataclass(frozen=True)
class Place:
    """One physical sign, where it hangs, and the light on it; arrays in linear light, 0 to 1.

    Attributes:
        layers: The sign with its post, RGB times coverage, and coverage, at falling sizes.
        backdrops: What is behind it, likewise.
        outline: Points around the sign (n, 2), in half signs.
        white: How bright its white comes out, as a share of the sensor's range.
        behind: How bright the backdrop comes out, likewise.
        cast: The color of the light on sign and backdrop (3,).
        haze: Light that is added everywhere, as a share of `white`.
        yaw: From how far beside the road it is seen, in radians.
        pitch: From how far below, likewise.
        roll: How askew it hangs, likewise.
        motion: How much the car shakes, in half signs at the first frame.
        focus: How far out of focus it is, in pixels.
        grain: Noise of the sensor, in levels of 255 where the image is bright.
    """

    layers: tuple[np.ndarray, ...]
    backdrops: tuple[np.ndarray, ...]
    outline: np.ndarray
    white: float
    behind: float
    cast: np.ndarray
    haze: float
    yaw: float
    pitch: float
    roll: float
    motion: float
    focus: float
    grain: float


def sample_place(rng: np.random.Generator, number: int) -> Place:
    """Puts up a sign of a class somewhere."""
    layer = hang_sign(rng, age_sign(rng, draw_sign(number)))
    light = (_shade(rng) * layer[..., 3])[..., None]
    layer[..., :3] = LINEAR.take(layer[..., :3].astype(np.uint8)) * light
    backdrop = LINEAR.take(draw_backdrop(rng).astype(np.uint8))
    white = np.clip(np.exp(rng.normal(np.log(0.46), 0.62)), 0.1, 1.25)
    mean = (backdrop.mean() + 0.02) ** (1 / GAMMA)
    behind = np.exp(0.35 * np.log(white / 0.45) + rng.normal(np.log(0.25), 0.5)) / mean
    return Place(
        layers=_pyramid(layer),
        backdrops=_pyramid(backdrop),
        outline=outline(number),
        white=float(white),
        behind=float(behind),
        cast=_light_color(rng),
        haze=rng.uniform(0.0, 0.05) if rng.random() < 0.9 else rng.uniform(0.05, 0.3),
        yaw=rng.normal(0, 0.28),
        pitch=rng.normal(-0.08, 0.1),
        roll=rng.normal(0, 0.06),
        motion=float(rng.exponential(0.05)),
        focus=float(rng.gamma(2.2, 0.22)),
        grain=rng.uniform(0.8, 3.0),
    )


def _light_color(rng: np.random.Generator) -> np.ndarray:
    """Returns the color of the light: bluish in the shade, seldom warm, as the white is there."""
    blue = rng.uniform(-0.1, 0.4) if rng.random() < 0.8 else rng.uniform(-0.45, 0.5)
    green = rng.normal(0.0, 0.05)
    return np.exp(np.array((-blue, green, blue)) * 0.8).astype(np.float32)


def _shade(rng: np.random.Generator) -> np.ndarray:
    """Returns the fraction of light on each pixel of a layer: shadows of leaves or an edge."""
    kind = rng.random()
    if kind < 0.7:
        slope = rng.normal(0, 0.12, 2)
        grid = np.linspace(-1, 1, LAYER, dtype=np.float32)
        return np.clip(1 + slope[0] * grid[:, None] + slope[1] * grid[None], 0.3, 1.5)
    if kind < 0.86:
        dark = 1 / (1 + np.exp(-4 * noise(rng, LAYER, 9, 3) + rng.normal(0, 2)))
    else:
        angle, shift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
        grid = np.linspace(-1, 1, LAYER, dtype=np.float32)
        place = np.cos(angle) * grid[:, None] + np.sin(angle) * grid[None] - shift
        dark = 1 / (1 + np.exp(np.clip(-place * 40, -30, 30)))
    return (1 - rng.uniform(0.3, 0.8) * dark).astype(np.float32)


@lru_cache(maxsize=len(SIGNS))
def outline(number: int) -> np.ndarray:
    """Returns the corners of the smallest polygon around a sign, in half signs: (n, 2)."""
    rows, columns = np.nonzero(draw_sign(number)[..., 3] > 128)
    hull = cv2.convexHull(np.stack([columns, rows], 1).astype(np.int32))[:, 0]
    return (hull - (TEMPLATE - 1) / 2) / UNIT


def _pyramid(image: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns an image at full size, half, a quarter ... so that shrinking needs few pixels."""
    levels = [np.ascontiguousarray(image, np.float32)]
    while levels[-1].shape[0] > 40:
        side = levels[-1].shape[0] // 2
        levels.append(cv2.resize(levels[-1], (side, side), interpolation=cv2.INTER_AREA))
    return tuple(levels)


def take_track(rng: np.random.Generator, number: int, frames: int) -> Iterator[np.ndarray]:
    """Yields the frames of a track: uint8 (height, width, 3), RGB, growing.

    Args:
        rng: Of everything in the track.
        number: The class of the sign.
        frames: How many.
    """
    place = sample_place(rng, number)
    for size in sample_sizes(rng, frames):
        yield _expose(rng, place, size)


def sample_sizes(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Returns the size of a sign in each frame, in pixels, as a car comes nearer: (frames,)."""
    first = rng.uniform(SMALLEST, 22)
    last = np.clip(np.exp(rng.normal(np.log(58), 0.55)), first * 1.3, LARGEST)
    share = np.linspace(0, 1, frames) if frames > 1 else np.full(1, rng.random())
    return np.clip(first / (1 - share * (1 - first / last)), SMALLEST, LARGEST)


def _expose(rng: np.random.Generator, place: Place, size: float) -> np.ndarray:
    """Takes one frame in which the sign is `size` pixels large."""
    border = max(BORDER, BORDER_SHARE * size) + rng.uniform(-0.7, 0.7)
    matrix, (width, height) = _view(rng, place, size, border)
    finer = 2 if size < 60 else 1  # the far ones are drawn twice as large and averaged down
    light = _compose(rng, place, matrix, (width, height), finer, size)
    light = _blur(rng, light, place, size, finer)
    light = cv2.resize(light, (width, height), interpolation=cv2.INTER_AREA)
    gain = np.exp(rng.normal(0, 0.05))
    return _develop(rng, (light * gain + place.haze * place.white**GAMMA), place)


def _view(
    rng: np.random.Generator, place: Place, size: float, border: float
) -> tuple[np.ndarray, tuple[int, int]]:
    """Returns the map (3, 3) from half signs to pixels of the frame, and the frame's size."""
    yaw, pitch, roll = (
        angle + rng.normal(0, 0.025) for angle in (place.yaw, place.pitch, place.roll)
    )
    yaw *= 0.7 + 0.5 * size / LARGEST  # nearer, it is seen more from the side
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    turned = np.array([[cy, sy * sp, 0], [0, cp, 0], [-sy / 8, cy * sp / 8, 1]])
    matrix = turned @ np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    points = cv2.perspectiveTransform(place.outline[None].astype(np.float64), matrix)[0]
    low, high = points.min(0), points.max(0)
    scale = size / float(np.sqrt(np.prod(high - low)))
    width, height = (max(20, round(e * scale + 2 * border)) for e in high - low)
    jitter = rng.normal(0, 0.35, 2)
    shift = np.array((width, height)) / 2 - scale * (low + high) / 2 + jitter
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]]) @ matrix, (
        width,
        height,
    )


def _compose(rng, place: Place, matrix, shape: tuple[int, int], finer: int, size: float):
    """Returns the light that reaches the lens: float32 (height, width, 3), 1 is white."""
    shape = (shape[0] * finer, shape[1] * finer)
    level = _level(len(place.layers), UNIT * 2 / (size * finer))
    layer = place.layers[level]
    scale = len(place.layers[0]) / len(layer)
    to_units = np.array([[scale / UNIT, 0, -LAYER / 2 / UNIT], [0, scale / UNIT, -LAYER / 2 / UNIT],
                         [0, 0, 1]])  # fmt: skip
    whole = np.diag([finer, finer, 1.0]) @ matrix @ to_units
    sign = cv2.warpPerspective(layer, whole, shape, flags=cv2.INTER_LINEAR)
    behind = _behind(rng, place, shape, size)
    paint = (255 / WHITE_PAINT) ** GAMMA * place.white**GAMMA
    light = sign[..., :3] * paint + behind * place.behind**GAMMA * (1 - sign[..., 3:])
    return np.ascontiguousarray(light * place.cast)


def _behind(rng, place: Place, shape: tuple[int, int], size: float) -> np.ndarray:
    """Returns the backdrop's part that is seen: it is far away, and grows more slowly."""
    seen = np.clip(1.0 - 0.5 * size / LARGEST, 0.4, 1.0) * BACKDROP * 0.8  # of its pixels
    level = _level(len(place.backdrops), seen / max(shape))
    backdrop = place.backdrops[level]
    scale = len(backdrop) / BACKDROP
    start = (BACKDROP - seen) / 2 + rng.normal(0, 1.5, 2)
    step = seen / max(shape) * scale
    away = np.array([[step, 0, start[0] * scale], [0, step, start[1] * scale]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(backdrop, away, shape, flags=flags, borderMode=cv2.BORDER_REFLECT)


def _level(levels: int, shrink: float) -> int:
    """Returns the level of a pyramid that still has as many pixels as are wanted."""
    return int(np.clip(np.floor(np.log2(max(shrink, 1.0))), 0, levels - 1))


def _blur(rng, light: np.ndarray, place: Place, size: float, finer: int) -> np.ndarray:
    """Blurs by the lens and by the car's movement."""
    focus = place.focus * finer * np.exp(rng.normal(0, 0.15)) * (0.75 + 0.25 * size / 30)
    focus = max(focus, 0.5 * finer)  # no lens is sharper than its sensor
    light = cv2.GaussianBlur(light, (0, 0), focus, borderType=cv2.BORDER_REPLICATE)
    length = place.motion * np.exp(rng.normal(0, 0.4)) * size / 2 * finer
    if length > 1:
        side = int(length) * 2 + 3
        kernel = np.zeros((side, side), np.float32)
        way = rng.normal(0, 0.5) + (np.pi / 2 if rng.random() < 0.4 else 0)
        arm = np.array((np.cos(way), np.sin(way))) * length / 2
        middle = np.array((side // 2, side // 2))
        ends = [tuple(np.round((middle + s * arm) * 16).astype(int).tolist()) for s in (-1, 1)]
        cv2.line(kernel, *ends, 1.0, 1, cv2.LINE_AA, 4)
        light = cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    return light


def _develop(rng: np.random.Generator, light: np.ndarray, place: Place) -> np.ndarray:
    """Turns light into an image as a camera does that sees one color in each pixel.

    The missing two are guessed from the neighbors (demosaicing), which gives the colored edges of
    the real images; then noise, sharpening and whole numbers.
    """
    height, width = light.shape[:2]
    encoded = cv2.pow(np.clip(light, 0, 1), 1 / GAMMA)
    strength = place.grain / 255 * (0.35 + 0.65 * np.sqrt(encoded))
    encoded = encoded + strength * rng.standard_normal(light.shape, np.float32)
    raw = np.empty((height, width), np.float32)
    raw[0::2, 0::2] = encoded[0::2, 0::2, 0]
    raw[0::2, 1::2] = encoded[0::2, 1::2, 1]
    raw[1::2, 0::2] = encoded[1::2, 0::2, 1]
    raw[1::2, 1::2] = encoded[1::2, 1::2, 2]
    levels = (np.clip(raw, 0, 1) * 65535).astype(np.uint16)
    picture = cv2.demosaicing(levels, cv2.COLOR_BayerRGGB2RGB).astype(np.float32) / 257
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
    picture += (picture - soft) * np.float32(rng.uniform(0.2, 1.1))
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
