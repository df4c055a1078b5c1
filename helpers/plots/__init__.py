"""The workshop's figures: each function takes numbers or pictures and returns a Figure.

A notebook shows the figure that is the value of a cell's last line; end the line without a
semicolon. Colours are told apart by colour-blind readers too (Okabe and Ito 2008), and a class
that is the name of a colour is painted in it.

data         a manifest: classes, splits, pictures, groups
training     a run, and a network beside its single-task twins
scores       scores against the largest class, calibration, groups, speed
answers      pictures beside the probability of every class
attributes   eight attributes of persons, and the recipes for them
style        colors, type and words; panels: what figures are made of
"""

from helpers.plots.answers import gallery_rows, heatmaps, probabilities, probability_gallery
from helpers.plots.attributes import (
    augmentation_gallery,
    class_gallery,
    co_occurrence,
    learning_rate_range,
    lifts,
    stage_curves,
)
from helpers.plots.data import (
    class_shares,
    picture_grid,
    pictures_of_groups,
    pictures_per_group,
    shares_by_split,
)
from helpers.plots.scores import (
    confusion_matrix,
    coverage,
    leak,
    learning_curve,
    reliability,
    scores_against_floor,
    scores_by,
    speed,
    two_scores_by,
)
from helpers.plots.training import training_curves, twins

__all__ = [
    "augmentation_gallery",
    "class_gallery",
    "class_shares",
    "co_occurrence",
    "confusion_matrix",
    "coverage",
    "gallery_rows",
    "heatmaps",
    "leak",
    "learning_curve",
    "learning_rate_range",
    "lifts",
    "picture_grid",
    "pictures_of_groups",
    "pictures_per_group",
    "probabilities",
    "probability_gallery",
    "reliability",
    "scores_against_floor",
    "scores_by",
    "shares_by_split",
    "speed",
    "stage_curves",
    "training_curves",
    "twins",
    "two_scores_by",
]
