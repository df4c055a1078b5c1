"""What figures are made of: panels packed into columns, bars and dots."""

import math
from collections.abc import Iterable, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

import helpers.plots.style as style

NOT_KNOWN = "missing"
OVERHEAD = 1.9  # rows of bars that a panel's title and margin take
ROW = 0.235  # inches per bar


def new_figure(height: float, width: float = style.WIDTH) -> style.NotebookFigure:
    """Makes an empty figure; the sizes are inches."""
    return style.NotebookFigure(figsize=(width, height), layout="constrained")


def one_panel(height: float, width: float = style.WIDTH) -> tuple[style.NotebookFigure, Axes]:
    """Makes a figure with a single panel; the sizes are inches."""
    figure = new_figure(height, width)
    return figure, figure.subplots()


def grid_of_panels(
    tasks: Sequence[str], most: int, size: tuple[float, float], sharey: bool = False
) -> tuple[style.NotebookFigure, list[Axes]]:
    """Makes a panel per task, at most `most` in a row, of `size` (width, height) or narrower."""
    columns = min(len(tasks), most)
    lines = math.ceil(len(tasks) / columns)
    figure = new_figure(lines * size[1] + 0.3, min(style.WIDTH, columns * size[0]))
    panels = figure.subplots(lines, columns, squeeze=False, sharey=sharey).ravel()
    for axes in panels[len(tasks) :]:
        axes.set_visible(False)
    for axes, task in zip(panels, tasks):
        axes.set_title(style.task_title(task))
    return figure, list(panels[: len(tasks)])


def packed_panels(
    names: Sequence[Sequence[str]], axis: float = 0, beside: np.ndarray | None = None
) -> tuple[style.NotebookFigure, list[Axes], float]:
    """Makes a panel per list of row names, packed into columns, and the width of the bars, inches.

    The labels of a panel's x axis take `axis` rows. An image `beside` gets `figure.axes[0]`.
    """
    parts = _partition(names, 3 if beside is None or _units(names) > 60 else 2)
    most = max(_units(part, axis) for part in parts)
    height, width, margin = most * ROW + 0.2, style.WIDTH, []
    if beside is not None:
        height = max(height, 2.6)
        room = (0.17 if len(parts) > 2 else 0.27) * style.WIDTH
        left = min(height * beside.shape[1] / beside.shape[0], room)
        width, margin = style.WIDTH if len(parts) > 1 else left + 5, [left + 0.12]
    # Each column has the room of its names, and all have the same room for bars.
    labels = [text_width(map(style.clipped, chain(*part))) + 0.25 for part in parts]
    bars = max((width - sum(margin) - sum(labels)) / len(parts), 0.8)
    figure = new_figure(height, width)
    widths = [*margin, *(label + bars for label in labels)]
    outer = figure.add_gridspec(1, len(widths), width_ratios=widths)
    if margin:
        figure.add_subplot(outer[0, 0], anchor="N")
    panels = []
    for column, part in enumerate(parts, len(margin)):
        ratios = [*map(len, part), max(most - _units(part, axis), 1e-3)]
        inner = outer[0, column].subgridspec(len(ratios), 1, height_ratios=ratios)
        panels += [figure.add_subplot(inner[line, 0]) for line in range(len(part))]
    return figure, panels, bars


def _units(part: Sequence[Sequence[str]], axis: float = 0) -> float:
    """Returns the height of panels above each other, in rows of bars."""
    return sum(len(names) + OVERHEAD + axis for names in part)


def _partition(panels: Sequence[Sequence[str]], columns: int) -> list[list[Sequence[str]]]:
    """Cuts the panels into consecutive columns so that the highest one is as low as can be."""
    columns = min(columns, len(panels))
    cuts = combinations(range(1, len(panels)), columns - 1)
    parts = ([list(panels[a:b]) for a, b in zip((0, *cut), (*cut, len(panels)))] for cut in cuts)
    return min(parts, key=lambda part: max(_units(column) for column in part))


def text_width(texts: Iterable[str], size: float = 9.5) -> float:
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
    task: Sequence[str] | None = None,
) -> Any:
    """Draws a bar per class from the top down, in its color where most classes name colors.

    Otherwise the rows `best` are highlighted, or all where None. `task` are all of its classes.
    """
    rows, every = range(len(classes)), task or classes
    named = sum(name in style.PAINT for name in every)
    colored = named >= 3 and 2 * named > len(every)
    bars = axes.barh(rows, values, height=0.74, zorder=2)
    axes.set_yticks(rows, [style.clipped(name) for name in names])
    axes.set(ylim=(len(rows) - 0.45, -0.55), xticks=[])
    axes.spines[["left", "bottom"]].set_visible(False)
    shortest = 0.004 * max(float(np.max(values, initial=0)), 1e-12)
    for row, (bar, name) in enumerate(zip(bars, classes)):
        face, edge, hatch = _look(name, colored, best is None or row in best)
        # The edge of a bar without length would look like a length.
        width = 0.8 if bar.get_width() > shortest else 0
        bar.set(facecolor=face, edgecolor=edge, hatch=hatch, linewidth=width)
        if name == style.RAINBOW and colored and bar.get_width() > 0:
            extent = (0, bar.get_width(), bar.get_y(), bar.get_y() + bar.get_height())
            axes.imshow([np.linspace(0, 1, 64)], "turbo", aspect="auto", extent=extent, zorder=1.5)
    return bars


def _look(name: str, colored: bool, stressed: bool) -> tuple[str, str, str]:
    """Returns face, edge and hatch of a bar."""
    if name == NOT_KNOWN:
        return style.PALE, style.GRAY, "////"
    if not colored:
        return style.BLUE if stressed else style.PALE_BLUE, "none", ""
    if name in style.PAINT:
        return style.PAINT[name], style.DARK, ""
    return ("none", style.DARK, "") if name == style.RAINBOW else (style.PALE, "#777777", "////")


def draw_dots(axes: Axes, rows: np.ndarray, scores: pd.DataFrame, color: str, label: str) -> None:
    """Draws accuracies as dots, each with its interval as a line."""
    axes.hlines(rows, scores["accuracy_low"], scores["accuracy_high"], color=color, lw=2.2)
    axes.plot(scores["accuracy"], rows, "o", color=color, ms=7, label=label)


def name_rows(
    axes: Axes, names: Sequence[str], notes: Sequence[str] = (), colors: Sequence[str] = ()
) -> None:
    """Writes what each row is, from the top down, and a note at its right end, in its color."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x")
    look = {"va": "center", "transform": axes.get_yaxis_transform(), "fontsize": 9.5}
    for row, (note, color) in enumerate(zip(notes, colors or [style.INK] * len(notes))):
        axes.text(1.02, row, note, color=color, **look)
