"""A `Manifest` becomes batches: decoded images of one size, cached, augmented."""

from typing import TYPE_CHECKING

from helpers.common import front_door

if TYPE_CHECKING:
    from helpers.pipeline.augmentation import AUGMENTATIONS, Augmentation, augment
    from helpers.pipeline.batches import batches_in_order, steps_per_epoch, training_batches
    from helpers.pipeline.cache import channel_statistics, load_images
    from helpers.pipeline.decode import decode_image, decode_reduced, decoded

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
