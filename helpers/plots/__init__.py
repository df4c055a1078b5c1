"""The workshop's figures: each function takes numbers or images and returns a Figure.

A notebook shows the figure that is the value of a cell's last line; end it without a semicolon.
The colors suit color-blind readers (Okabe and Ito 2008); a class named after a color gets it.
"""

from typing import TYPE_CHECKING

from helpers.common import front_door

if TYPE_CHECKING:
    from helpers.plots.figures import (
        class_shares,
        gallery_rows,
        heatmaps,
        image_grid,
        probabilities,
        probability_gallery,
        training_curves,
    )
    from helpers.plots.style import BLUE, GRAY, INK, ORANGE, PAINT, STYLE, WIDTH, NotebookFigure

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
