"""Batches become probabilities: a backbone, a tower and a head for each task, their losses."""

from typing import TYPE_CHECKING

from helpers.common import front_door

if TYPE_CHECKING:
    from helpers.model.backbones import street_features
    from helpers.model.explain import grad_cam
    from helpers.model.layers import set_pixel_statistics
    from helpers.model.lite0 import read_imagenet_weights
    from helpers.model.losses import (
        MaskedAccuracy,
        MaskedCrossentropy,
        balance,
        class_counts,
        compute_sampling_weights,
        parse_task_weights,
        soft_targets,
        weigh_by_uncertainty,
    )
    from helpers.model.network import build_backbone, build_model, load_model, pool, with_mirror

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
