"""From a person and a place to a picture: light, shadow, occlusion, and the camera's faults."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data.generate import scenes
from data.generate.looks import Look, View, sample_look, sample_view
from data.generate.render import Framing, Light, render_person

PASSERS = 28  # figures that walk behind, drawn once in every process
# quality: (reduction, blur, motion, noise, JPEG quality), each a range; reduction 2 halves detail
FAULTS = {
    "Good": ((1.0, 1.3), (0.0, 0.3), (0.0, 0.1), (0.6, 2.0), (86, 95)),
    "Average": ((1.3, 2.0), (0.3, 0.7), (0.0, 0.7), (1.5, 5.0), (58, 82)),
    "Bad": ((2.5, 3.8), (0.7, 1.5), (0.0, 2.4), (3.0, 10.0), (20, 42)),
}
SOFT = 0.5  # blur in pixels from which no edge looks stepped
LINEAR = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)


def take_picture(look: Look, view: View, height: int, width: int) -> bytes:
    """Returns the JPEG bytes of one image of a person."""
    rng = np.random.default_rng(view.seed)
    camera = scenes.cameras()[view.camera]
    faults = [rng.uniform(*limits) for limits in FAULTS[view.truth["imagequality"]]]
    # A sensor with fewer pixels: everything is drawn at its size and enlarged at the end.
    tall, wide = (max(8, round(side / faults[0])) for side in (height, width))
    light = sample_light(rng, camera)
    framing = _frame(rng, view, camera)
    place = _background(rng, camera, light, tall, wide)
    step = 2 if faults[1] < SOFT else 1  # blur makes edges soft as well, and is cheaper
    figure, alpha = render_person(look, view, light, framing, tall, wide, step)
    place = ground_shadow(place, alpha, light, framing)
    picture = place * (1 - alpha) + figure
    picture = light_pools(rng, picture, light)
    picture = _front_objects(rng, picture, view, tall, wide)
    encoded = expose(rng, picture, camera)
    return degrade(rng, encoded, camera, faults, (width, height))


def sample_light(rng: np.random.Generator, camera: scenes.Camera) -> Light:
    """Draws the light of a moment: the sun's direction and strength, and the sky's."""
    angle, up = rng.uniform(-1.3, 1.3), rng.uniform(0.35, 1.1)
    direction = np.array([np.sin(angle) * np.cos(up), np.sin(up), np.cos(angle) * np.cos(up)])
    warm = rng.uniform(0, 1)
    color = np.array([1.0, 0.95 - 0.1 * warm, 0.88 - 0.26 * warm])
    if rng.random() < camera.sunny:
        strength, sky = rng.uniform(0.75, 1.15), rng.uniform(0.3, 0.5)
    else:
        strength, sky = rng.uniform(0.08, 0.4), rng.uniform(0.62, 0.85)
    return Light(direction, (color * strength).astype(np.float32),
                 (np.array([0.94, 0.98, 1.06]) * sky).astype(np.float32))  # fmt: skip


def _frame(rng: np.random.Generator, view: View, camera: scenes.Camera) -> Framing:
    foot = rng.uniform(0.94, 0.975)
    head = foot - view.fill
    if view.hide_feet == "frame":
        foot, head = rng.uniform(1.03, 1.16), rng.uniform(0.03, 0.08)
    return Framing(view.shift, foot, max(head, 0.02), camera.pitch, camera.closeness)


def _background(rng, camera: scenes.Camera, light: Light, height: int, width: int) -> np.ndarray:
    """Returns the lit place (3, height, width) in linear light, out of focus, with passers-by."""
    zoom = rng.uniform(0.75, 1.0)
    tall, wide = 240 * zoom, 240 * zoom * width / height
    left = rng.uniform(0, max(1.0, scenes.WIDTH - wide))
    top = rng.uniform(0, max(1.0, min(scenes.HEIGHT - tall, camera.base)))
    box = (left, top, min(left + wide, scenes.WIDTH), min(top + tall, scenes.HEIGHT))
    image = camera.scene.resize((width, height), Image.Resampling.BILINEAR, box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for _ in range(rng.choice(3, p=(0.6, 0.28, 0.12))):
        _add_passer(rng, image, rng.uniform(0.5, 0.88))
    image = image.filter(ImageFilter.BoxBlur(rng.uniform(0.4, 1.8) * height / 240))
    linear = LINEAR.take(np.asarray(image).transpose(2, 0, 1))
    level = light.sky + light.sun * max(0.3, light.direction[1])
    return linear * level[:, None, None].astype(np.float32)


def _add_passer(rng: np.random.Generator, image: Image.Image, share: float) -> None:
    figure = passers()[rng.integers(PASSERS)]
    tall = int(image.height * share)
    figure = figure.resize((max(1, int(tall * 0.56)), tall), Image.Resampling.BILINEAR)
    x = int(rng.uniform(-0.55, 1.0) * image.width)
    foot = image.height * (0.5 + 0.42 * share)
    image.paste(figure, (x, int(foot - tall)), figure)


@lru_cache(maxsize=1)
def passers() -> tuple[Image.Image, ...]:
    """Draws other people, RGBA, to walk behind and in front of those of the dataset."""
    figures = []
    for number in range(PASSERS):
        rng = np.random.default_rng((2_000, number))
        look = sample_look(rng)
        view = sample_view(rng, look)
        light = Light(np.array([0.3, 0.8, 0.5]), np.full(3, 0.25), np.full(3, 0.72))
        rgb, alpha = render_person(look, view, light, Framing(0, 0.98, 0.02, 0.1, 0.03), 180, 100)
        straight = rgb / np.maximum(alpha, 1e-3)
        plane = np.concatenate([np.clip(straight, 0, 1) ** (1 / 2.2), alpha[None]]) * 255
        figures.append(Image.fromarray(plane.transpose(1, 2, 0).astype(np.uint8)))
    return tuple(figures)


def ground_shadow(place: np.ndarray, alpha: np.ndarray, light: Light, framing: Framing):
    """Darkens the ground below the feet, and where the person stands in the sun's way."""
    height, width = alpha.shape
    foot = (framing.foot_y - 0.012) * height
    x, y, z = light.direction
    squash = -0.28 * z / max(y, 0.3) - 0.06  # the sun before the person throws the shadow behind
    squash = -squash if squash < 0 else squash
    slide = -x / max(y, 0.3) * 0.9
    mask = Image.fromarray((alpha * 255).astype(np.uint8))
    # image (x, y) looks up the silhouette at height (foot - y) / squash
    flat = mask.transform(mask.size, Image.Transform.AFFINE,
                          (1, slide / squash, -slide / squash * foot, 0, 1 / squash,
                           foot - foot / squash), Image.Resampling.BILINEAR)  # fmt: skip
    flat = np.asarray(flat.filter(ImageFilter.BoxBlur(1.4 * height / 240)), np.float32) / 255
    sun = float(light.sun.mean() / (light.sun.mean() + light.sky.mean()))
    feet = width / 2 + framing.foot_x * height
    across = np.exp(-(((np.arange(width, dtype=np.float32) - feet) / (0.11 * height)) ** 2))
    down = np.exp(-(((np.arange(height, dtype=np.float32) - foot) / (0.022 * height)) ** 2))
    soft = down[:, None] * across
    return place * (1 - 0.85 * sun * flat) * (1 - 0.65 * soft)


def light_pools(rng: np.random.Generator, picture: np.ndarray, light: Light) -> np.ndarray:
    """Lays the shadow of a building, or of leaves, over person and place alike."""
    if light.sun.mean() < 0.5 or rng.random() < 0.6:
        return picture
    height, width = picture.shape[1:]
    if rng.random() < 0.5:
        angle, edge = rng.uniform(0, 2 * np.pi), rng.uniform(-0.25, 0.25) * height
        rows, cols = np.mgrid[:height, :width].astype(np.float32)
        place = (cols - width / 2) * np.cos(angle) + (rows - height / 2) * np.sin(angle) - edge
        shade = 1 / (1 + np.exp(np.clip(-place / (0.02 * height), -30, 30)))
    else:
        small = rng.random((max(2, height // 16), max(2, width // 16)), np.float32)
        leaves = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        shade = np.clip((np.asarray(leaves) - 0.4) * 5, 0, 1)
    return picture * (1 - 0.55 * shade)


def _front_objects(rng, picture: np.ndarray, view: View, height: int, width: int) -> np.ndarray:
    """Puts things between the camera and the person: what hides feet, and now and then a side."""
    layer = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    if view.hide_feet not in ("none", "frame"):
        _hide_feet(rng, layer, pen, view.hide_feet)
    elif rng.random() < 0.05:
        tone, wide = int(rng.integers(30, 120)), rng.uniform(0.05, 0.14) * width
        x = rng.choice((rng.uniform(-0.02, 0.12), rng.uniform(0.8, 0.95))) * width
        pen.rectangle((x, 0, x + wide, height), (tone, tone, tone + 5, 255))
        pen.rectangle((x + wide * 0.6, 0, x + wide, height), (tone // 2, tone // 2, tone // 2, 255))
    elif rng.random() < 0.05:
        figure = passers()[rng.integers(PASSERS)]
        figure = figure.resize((int(height * 0.62), int(height * 1.1)), Image.Resampling.BILINEAR)
        side = rng.choice((-0.50, 0.24))
        layer.paste(figure, (int(side * height), int(height * rng.uniform(0.1, 0.3))), figure)
    else:
        return picture
    layer = layer.filter(ImageFilter.BoxBlur(0.8 * height / 240))
    data = np.asarray(layer)
    alpha = data[..., 3].astype(np.float32) / 255
    return picture * (1 - alpha) + LINEAR[data[..., :3]].transpose(2, 0, 1) * 0.8 * alpha


def _hide_feet(rng: np.random.Generator, layer: Image.Image, pen, kind: str) -> None:
    width, height = layer.size
    top = int(height * rng.uniform(0.8, 0.88))
    tone = np.asarray(rng.integers(60, 170)) + rng.integers(-14, 14, 3)
    if kind == "car":
        long = int(height * 1.5)
        start = int(rng.uniform(-0.9, -0.3) * height)
        scenes.draw_car(rng, pen, start, int(top + long * 0.205), long)
    elif kind == "bench":
        wood = tuple(int(c) for c in (120, 84, 52) * rng.uniform(0.7, 1.2, 1))
        for row in range(top, height, max(7, height // 22)):
            pen.rectangle((0, row, width, row + height // 30), (*wood, 255))
        pen.rectangle((0, top + height // 9, width, height), (36, 34, 34, 255))
    else:
        tone = np.array((62, 84, 44)) if kind == "hedge" else tone
        grain = scenes.noise(rng, (height - top, width), 1.0, 2.5)[..., None]
        strength = 20 if kind == "hedge" else 5
        block = np.clip(tone + grain * strength, 0, 255).astype(np.uint8)
        layer.paste(Image.fromarray(block), (0, top))
        if kind == "wall":
            light = tuple(int(min(255, c * 1.25)) for c in tone)
            pen.rectangle((0, top, width, top + height // 40), (*light, 255))


def expose(rng: np.random.Generator, picture: np.ndarray, camera: scenes.Camera) -> np.ndarray:
    """Returns the image as a camera encodes it: (height, width, 3), 0..255 float32."""
    gain = np.exp(rng.normal(0.34, 0.16))
    if rng.random() < 0.06:
        gain *= rng.choice((0.5, 1.8))  # a backlit or an overexposed image
    cast = camera.cast * np.exp(rng.normal(0, 0.03, 3)) * gain
    curve = _response(rng.uniform(0.0, 0.02), camera.contrast * rng.uniform(0.92, 1.08))
    levels = picture * (cast * 2047).astype(np.float32)[:, None, None]
    encoded = curve.take(levels.astype(np.int32), mode="clip")
    grey = encoded.mean(0)
    encoded = grey + (encoded - grey) * camera.saturation
    encoded *= 1 - camera.vignette * 0.5 * _corners(*grey.shape)
    return encoded.transpose(1, 2, 0)


def _response(lift: float, contrast: float) -> np.ndarray:
    """Returns what a camera makes of linear light 0..2 in 4096 steps: 0..255 float32.

    Args:
        lift: haze and flare, added to the light.
        contrast: 1 for the plain 2.2 power.
    """
    light = np.linspace(0, 2, 4096) + lift
    light = np.where(light > 0.8, 0.8 + 0.2 * np.tanh((light - 0.8) / 0.3), light)
    encoded = np.clip(light, 0, 1) ** (1 / 2.2)
    return (((encoded - 0.45) * contrast + 0.45) * 255).astype(np.float32)


@lru_cache(maxsize=256)
def _corners(height: int, width: int) -> np.ndarray:
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    return x * x + y * y


@lru_cache(maxsize=1)
def _grain() -> np.ndarray:
    """Returns sensor noise (512, 512, 3), a part of it common to the channels."""
    rng = np.random.default_rng(3_000)
    noise = rng.standard_normal((512, 512, 3), np.float32) * 0.6
    return noise + rng.standard_normal((512, 512, 1), np.float32) * 0.8


def degrade(rng: np.random.Generator, encoded: np.ndarray, camera, faults: list, size) -> bytes:
    """Loses detail as a camera of that quality does, enlarges to `size`, and writes a JPEG."""
    shrink, blur, motion, grain, jpeg = faults
    zoom = encoded.shape[0] / 240
    if motion * zoom > 0.5:
        encoded = _smear(encoded, rng, motion * zoom)
    if blur > 0.15:
        image = Image.fromarray(np.clip(encoded, 0, 255).astype(np.uint8))
        encoded = np.asarray(image.filter(ImageFilter.BoxBlur(blur * 1.4 * zoom)), np.float32)
    height, width = encoded.shape[:2]
    row, col = (int(n) for n in rng.integers(0, 512, 2))
    noise = _grain().take(np.arange(row, row + height), 0, mode="wrap")
    noise = noise.take(np.arange(col, col + width), 1, mode="wrap")
    noise *= (1.25 - encoded / 255) * grain
    encoded = encoded + noise
    image = Image.fromarray(np.clip(encoded, 0, 255).astype(np.uint8))
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    if camera.interlaced and shrink > 1.2:
        image = _comb(image, 1 + int(motion > 1))
    if camera.halo > 0.3:
        soft = image.filter(ImageFilter.BoxBlur(2 * size[1] / 240))
        image = Image.blend(soft, image, 1 + 0.9 * camera.halo)  # beyond 1 it sharpens
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(jpeg))
    return buffer.getvalue()


def _smear(encoded: np.ndarray, rng: np.random.Generator, length: float) -> np.ndarray:
    """Blurs along the direction in which the person or the camera moved."""
    dx, dy = length, length * rng.uniform(-0.4, 0.4)
    steps = [np.roll(encoded, (round(dy * t), round(dx * t)), (0, 1)) for t in (-1, -0.5, 0.5, 1)]
    return (encoded + sum(steps)) / 5


def _comb(image: Image.Image, step: int) -> Image.Image:
    """Shifts every second line, as interlaced video does when something moves."""
    data = np.array(image)
    data[::2, step:] = data[::2, :-step]
    return Image.fromarray(data)
