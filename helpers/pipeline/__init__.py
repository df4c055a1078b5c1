"""A `Manifest` becomes batches: decoded images of one size, cached, augmented."""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "augmentation": ["AUGMENTATIONS", "Augmentation", "augment"],
        "batches": ["batches_in_order", "steps_per_epoch", "training_batches"],
        "cache": ["channel_statistics", "load_images"],
        "decode": ["decode_image", "decode_reduced", "decoded", "read_images"],
    },
)
