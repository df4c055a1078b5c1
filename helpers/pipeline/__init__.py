"""A `Manifest` becomes batches: decoded images of one size, cached, augmented."""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "augmentation": ["AUGMENTATIONS", "Augmentation", "MIXES", "augment", "mix"],
        "batches": [
            "batches_in_order",
            "channel_statistics",
            "decode_picture",
            "decode_reduced",
            "decoded",
            "load_pictures",
            "read_pictures",
            "steps_per_epoch",
            "training_batches",
        ],
    },
)
