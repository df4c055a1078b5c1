"""One CSV and its labels become a `Manifest`: read, split by group, checked."""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "checks": ["check_split", "validate"],
        "labels": ["GROUP", "IMAGE", "LABELS_FILE", "NOT_KNOWN", "SPLIT", "SPLITS", "Labels"],
        "images": ["THREADS", "check_image", "check_size", "images_in", "map_in_threads"],
        "problems": ["ManifestError", "Problem", "describe", "did_you_mean", "problems_table"],
        "read": ["IMAGE_ALIASES", "read_manifest"],
        "split": ["assign_groups", "split_at_random", "split_by_group"],
        "table": ["Manifest", "summarize"],
    },
)
