"""Batches become probabilities: a backbone, a tower and a head for each task, their losses."""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "backbones": ["street_features"],
        "explain": ["grad_cam"],
        "layers": ["set_pixel_statistics"],
        "losses": [
            "MaskedAccuracy",
            "MaskedCrossentropy",
            "balance",
            "build_losses",
            "class_counts",
            "labels_of",
            "parse_task_weights",
            "compute_sampling_weights",
            "soft_targets",
            "weigh_by_uncertainty",
        ],
        "network": ["build_backbone", "build_model", "load_model", "pool"],
    },
)
