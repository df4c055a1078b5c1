"""Tells one split of one dataset from others."""

import hashlib
import os

from helpers.manifest.labels import GROUP
from helpers.manifest.table import Manifest


def describe_split(training: Manifest, validation: Manifest) -> dict[str, int | str]:
    """Counts the images and digests their file names, groups and labels, wherever they lie."""
    digest = hashlib.sha256()
    for part in (training, validation):
        digest.update("\n".join(map(os.path.basename, part.paths)).encode())
        if GROUP in part.frame:
            digest.update("\n".join(part.frame[GROUP]).encode())
        for task in part.tasks:
            digest.update(part.targets(task).astype("<i4").tobytes())
    counts = {"train": len(training), "validation": len(validation)}
    return {**counts, "digest": digest.hexdigest()[:32]}
