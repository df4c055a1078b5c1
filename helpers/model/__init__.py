"""Batches become probabilities: a backbone, a tower and a head for each task, their losses."""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "losses": [
            "MaskedAccuracy",
            "balance",
            "build_losses",
            "class_counts",
            "labels_of",
            "parse_task_weights",
            "priors",
            "sampling_chances",
            "weigh_by_uncertainty",
        ],
        "network": [
            "Style",
            "build_backbone",
            "build_model",
            "load_model",
            "pool",
            "set_pixel_statistics",
            "street_features",
        ],
    },
)
