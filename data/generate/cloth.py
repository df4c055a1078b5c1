"""Textures and folds of cloth."""

from functools import lru_cache

import numpy as np
from scipy import ndimage

from data.generate.canvas import Surface, Texture
from data.generate.looks import Garment
from data.generate.palette import to_linear

SIZE = 512  # pixels of a fold map; larger than any image is wide, and tileable
DRAPE, BUNCH, KNIT, QUILT = range(4)


def nearest_zoom(zoom: float) -> float:
    """Returns the power of 2 that is nearest: a set of maps takes half a second to make."""
    return float(2 ** round(np.log2(zoom)))


@lru_cache(maxsize=16)
def fold_maps(zoom: float) -> np.ndarray:
    """Returns the slopes of four kinds of folds, (4, 2, 512, 512) float32, about unit strength.

    Args:
        zoom: pixels of the canvas per pixel of a 240 high image.
    """
    rng = np.random.default_rng(20)
    drape = _ridges(rng, (16 * zoom, 3.2 * zoom), zoom)
    # Cloth that is pulled folds along two slanted directions.
    bunch = np.maximum(*(_ridges(rng, (3.4 * zoom, 10 * zoom), zoom, s) for s in (-0.7, 0.5)))
    knit = _smooth(rng.normal(size=(SIZE, SIZE)), (1.4 * zoom, 1.4 * zoom))
    rows = np.arange(SIZE) / SIZE * 2 * np.pi
    rings = round(SIZE / (11 * zoom))
    quilt = np.abs(np.sin(rows * rings / 2))[:, None] * 6 + _ridges(rng, (2, 4), zoom) * 0.8
    return np.stack([_slopes(height, zoom) for height in (drape, bunch, knit, quilt)])


@lru_cache(maxsize=1)
def speckle() -> np.ndarray:
    """Returns tileable noise (512, 512) float32 of unit variance, for yarn and denim."""
    noise = _smooth(np.random.default_rng(21).normal(size=(SIZE, SIZE)), (0.8, 0.8))
    return (noise / noise.std()).astype(np.float32)


@lru_cache(maxsize=1)
def blotches() -> np.ndarray:
    """Returns tileable smooth noise (2, 512, 512) float32 of unit variance, for prints."""
    noise = np.random.default_rng(22).normal(size=(2, SIZE, SIZE))
    noise = _smooth(noise, (4.5, 4.5))
    return (noise / noise.std()).astype(np.float32)


def texture_of(garment: Garment) -> np.ndarray | Texture:
    """Returns the linear RGB (3,) or the texture of a garment."""
    colors = [to_linear(color) for color in garment.colors]
    rng = np.random.default_rng(garment.seed)
    period, shift = garment.period, int(rng.integers(SIZE // 2))
    if garment.pattern == "plain" and not garment.logo:
        return colors[0]
    if garment.pattern.startswith("ton "):  # a second tone of the same colour
        colors.append(colors[0] * (1.7 if colors[0].mean() < 0.3 else 0.62) + 0.012)
    if garment.pattern == "heather":
        return lambda surface: _columns(colors[0]) * (1 + 0.09 * patch(speckle(), surface, shift))
    if garment.pattern == "plain":
        return _with_logo(colors[0], rng)
    kind = garment.pattern.removeprefix("ton ")
    paint = {"stripes": _stripes, "checks": _checks, "blocks": _blocks, "print": _print}[kind]
    upright = bool(rng.random() < 0.3)
    return lambda surface: paint(surface, colors, period, upright, shift)


def patch(noise: np.ndarray, surface: Surface, shift: int = 0) -> np.ndarray:
    """Cuts the part of a noise map that lies under a surface, (..., h, w)."""
    rows, cols = surface.box
    size, step = noise.shape[-1], 2 / surface.zoom
    r = (np.arange(rows.start, rows.stop) * step).astype(int) + shift
    c = (np.arange(cols.start, cols.stop) * step).astype(int) + shift
    return noise[..., (r % size)[:, None], c % size]


def _columns(color: np.ndarray) -> np.ndarray:
    return color[:, None, None]


def _choose(masks: list[np.ndarray], colors: list[np.ndarray]) -> np.ndarray:
    out = np.broadcast_to(_columns(colors[0]), (3, *masks[0].shape)).copy()
    for mask, color in zip(masks, colors[1:]):
        np.copyto(out, _columns(color), where=mask)
    return out


def _stripes(surface: Surface, colors, period, upright, shift) -> np.ndarray:
    place = surface.across * 0.09 if upright else surface.along
    phase = (place / period) % 1
    masks = [phase < 0.5]
    if len(colors) > 2:
        masks.append(phase < 0.2)
    return _choose(masks, colors)


def _checks(surface: Surface, colors, period, upright, shift) -> np.ndarray:
    across = (surface.across * 0.1 / period) % 1 < 0.5
    along = (surface.along / period) % 1 < 0.5
    blend = (across.astype(np.float32) + along) / 2
    out = _columns(colors[0]) * (1 - blend) + _columns(colors[1]) * blend
    if len(colors) > 2:
        thin = ((surface.along / period) % 1 < 0.14) | ((surface.across * 0.1 / period) % 1 < 0.14)
        np.copyto(out, _columns(colors[2]), where=thin)
    return out


def _blocks(surface: Surface, colors, period, upright, shift) -> np.ndarray:
    masks = [surface.across > 0 if upright else surface.along > 0.09 + period]
    if len(colors) > 2:
        masks.append(np.abs(surface.along - 0.09 - period) < 0.02)
    return _choose(masks, colors)


def _print(surface: Surface, colors, period, upright, shift) -> np.ndarray:
    first, second = patch(blotches(), surface, shift)
    masks = [first > 0.1]
    if len(colors) > 2:
        masks.append(second > 0.8)
    return _choose(masks, colors)


def _with_logo(color: np.ndarray, rng: np.random.Generator) -> Texture:
    ink = np.full(3, 0.8 if color.mean() < 0.25 else 0.05) * rng.uniform(0.6, 1, 3)
    big = rng.random() < 0.5
    center, half = (0.0, 0.45) if big else (0.42, 0.13)
    top, tall = rng.uniform(0.08, 0.11), (0.06 if big else 0.018)
    cut = rng.uniform(-0.3, 0.6)

    def paint(surface: Surface) -> np.ndarray:
        inside = (np.abs(surface.across - center) < half) & surface.front
        inside &= (surface.along > top) & (surface.along < top + tall)
        inside &= patch(blotches(), surface)[0] * 0.8 + patch(speckle(), surface) * 0.5 > cut - 0.3
        return _choose([inside], [color, ink])

    return paint


def _smooth(noise: np.ndarray, sigma: tuple[float, float]) -> np.ndarray:
    """Blurs (..., n, n) with a Gaussian that wraps around, so that the result can be tiled."""
    down, across = np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None]
    gain = np.exp(-2 * np.pi**2 * ((down * sigma[0]) ** 2 + (across * sigma[1]) ** 2))
    return np.fft.irfft2(np.fft.rfft2(noise) * gain, s=(SIZE, SIZE))


def _ridges(
    rng: np.random.Generator, sigma: tuple[float, float], zoom: float, slant: float = 0.0
) -> np.ndarray:
    noise = _smooth(rng.normal(size=(SIZE, SIZE)), sigma)
    noise = noise / noise.std()
    warp = _smooth(rng.normal(size=(2, SIZE, SIZE)), (9 * zoom, 9 * zoom))
    warp *= 7 * zoom / warp.std()
    rows, cols = np.mgrid[:SIZE, :SIZE]
    place = np.stack([rows + slant * cols, cols]) + warp
    bent = ndimage.map_coordinates(noise, place, order=1, mode="grid-wrap")
    # Folds are sharp where cloth doubles and flat between.
    return 2.2 - np.abs(bent) ** 0.8 * 1.6


def _slopes(height: np.ndarray, zoom: float) -> np.ndarray:
    height = _smooth(height, (1.2 * zoom, 1.2 * zoom))
    dy = np.roll(height, -1, 0) - np.roll(height, 1, 0)
    dx = np.roll(height, -1, 1) - np.roll(height, 1, 1)
    strength = np.sqrt((dx**2 + dy**2).mean()) + 1e-9
    slopes = np.stack([-dx, dy]) / strength
    return np.clip(slopes, -2.2, 2.2).astype(np.float32)
