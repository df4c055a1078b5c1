"""How all figures look: colors, type and words, panels in a grid, and bars."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 10.0  # inches: the width of a notebook's output
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
INK, DARK, GRAY, FAINT = "#262626", "#555555", "#8A8A8A", "#A0A0A0"  # of words and lines
PALE, TRACK, PALE_BLUE = "#E3E3E3", "#F0F0F0", "#A9C6DB"  # of areas
# What a class that names a color is painted in.
PAINT = {
    "black": "#1E1E1E",
    "white": "#FFFFFF",
    "red": "#D62B2B",
    "yellow": "#F4D01F",
    "blue": "#2158C7",
    "green": "#2F9042",
    "purple": "#7E3FA6",
    "brown": "#80512B",
    "grey": "#9C9C9C",
    "gray": "#9C9C9C",
    "orange": "#F08423",
    "pink": "#F19AB6",
    "beige": "#DCC9A3",
}
RAINBOW = "multicolor"
STYLE = {
    "figure.dpi": 110,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#BBBBBB",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": "#E4E4E4",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "hatch.linewidth": 0.7,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
}
LONGEST_NAME = 26  # letters
NOT_KNOWN = "missing"
OVERHEAD = 1.9  # rows of bars that a panel's title and margin take
ROW = 0.235  # inches per bar
styled = rc_context(STYLE)  # lets a function draw in this style, whatever the notebook has set


class NotebookFigure(Figure):
    """A figure that a notebook shows exactly once.

    pyplot does not hold it: it would be shown a second time at the end of the cell, and kept.
    """

    @styled
    def draw(self, renderer: Any) -> None:
        """Draws in the workshop's style; some of matplotlib's settings are read only here."""
        super().draw(renderer)

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def clipped(name: str) -> str:
    """Shortens a name that would take the room of the bars."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def task_title(task: str) -> str:
    """Returns the name of a task as people write it."""
    return str(task).replace("_", " ")


def new_figure(height: float, width: float = WIDTH) -> NotebookFigure:
    """Makes an empty figure; the sizes are inches."""
    return NotebookFigure(figsize=(width, height), layout="constrained")


def grid_of_panels(
    titles: Sequence[str], columns: int, heights: Sequence[float]
) -> tuple[NotebookFigure, list[Axes]]:
    """Makes a panel per title; `heights` are those of the lines, in inches."""
    columns, figure = min(len(titles), columns), new_figure(sum(heights) + 0.3)
    grid = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    panels = grid.ravel()
    for axes in panels[len(titles) :]:
        axes.set_visible(False)
    for axes, title in zip(panels, titles):
        axes.set_title(task_title(title))
    return figure, list(panels[: len(titles)])


def panels_of_rows(
    titles: Sequence[str], rows: Sequence[int], columns: int = 3
) -> tuple[NotebookFigure, list[Axes]]:
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
    named = sum(name in PAINT for name in every)
    colored = named >= 3 and 2 * named > len(every)
    bars = axes.barh(rows, values, height=0.74, zorder=2)
    axes.set_yticks(rows, [clipped(name) for name in names])
    axes.set_xticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    shortest = 0.004 * max(float(np.max(values, initial=0)), 1e-12)
    for row, (bar, name) in enumerate(zip(bars, classes)):
        face, edge, hatch = _look(name, colored, best is None or row in best)
        # The edge of a bar without length would look like a length.
        width = 0.8 if bar.get_width() > shortest else 0
        bar.set(facecolor=face, edgecolor=edge, hatch=hatch, linewidth=width)
        if name == RAINBOW and colored and bar.get_width() > 0:
            extent = (0, bar.get_width(), bar.get_y(), bar.get_y() + bar.get_height())
            axes.imshow([np.linspace(0, 1, 64)], "turbo", aspect="auto", extent=extent, zorder=1.5)
    return bars


def _look(name: str, colored: bool, stressed: bool) -> tuple[str, str, str]:
    """Returns face, edge and hatch of a bar."""
    if name == NOT_KNOWN:
        return PALE, GRAY, "////"
    if not colored:
        return BLUE if stressed else PALE_BLUE, "none", ""
    if name in PAINT:
        return PAINT[name], DARK, ""
    return ("none", DARK, "") if name == RAINBOW else (PALE, "#777777", "////")
