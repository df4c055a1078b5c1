"""One CSV and its labels become a `Manifest`: read, split by group, checked."""

from typing import TYPE_CHECKING

from helpers.common import front_door

if TYPE_CHECKING:
    from helpers.manifest.cells import read_numbers, read_table
    from helpers.manifest.checks import check_split, validate
    from helpers.manifest.image_header import ADOBE, MAX_PIXELS, ORIENTATION
    from helpers.manifest.images import (
        IMAGE_HEADER,
        THREADS,
        check_image,
        decode,
        images_in,
        map_in_threads,
        open_image,
    )
    from helpers.manifest.labels import GROUP, IMAGE, LABELS_FILE, NOT_KNOWN, SPLIT, SPLITS, Labels
    from helpers.manifest.problems import (
        ManifestError,
        Problem,
        describe,
        did_you_mean,
        first_few,
        printable,
        problems_table,
    )
    from helpers.manifest.split import assign_groups, split_by_group
    from helpers.manifest.table import IMAGE_ALIASES, Manifest, read_manifest, summarize

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
