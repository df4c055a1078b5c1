"""The person-attribute set with eight tasks, from its annotation CSV (hvc_annotations.csv)."""

import argparse
import logging
import re
from pathlib import Path

import numpy as np
import pandas as pd

from data.sources.files import is_file, make_manifest, tell
from helpers.common import WorkshopError, expected, read_table
from helpers.manifest import GROUP, IMAGE, Manifest, first_few

DESCRIPTION = "the person-attribute set: hvc_annotations.csv and resized/N.jpg"
ANNOTATIONS = "hvc_annotations.csv"
TASKS = {
    "gender": ["male", "female"],
    "imagequality": ["Good", "Average", "Bad"],
    "age": ["15-25", "25-35", "35-45", "45-55", "55+"],
    "weight": ["underweight", "normal-healthy", "slightly-overweight", "over-weight"],
    "carryingbag": ["None", "Daily/Office/Work Bag", "Grocery/Home/Plastic Bag"],
    "footwear": ["Normal", "Fancy", "CantSee"],
    "emotion": ["Neutral", "Happy", "Angry/Serious", "Sad"],
    "bodypose": ["Front-Frontish", "Side", "Back"],
}
# Rows of each class in the whole dataset, and the accuracy that its authors published.
COUNTS = {
    "gender": {"male": 7636, "female": 5937},
    "imagequality": {"Average": 7509, "Good": 3824, "Bad": 2240},
    "age": {"15-25": 2494, "25-35": 5411, "35-45": 3435, "45-55": 1490, "55+": 743},
    "weight": {
        "normal-healthy": 8628,
        "slightly-overweight": 3196,
        "over-weight": 891,
        "underweight": 858,
    },
    "carryingbag": {"None": 7649, "Daily/Office/Work Bag": 4603, "Grocery/Home/Plastic Bag": 1321},
    "footwear": {"Normal": 6038, "CantSee": 5028, "Fancy": 2507},
    "emotion": {"Neutral": 9660, "Happy": 1609, "Angry/Serious": 1500, "Sad": 804},
    "bodypose": {"Front-Frontish": 8383, "Side": 2983, "Back": 2207},
}
PUBLISHED_ACCURACY = {
    "gender": 0.889,
    "imagequality": 0.585,
    "age": 0.447,
    "weight": 0.653,
    "carryingbag": 0.698,
    "footwear": 0.671,
    "emotion": 0.704,
    "bodypose": 0.857,
}
# images/Set1/5580_2 (3).jpg is detection 2 in video frame 5580 (frames are 30 apart); "(3)" tells
# apart videos with equal numbers. images/Set1/IMG (219).jpg is image 219 of a row of photographs.
FRAME = re.compile(r"(Set\d{1,9})/(\d{1,9})_\d{1,9}(?: \(\d{1,9}\))?\.\w{1,9}$")
PHOTOGRAPH = re.compile(r"(Set\d{1,9})/IMG \((\d{1,9})\)\.\w{1,9}$")
FRAMES_TOGETHER = 300  # ten sampled frames: the time in which somebody crosses the image
PHOTOGRAPHS_TOGETHER = 10
logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this source."""
    parser.add_argument("--annotations", type=Path, help=f"the CSV (--root/{ANNOTATIONS})")
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="write the manifest also where images are absent; all rows stay in it",
    )


def read(root: Path, arguments: argparse.Namespace) -> Manifest:
    """Reads the annotation CSV.

    Raises:
        WorkshopError: No CSV, other columns or classes, or images are absent.
    """
    path = arguments.annotations or root / ANNOTATIONS
    fix = "Name it with --annotations."
    frame, lines = read_table(path, what="the annotation CSV", fix=fix)
    _check_columns(path, list(frame.columns))
    _check_classes(path, frame, lines)
    missing = [name for name in frame[IMAGE] if not is_file(root / name)]
    if missing and not arguments.allow_missing:
        raise WorkshopError(
            f"{root}: expected {len(frame):,} images, {len(missing):,} of them are absent: "
            f"{first_few(missing)}. Restore them, or keep their rows with --allow-missing."
        )
    tell(logger, "images absent, their rows stay in the manifest", missing)
    frame[GROUP] = frame["filename"].map(group_of)
    return make_manifest(frame.to_dict("records"), TASKS, root)


def published_lifts() -> pd.DataFrame:
    """Returns the published accuracy of each task and that of its majority baseline."""
    table = pd.DataFrame({"accuracy": PUBLISHED_ACCURACY})
    counts = pd.DataFrame(COUNTS)
    share = counts.max() / counts.sum()
    table = table.assign(largest_class=counts.idxmax(), majority_baseline=share)
    return table.assign(lift=table["accuracy"] - share)


def group_of(filename: str) -> str:
    """Returns what must stay together with an image: its neighborhood in time.

    The file name names no person. It names the frame, and neighboring frames of a video show
    some of the same people, so ten frames of a set stay together. Videos with equal frame numbers
    cannot be told apart for certain and stay together too, which only makes the test harder.
    """
    for pattern, together in ((FRAME, FRAMES_TOGETHER), (PHOTOGRAPH, PHOTOGRAPHS_TOGETHER)):
        match = pattern.search(filename)
        if match:
            kind = "frames" if pattern is FRAME else "photographs"
            return f"{match[1]}/{kind}/{int(match[2]) // together}"
    return filename


def _check_columns(path: Path, columns: list[str]) -> None:
    lacking = [name for name in ("filename", IMAGE, *TASKS) if name not in columns]
    if lacking:
        raise WorkshopError(
            f"{path}: expected the columns filename, {IMAGE}, {', '.join(TASKS)}; "
            f"{', '.join(lacking)} not found in {', '.join(columns)}. Is it another CSV?"
        )


def _check_classes(path: Path, frame: pd.DataFrame, lines: np.ndarray) -> None:
    for task, classes in TASKS.items():
        unknown = frame.index[~frame[task].isin([*classes, ""])]
        if len(unknown):
            wanted = f"{task} to be one of {', '.join(classes)}"
            found = f"{frame[task][unknown[0]]!r} ({len(unknown)} such rows)"
            raise expected(wanted, found, "Correct the CSV.", f"{path}, row {lines[unknown[0]]}")
