"""Draws boxes onto images, with a card for each person beside them, in the color of its box."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from helpers import plots

SURE, LIKELY = 0.8, 0.5  # from which probability on a bar is blue, or orange; else it is gray
# Distinguishable for color-blind readers too (Okabe and Ito 2008).
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
PAPER, TRACK = "#FFFFFF", "#E8E8E8"
CARD, ROW, HEAD, GAP = 330, 15, 22, 8  # pixels: width, height of a task, of the title, between
MOST_ROW = 26  # height of a task where there is room
THUMB = 62  # width of the small image
LEAST_CARD = 108  # height, so that the small image fits
BEST = 1280  # width to which images are resized
MARGIN = 6  # between the images of a sheet

_font = lru_cache(maxsize=8)(ImageFont.load_default)


@dataclass(frozen=True)
class Person:
    """A detected person and the predicted attributes."""

    box: np.ndarray  # (4,) ymin, xmin, ymax, xmax in pixels of the image
    normalized: np.ndarray  # the same as fractions of height and width
    score: float  # of the detector
    attributes: dict[str, dict[str, float]]  # task to (class to probability), the best first
    crop: np.ndarray  # uint8 (height, width, 3), what the attribute network saw


def with_boxes(
    image: np.ndarray | Image.Image,
    boxes: np.ndarray,
    captions: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
) -> Image.Image:
    """Returns a copy of an RGB image, or (height, width, 3) from 0 to 255, with boxes on it.

    Boxes are (n, 4) ymin, xmin, ymax, xmax in pixels; captions are their numbers where None,
    and an empty one is not drawn.
    """
    if not isinstance(image, Image.Image):
        image = Image.fromarray(np.asarray(image, np.uint8))
    image = image.convert("RGB")
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    captions = captions or [str(number) for number in range(1, len(boxes) + 1)]
    colors = colors or [COLORS[i % len(COLORS)] for i in range(len(boxes))]
    pen, size = ImageDraw.Draw(image), max(11, image.height // 42)
    edge = max(2, image.height // 240)
    for (ymin, xmin, ymax, xmax), color in zip(boxes.tolist(), colors):
        pen.rectangle((xmin, ymin, max(xmax, xmin), max(ymax, ymin)), outline=color, width=edge)
    for (ymin, xmin, _, _), caption, color in zip(boxes, captions, colors):  # over all boxes
        if caption:
            corner = min(max(xmin, 0), image.width - 4 * size), max(ymin - 1.35 * size, 0)
            left, top, right, bottom = pen.textbbox(corner, caption, _font(size))
            pen.rectangle((left - 3, top - 2, right + 3, bottom + 2), fill=color)
            pen.text(corner, caption, _ink_on(color), _font(size))
    return image


def _ink_on(color: str) -> str:
    red, green, blue = ImageColor.getrgb(color)
    return plots.INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else PAPER


def draw_people(image: Image.Image, people: Sequence[Person]) -> Image.Image:
    """Returns the image with boxes, and beside it the cards in columns."""
    scale = BEST / image.width
    shown = image.resize((BEST, max(1, round(image.height * scale))), Image.Resampling.BILINEAR)
    captions = [f"{i} {one.score:.2f}" for i, one in enumerate(people, 1)]
    boxes = np.array([one.box for one in people]).reshape(-1, 4) * scale
    shown = with_boxes(shown, boxes, captions)
    tasks = max((len(one.attributes) for one in people), default=0)
    tall = max(HEAD + tasks * ROW + GAP, LEAST_CARD)
    rows = max(1, shown.height // (tall + GAP))
    columns, height = -(-len(people) // rows), max(shown.height, rows * (tall + GAP))
    canvas = Image.new("RGB", (BEST + columns * (CARD + GAP), height), PAPER)
    canvas.paste(shown, (0, 0))
    for number, one in enumerate(people):
        corner = BEST + GAP + number // rows * (CARD + GAP), number % rows * (tall + GAP)
        canvas.paste(_draw_card(number, one, tall), corner)
    return canvas


def _draw_card(number: int, one: Person, tall: int) -> Image.Image:
    card = Image.new("RGB", (CARD, tall), PAPER)
    pen, color = ImageDraw.Draw(card), COLORS[number % len(COLORS)]
    pen.rectangle((0, 0, CARD, HEAD - 3), fill=color)
    pen.text((6, 2), f"person {number + 1}", _ink_on(color), _font(13))
    pen.text((CARD - 84, 2), f"score {one.score:.2f}", _ink_on(color), _font(13))
    high = tall - HEAD - 2
    crop = Image.fromarray(one.crop)
    wide = min(THUMB, round(high * crop.width / crop.height))
    card.paste(crop.resize((wide, round(wide * crop.height / crop.width))), (0, HEAD))
    step = min(MOST_ROW, max(ROW, (high - GAP) // max(1, len(one.attributes))))
    for row, (task, classes) in enumerate(one.attributes.items()):
        _draw_prediction(pen, task, classes, wide + 10, HEAD + 2 + row * step)
    pen.rectangle((0, 0, CARD - 1, tall - 1), outline=color)
    return card


def _draw_prediction(
    pen: ImageDraw.ImageDraw, task: str, classes: Mapping[str, float], x: int, y: int
) -> None:
    name, probability = next(iter(classes.items()))
    pen.text((x, y), task.replace("_", " ")[:13], plots.GRAY, _font(11))
    start, right = x + 84, CARD - 32
    if name in plots.PAINT:
        pen.rectangle((start, y + 2, start + 9, y + 11), fill=plots.PAINT[name], outline=plots.GRAY)
    offset = 13 if name in plots.PAINT else 0
    pen.text((start + offset, y), name[: 17 if offset else 19], plots.INK, _font(11))
    unsure = plots.ORANGE if probability >= LIKELY else plots.GRAY
    color = plots.BLUE if probability >= SURE else unsure
    pen.rectangle((right - 30, y + 4, right, y + 10), fill=TRACK)
    pen.rectangle((right - 30, y + 4, right - 30 + 30 * probability, y + 10), fill=color)
    pen.text((right + 4, y), f"{100 * probability:.0f}%", plots.INK, _font(10))


def sheet(images: Sequence[Image.Image], columns: int = 3, width: int = 1100) -> Image.Image:
    """Lays images out in rows, each as wide as the sheet allows."""
    wide = (width - MARGIN * (columns - 1)) // columns
    small = [one.resize((wide, round(one.height * wide / one.width))) for one in images]
    rows = [small[i : i + columns] for i in range(0, len(small), columns)]
    tops = np.cumsum([0] + [max(one.height for one in row) + MARGIN for row in rows]).tolist()
    whole = Image.new("RGB", (width, tops[-1] - MARGIN), "white")
    for number, one in enumerate(small):
        whole.paste(one, (number % columns * (wide + MARGIN), tops[number // columns]))
    return whole
