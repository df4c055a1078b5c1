"""The workshop's figures: each function takes numbers or images and returns a Figure.

A notebook shows the figure that is the value of a cell's last line; end it without a semicolon.
The colors suit color-blind readers (Okabe and Ito 2008); a class named after a color gets it.
"""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "answers": ["gallery_rows", "heatmaps", "probabilities", "probability_gallery"],
        "data": ["class_shares", "co_occurrence", "images_per_group", "shares_by_split"],
        "images": ["augmentation_gallery", "class_gallery", "image_grid", "images_of_groups"],
        "scores": [
            "confusion_matrix",
            "coverage",
            "leak",
            "learning_curve",
            "lifts",
            "reliability",
            "scores_against_floor",
            "scores_by",
            "speed",
            "two_scores_by",
        ],
        "style": [
            "BLUE",
            "GRAY",
            "GREEN",
            "INK",
            "NotebookFigure",
            "ORANGE",
            "PAINT",
            "PURPLE",
            "RAINBOW",
            "STYLE",
            "WIDTH",
        ],
        "training": ["learning_rate_range", "stage_curves", "training_curves", "twins"],
    },
)
