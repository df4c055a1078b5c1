"""The figures of the detection notebooks, in the workshop's style."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from helpers.detection.config import LOSSES
from helpers.detection.drawing import draw_boxes
from helpers.plots import BLUE, GREEN, ORANGE, PURPLE, STYLE, WIDTH, NotebookFigure

MARGIN = 6  # pixels between the pictures of a sheet


def training_curves(log: pd.DataFrame) -> Figure:
    """Draws the four losses and, where there are any, the scores at each checkpoint.

    Args:
        log: of a `DetectionRun`.
    """
    with rc_context(STYLE):
        figure = NotebookFigure(figsize=(WIDTH, 3.2), layout="constrained")
        losses, scores = figure.subplots(1, 2)
        for name, color in zip(LOSSES, (BLUE, ORANGE, GREEN, PURPLE)):
            losses.plot(log["step"], log[name], "o-", color=color, label=name.replace("_", " "))
        losses.set_title("losses on training pictures")
        for name, color in (("AP50", BLUE), ("AP", ORANGE), ("AP75", GREEN)):
            if name in log:
                scores.plot(log["step"], log[name], "o-", color=color, label=name)
        scores.set_ylim(0, 1)
        scores.set_title("scores on unseen pictures")
        for axes in (losses, scores):
            axes.set_xlabel("step")
            axes.grid(axis="y")
            axes.legend(loc="best")
    return figure


def sheet(pictures: Sequence[Image.Image], columns: int = 3, width: int = 1100) -> Image.Image:
    """Lays pictures out in rows, each as wide as the sheet allows."""
    wide = (width - MARGIN * (columns - 1)) // columns
    small = [one.resize((wide, round(one.height * wide / one.width))) for one in pictures]
    rows = [small[i : i + columns] for i in range(0, len(small), columns)]
    tall = [max(one.height for one in row) for row in rows]
    whole = Image.new("RGB", (width, sum(tall) + MARGIN * (len(rows) - 1)), "white")
    top = 0
    for row, height in zip(rows, tall):
        for number, one in enumerate(row):
            whole.paste(one, (number * (wide + MARGIN), top))
        top += height + MARGIN
    return whole


def with_boxes(
    picture: np.ndarray | Image.Image, boxes: np.ndarray, captions: Sequence[str] | None = None
) -> Image.Image:
    """Returns a picture with its boxes (n, 4), ymin, xmin, ymax, xmax in its pixels."""
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(np.asarray(picture, np.uint8))
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    if captions is None:
        captions = [str(number) for number in range(1, len(boxes) + 1)]
    return draw_boxes(picture, boxes, captions)
