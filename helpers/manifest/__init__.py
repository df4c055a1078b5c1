"""One CSV and its labels become a `Manifest`: read, checked, split by group."""

from helpers.manifest.labels import GROUP, IMAGE, SPLIT, Labels, did_you_mean
from helpers.manifest.pictures import THREADS, check_picture, check_size
from helpers.manifest.problems import SPLITS, ManifestError, Problem, describe, problems_table
from helpers.manifest.splits import assign_groups, fewer_groups
from helpers.manifest.table import (
    IMAGE_ALIASES,
    LABELS_FILE,
    NOT_KNOWN,
    Manifest,
    check_split,
    read_manifest,
    split_at_random,
    split_by_group,
    summarize,
    validate,
)

__all__ = [
    "GROUP",
    "IMAGE",
    "IMAGE_ALIASES",
    "LABELS_FILE",
    "NOT_KNOWN",
    "SPLIT",
    "SPLITS",
    "THREADS",
    "Labels",
    "Manifest",
    "ManifestError",
    "Problem",
    "assign_groups",
    "check_picture",
    "check_size",
    "check_split",
    "describe",
    "did_you_mean",
    "fewer_groups",
    "problems_table",
    "read_manifest",
    "split_at_random",
    "split_by_group",
    "summarize",
    "validate",
]
