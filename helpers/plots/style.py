"""Colors, type and words of the figures: one definition of how all of them look."""

from io import BytesIO
from typing import Any

from matplotlib import rc_context
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


def as_share(value: float) -> str:
    """Writes a probability with two digits: .07, .98, 1.00."""
    return f"{value:.2f}" if value >= 0.995 else f"{value:.2f}".removeprefix("0")
