"""Draws boxes onto a picture, and beside it a card for each person.

A person's color joins box, number and card. A bar says how sure an answer is, by length and by
color: blue from `SURE` on, orange from `LIKELY` on, grey below. A small square shows a named
color itself.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from helpers.detection.people import Person
from helpers.plots.style import BLUE, GRAY, INK, ORANGE, PAINT, RAINBOW

SURE, LIKELY = 0.8, 0.5  # probabilities from which on an answer is called so
# Told apart by color-blind readers too (Okabe and Ito 2008).
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
PAPER, TRACK = "#FFFFFF", "#E8E8E8"
CARD, ROW, HEAD, GAP = 330, 15, 22, 8  # pixels: width, height of a task, of the title, between
MOST_ROW = 26  # height of a task where a card has room
THUMB = 62  # width of the small picture
LEAST_CARD = 108  # height: the small picture needs it
LEGEND = 22
BEST = 1280  # width to which a smaller picture is enlarged, or a larger one made smaller


def color_of(number: int) -> str:
    """Returns the color of a person, counted from 0."""
    return COLORS[number % len(COLORS)]


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.ImageFont:
    return ImageFont.load_default(size)


def draw_boxes(
    picture: Image.Image,
    boxes: np.ndarray,
    captions: Sequence[str],
    colors: Sequence[str] | None = None,
) -> Image.Image:
    """Returns a copy of the picture with boxes and a caption on each.

    Args:
        picture: RGB.
        boxes: (n, 4) ymin, xmin, ymax, xmax in pixels.
        captions: of each.
        colors: of each; those of persons in turn where None.
    """
    picture = picture.convert("RGB")
    pen, size = ImageDraw.Draw(picture), max(11, picture.height // 42)
    edge = max(2, picture.height // 240)
    colors = colors or [color_of(i) for i in range(len(boxes))]
    for box, color in zip(boxes, colors):
        ymin, xmin, ymax, xmax = (float(e) for e in box)
        pen.rectangle((xmin, ymin, max(xmax, xmin), max(ymax, ymin)), outline=color, width=edge)
    taken: list[tuple[float, float, float, float]] = []
    for box, caption, color in zip(boxes, captions, colors):  # over all boxes
        wide, high = pen.textlength(caption, _font(size)) + size * 0.6, 1.35 * size
        place = caption_place(box, (wide, high), picture.size, taken)
        taken.append(place)
        pen.rectangle(place, fill=color)
        pen.text(
            (place[0] + size * 0.3, place[1] + 0.1 * size), caption, _ink_on(color), _font(size)
        )
    return picture


def caption_place(
    box: np.ndarray,
    caption: tuple[float, float],
    picture: tuple[int, int],
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float, float, float]:
    """Finds a place for the caption of a box that no other caption has.

    Args:
        box: (4,) ymin, xmin, ymax, xmax in pixels.
        caption: its width and height.
        picture: width and height.
        taken: xmin, ymin, xmax, ymax of each caption so far.

    Returns:
        xmin, ymin, xmax, ymax: above the box where that is free, else at its other corners.
    """
    ymin, xmin, ymax, xmax = (float(edge) for edge in box)
    wide, high = caption
    rows, columns = (ymin - high, ymin, ymax - high, ymax), (xmin, xmax - wide)
    places = []
    for x, y in ((x, y) for y in rows for x in columns):
        x = min(max(x, 0), max(picture[0] - wide, 0))
        y = min(max(y, 0), max(picture[1] - high, 0))
        places.append((x, y, x + wide, y + high))
    return next((p for p in places if not any(_overlap(p, other) for other in taken)), places[0])


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _ink_on(color: str) -> str:
    red, green, blue = ImageColor.getrgb(color)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else PAPER


def draw_people(picture: Image.Image, people: Sequence[Person]) -> Image.Image:
    """Returns the picture with boxes, and beside it the cards in columns."""
    scale = BEST / picture.width
    shown = picture.resize((BEST, max(1, round(picture.height * scale))), Image.Resampling.BILINEAR)
    captions = [f"{i} {one.score:.2f}" for i, one in enumerate(people, 1)]
    boxes = np.array([one.box for one in people]).reshape(-1, 4) * scale
    shown = draw_boxes(shown, boxes, captions)
    tasks = max((len(one.attributes) for one in people), default=0)
    tall = max(HEAD + tasks * ROW + GAP, LEAST_CARD)
    rows = max(1, (shown.height - LEGEND) // (tall + GAP))
    columns = -(-len(people) // rows)
    height = max(shown.height, rows * (tall + GAP) + LEGEND)
    canvas = Image.new("RGB", (BEST + columns * (CARD + GAP), height), PAPER)
    canvas.paste(shown, (0, 0))
    for number, one in enumerate(people):
        corner = BEST + GAP + number // rows * (CARD + GAP), number % rows * (tall + GAP)
        canvas.paste(draw_card(number, one, tall), corner)
    if people:
        _draw_legend(ImageDraw.Draw(canvas), BEST + GAP, height - LEGEND)
    return canvas


def draw_card(number: int, one: Person, tall: int) -> Image.Image:
    """Draws what is known of a person: small picture, and a bar for each task."""
    card = Image.new("RGB", (CARD, tall), PAPER)
    pen, color = ImageDraw.Draw(card), color_of(number)
    pen.rectangle((0, 0, CARD, HEAD - 3), fill=color)
    pen.text((6, 2), f"person {number + 1}", _ink_on(color), _font(13))
    pen.text((CARD - 84, 2), f"score {one.score:.2f}", _ink_on(color), _font(13))
    high = tall - HEAD - 2
    crop = Image.fromarray(one.crop)
    wide = min(THUMB, round(high * crop.width / crop.height))
    card.paste(crop.resize((wide, round(wide * crop.height / crop.width))), (0, HEAD))
    step = min(MOST_ROW, max(ROW, (high - GAP) // max(1, len(one.attributes))))
    for row, (task, classes) in enumerate(one.attributes.items()):
        _draw_answer(pen, task, classes, wide + 10, HEAD + 2 + row * step)
    pen.rectangle((0, 0, CARD - 1, tall - 1), outline=color)
    return card


def _draw_answer(
    pen: ImageDraw.ImageDraw, task: str, classes: Mapping[str, float], x: int, y: int
) -> None:
    name, probability = next(iter(classes.items()))
    pen.text((x, y), task.replace("_", " ")[:13], GRAY, _font(11))
    start = x + 84
    _draw_swatch(pen, name, start, y + 2)
    offset = 13 if name in PAINT or name == RAINBOW else 0
    pen.text((start + offset, y), name[: 17 if offset else 19], INK, _font(11))
    left, right = CARD - 62, CARD - 32
    pen.rectangle((left, y + 4, right, y + 10), fill=TRACK)
    pen.rectangle((left, y + 4, left + (right - left) * probability, y + 10), _sure(probability))
    pen.text((right + 4, y), f"{100 * probability:.0f}%", INK, _font(10))


def _sure(probability: float) -> str:
    return BLUE if probability >= SURE else ORANGE if probability >= LIKELY else GRAY


def _draw_swatch(pen: ImageDraw.ImageDraw, name: str, x: int, y: int) -> None:
    if name in PAINT:
        pen.rectangle((x, y, x + 9, y + 9), fill=PAINT[name], outline=GRAY)
    elif name == RAINBOW:
        for i, part in enumerate(("red", "yellow", "blue")):
            pen.rectangle((x + 3 * i, y, x + 3 * i + 3, y + 9), fill=PAINT[part])


def _draw_legend(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    parts = [
        (f"sure ({SURE:.0%} or more)", BLUE),
        (f"likely ({LIKELY:.0%})", ORANGE),
        ("a guess", GRAY),
    ]
    for text, color in parts:
        pen.rectangle((x, y + 6, x + 10, y + 14), fill=color)
        pen.text((x + 14, y + 3), text, INK, _font(11))
        x += 26 + int(pen.textlength(text, _font(11)))
