"""What figures are made of: panels packed into columns, bars, dots and pictures."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from PIL import Image, ImageOps

from helpers.plots.style import (
    BLUE,
    GRAY,
    GREEN,
    PAINT,
    PALE_BLUE,
    RAINBOW,
    RED,
    WIDTH,
    NotebookFigure,
    clipped,
)

NOT_KNOWN = "not known"
PANEL_OVERHEAD = 1.9  # rows of bars that a panel's title and margin take
ROW = 0.235  # inches per bar
Picture = np.ndarray | str | Path  # uint8 (height, width, 3), or the path of a picture


def new_figure(height: float, width: float = WIDTH) -> NotebookFigure:
    """Makes an empty figure of `height` by `width` inches."""
    return NotebookFigure(figsize=(width, height), layout="constrained")


def grid_of_panels(
    number: int, most: int, size: tuple[float, float], sharey: bool = False
) -> tuple[NotebookFigure, list[Axes], int]:
    """Makes panels in rows of at most `most`, each of `size` (width, height) or narrower.

    Returns:
        The figure, its panels and the number of columns.
    """
    columns = min(number, most)
    lines = math.ceil(number / columns)
    figure = new_figure(lines * size[1] + 0.3, min(WIDTH, columns * size[0]))
    panels = figure.subplots(lines, columns, squeeze=False, sharey=sharey).ravel()
    for axes in panels[number:]:
        axes.set_visible(False)
    return figure, list(panels[:number]), columns


def packed_panels(
    names: Sequence[Sequence[str]], columns: int, axis: float = 0
) -> tuple[NotebookFigure, list[Axes], float]:
    """Makes a panel per list of row names, packed into columns; all bars have the same room.

    Args:
        names: per panel what is written at its rows.
        columns: of panels.
        axis: rows that the labels of a panel's x axis take.

    Returns:
        The figure, its panels and their width in inches.
    """
    parts = _partition(names, columns)
    figure = new_figure(max(_units(part, axis) for part in parts) * ROW + 0.2)
    widths = _column_widths(parts, WIDTH)
    outer = figure.add_gridspec(1, len(parts), width_ratios=widths[0])
    return (
        figure,
        list(_fill(figure, [outer[0, i] for i in range(len(parts))], parts, axis)),
        widths[1],
    )


def panels_beside(
    array: np.ndarray, names: Sequence[Sequence[str]]
) -> tuple[NotebookFigure, list[Axes], float, Axes]:
    """Makes packed panels with a picture at their left: figure, panels, their width, the left."""
    total = _units(names)
    parts = _partition(names, 1 if len(names) == 1 else 3 if total > 60 else 2)
    height = max(max(_units(part) for part in parts) * ROW, 2.4) + 0.2
    left = min(height * array.shape[1] / array.shape[0], (0.17 if len(parts) > 2 else 0.27) * WIDTH)
    figure = new_figure(height, WIDTH if len(parts) > 1 else left + 5)
    widths, width = _column_widths(parts, figure.get_figwidth() - left - 0.12)
    outer = figure.add_gridspec(1, len(parts) + 1, width_ratios=[left + 0.12, *widths])
    axes = figure.add_subplot(outer[0, 0], anchor="N")
    return (
        figure,
        list(_fill(figure, [outer[0, 1 + i] for i in range(len(parts))], parts)),
        width,
        axes,
    )


def _fill(
    figure: Figure,
    columns: Sequence[SubplotSpec],
    parts: Sequence[Sequence[Sequence[str]]],
    axis: float = 0,
) -> Iterator[Axes]:
    most = max(_units(part, axis) for part in parts)
    for column, part in zip(columns, parts):
        ratios = [*map(len, part), max(most - _units(part, axis), 1e-3)]
        inner = column.subgridspec(len(ratios), 1, height_ratios=ratios)
        for line in range(len(part)):
            yield figure.add_subplot(inner[line, 0])


def _column_widths(
    parts: Sequence[Sequence[Sequence[str]]], width: float
) -> tuple[list[float], float]:
    """Gives each column the room of its names and all the same room for bars, in inches."""
    labels = [text_width([clipped(n) for names in part for n in names]) + 0.25 for part in parts]
    bars = max((width - sum(labels)) / len(parts), 0.8)
    return [label + bars for label in labels], bars


def _units(part: Sequence[Sequence[str]], axis: float = 0) -> float:
    """Returns the height of panels above each other, in rows of bars."""
    return sum(len(names) + PANEL_OVERHEAD + axis for names in part)


def _partition(panels: Sequence[Sequence[str]], columns: int) -> list[list[Sequence[str]]]:
    """Cuts the panels into consecutive columns so that the highest one is as low as can be."""
    columns = min(columns, len(panels))
    cuts = combinations(range(1, len(panels)), columns - 1)
    parts = ([list(panels[a:b]) for a, b in zip((0, *cut), (*cut, len(panels)))] for cut in cuts)
    return min(parts, key=lambda part: max(_units(column) for column in part))


def text_width(texts: Sequence[str], size: float = 9.5) -> float:
    """Returns the width of the longest text in inches."""
    font = FontProperties(family="DejaVu Sans", size=size)
    paths = [TextPath((0, 0), text, prop=font) for text in texts if text.strip()]
    # The control points reach at least as far as the letters; exact extents take 50 times as long.
    return max((path.vertices[:, 0].max() for path in paths), default=0) / 72


def paint_bars(
    axes: Axes,
    classes: Sequence[str],
    names: Sequence[str],
    values: np.ndarray,
    best: Sequence[int] | None = None,
) -> Any:
    """Draws a bar per class from the top down, in its own colour where it names one.

    Args:
        axes: where to.
        classes: what decides on the colour.
        names: what is written.
        values: the lengths.
        best: rows to stress where colours mean nothing; all where None.
    """
    rows = np.arange(len(classes))
    stressed = rows if best is None else best
    if _are_colors(classes):
        looks = [_paint(name) for name in classes]
    else:
        looks = [(BLUE if row in stressed else PALE_BLUE, "none", "") for row in rows]
    looks = [
        ("#E3E3E3", GRAY, "////") if n == NOT_KNOWN else look for n, look in zip(classes, looks)
    ]
    bars = axes.barh(rows, values, height=0.74, zorder=2)
    axes.set_yticks(rows, [clipped(name) for name in names])
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_xticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    floor = 0.004 * max(float(np.max(values, initial=0)), 1e-12)
    for bar, name, (face, edge, hatch) in zip(bars, classes, looks):
        # The edge of a bar without length would look like a length.
        visible = bar.get_width() > floor
        bar.set(facecolor=face, edgecolor=edge, hatch=hatch, linewidth=0.8 if visible else 0)
        if name == RAINBOW and _are_colors(classes):
            _rainbow(axes, bar)
    return bars


def _are_colors(classes: Sequence[str]) -> bool:
    """Tells whether the classes are colours: at least three, and more than half of them."""
    named = sum(name in PAINT for name in classes)
    return named >= 3 and 2 * named > len(classes)


def _paint(name: str) -> tuple[str, str, str]:
    """Returns face, edge and hatch of a colour class; what names no colour is hatched grey."""
    if name in PAINT:
        return PAINT[name], "#555555", ""
    return ("none", "#555555", "") if name == RAINBOW else ("#E3E3E3", "#777777", "////")


def _rainbow(axes: Axes, bar: Rectangle) -> None:
    """Paints a bar in all colours, from its left to its right."""
    stripes = np.linspace(0, 1, 64)[None, :]
    left, low = bar.get_x(), bar.get_y()
    extent = (left, left + bar.get_width(), low, low + bar.get_height())
    if bar.get_width() > 0:
        axes.imshow(stripes, extent=extent, aspect="auto", cmap="turbo", zorder=1.5)


def draw_dots(axes: Axes, rows: np.ndarray, scores: pd.DataFrame, color: str, label: str) -> None:
    """Draws accuracies as dots, each with its interval as a line."""
    axes.hlines(rows, scores["accuracy_low"], scores["accuracy_high"], color=color, lw=2.2)
    axes.plot(scores["accuracy"], rows, "o", color=color, ms=7, label=label)


def read_picture(picture: Picture) -> np.ndarray:
    """Returns a picture as uint8 (height, width, 3), upright."""
    if isinstance(picture, np.ndarray):
        array = np.clip(picture, 0, 255).astype(np.uint8)
        return np.stack([array] * 3, axis=-1) if array.ndim == 2 else array[..., :3]
    with Image.open(picture) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def show_picture(axes: Axes, array: np.ndarray, right: bool | None = None) -> None:
    """Shows a picture, in a frame that says right or wrong where that is known."""
    axes.imshow(array)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.axis("on")
    axes.spines[:].set_visible(right is not None)
    if right is not None:
        axes.spines[:].set(color=GREEN if right else RED, linewidth=2 if right else 4)
