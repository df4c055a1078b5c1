"""One CSV and its labels become a `Manifest`: read, split by group, checked."""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "checks": ["check_split", "validate"],
        "labels": [
            "GROUP",
            "IMAGE",
            "LABELS_FILE",
            "NOT_KNOWN",
            "SPLIT",
            "SPLITS",
            "Labels",
            "did_you_mean",
        ],
        "images": [
            "EXIF_ORIENTATION",
            "EXIF_SIDEWAYS",
            "SUFFIXES",
            "THREADS",
            "check_image",
            "check_size",
            "map_in_threads",
            "images_in",
        ],
        "problems": ["ManifestError", "Problem", "describe", "problems_table"],
        "read": ["IMAGE_ALIASES", "read_manifest"],
        "split": ["assign_groups", "fewer_groups", "split_at_random", "split_by_group"],
        "table": ["Manifest", "summarize"],
    },
)
