"""What figures are made of: panels in a grid, and bars."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

import helpers.plots.style as style

NOT_KNOWN = "missing"
OVERHEAD = 1.9  # rows of bars that a panel's title and margin take
ROW = 0.235  # inches per bar


def new_figure(height: float, width: float = style.WIDTH) -> style.NotebookFigure:
    """Makes an empty figure; the sizes are inches."""
    return style.NotebookFigure(figsize=(width, height), layout="constrained")


def grid_of_panels(
    titles: Sequence[str], columns: int, heights: Sequence[float]
) -> tuple[style.NotebookFigure, list[Axes]]:
    """Makes a panel per title; `heights` are those of the lines, in inches."""
    columns, figure = min(len(titles), columns), new_figure(sum(heights) + 0.3)
    grid = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    panels = grid.ravel()
    for axes in panels[len(titles) :]:
        axes.set_visible(False)
    for axes, title in zip(panels, titles):
        axes.set_title(style.task_title(title))
    return figure, list(panels[: len(titles)])


def panels_of_rows(
    titles: Sequence[str], rows: Sequence[int], columns: int = 3
) -> tuple[style.NotebookFigure, list[Axes]]:
    """Makes a panel per title with so many rows, all of the same height."""
    most = [max(rows[first : first + columns]) for first in range(0, len(rows), columns)]
    heights = [(number + OVERHEAD) * ROW for number in most]
    figure, panels = grid_of_panels(titles, columns, heights)
    for number, axes in enumerate(panels):
        axes.set_ylim(most[number // columns] - 0.45, -0.55)
    return figure, panels


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
    axes.set_xticks([])
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
