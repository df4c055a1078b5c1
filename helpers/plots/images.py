"""Images side by side."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import helpers.plots.style as style
from helpers.manifest import decode, open_image
from helpers.plots.panels import new_figure

ImageLike = np.ndarray | str | Path  # uint8 (height, width, 3), or the path of an image


def read_image(image: ImageLike) -> np.ndarray:
    """Returns an image as uint8 (height, width, 3), upright."""
    if isinstance(image, np.ndarray):
        array = np.clip(image, 0, 255).astype(np.uint8)
        return np.stack([array] * 3, axis=-1) if array.ndim == 2 else array[..., :3]
    return decode(*open_image(image))


def show_image(axes: Axes, array: np.ndarray, right: bool | None = None) -> None:
    """Shows an image, in a frame that says right or wrong where that is known."""
    axes.imshow(array)
    axes.set(xticks=[], yticks=[])
    axes.axis("on")
    axes.spines[:].set_visible(right is not None)
    if right is not None:
        axes.spines[:].set(color=style.GREEN if right else style.RED, linewidth=2 if right else 4)


@style.styled
def image_grid(
    images: Sequence[ImageLike],
    titles: Sequence[str] | None = None,
    columns: int = 8,
    right: Sequence[bool | None] | None = None,
) -> Figure:
    """Draws images side by side, each with a short title of one line or several.

    Of `right`, True draws a thin green frame, False a thick red one, None no frame.
    """
    if not len(images):
        figure = new_figure(0.5, 3)
        figure.text(0.5, 0.5, "no images", ha="center", va="center")
        return figure
    arrays = [read_image(image) for image in images]
    titles = [""] * len(arrays) if titles is None else titles
    right = [None] * len(arrays) if right is None else right
    columns = max(1, min(columns, len(arrays)))
    rows = math.ceil(len(arrays) / columns)
    lines = max((title.count("\n") + 1 for title in titles if title), default=0)
    longest = max(len(line) for title in titles for line in title.split("\n"))
    width = min(style.WIDTH, columns * 2.2)  # few images are not enlarged
    tallest = max(array.shape[0] / array.shape[1] for array in arrays)
    height = rows * ((width / columns - 0.12) * tallest + lines * 0.17 + 0.12)
    figure = new_figure(height, width)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    # letters are 0.6 times as wide as the font is high
    font = float(np.clip(72 * (width / columns - 0.06) / (0.6 * max(longest, 1)), 6.5, 9))
    for axes in grid:
        axes.axis("off")
    for axes, array, title, good in zip(grid, arrays, titles, right):
        show_image(axes, array, good)
        axes.set_title(title, fontsize=font, fontweight="normal", loc="center", pad=4)
    return figure
