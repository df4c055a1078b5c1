"""German traffic signs (GTSRB) in the official layout or in Kaggle's: 43 classes, in tracks.

Stallkamp, Schlipsing, Salmen, Igel: The German Traffic Sign Recognition Benchmark: A multi-class
classification competition, IJCNN 2011. A track is about 30 frames of one physical sign; its frames
share a part of their names. TensorFlow reads no PPM, so images become PNG.
"""

import argparse
import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from data.sources.files import is_file, tell
from helpers.common import WorkshopError, expected, open_input, whole_file
from helpers.manifest import (
    GROUP,
    IMAGE,
    MAX_PIXELS,
    SPLIT,
    Labels,
    Manifest,
    ManifestError,
    Problem,
    first_few,
    map_in_threads,
    read_table,
)

DESCRIPTION = "German traffic signs (GTSRB), the official layout or Kaggle's"
REGION = ("Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2")
SIZE = ("Width", "Height")
TRACK = re.compile(r"(?:\d{5}_)?(\d{5})_(\d{5})\.\w+$")  # [class_]track_frame.ppm
BENCHMARK_TEST = "GT-final_test.csv"
FIX = "Unpack the archive again, or delete that line."
TASK = "sign"
# Name of each class, in the order of `ClassId`, and how many training images the benchmark has.
TRAINING_IMAGES = {
    "speed limit 20": 210,
    "speed limit 30": 2220,
    "speed limit 50": 2250,
    "speed limit 60": 1410,
    "speed limit 70": 1980,
    "speed limit 80": 1860,
    "end of speed limit 80": 420,
    "speed limit 100": 1440,
    "speed limit 120": 1410,
    "no passing": 1470,
    "no passing for trucks": 2010,
    "right-of-way at next intersection": 1320,
    "priority road": 2100,
    "yield": 2160,
    "stop": 780,
    "no vehicles": 630,
    "no trucks": 420,
    "no entry": 1110,
    "general caution": 1200,
    "curve left": 210,
    "curve right": 360,
    "double curve": 330,
    "bumpy road": 390,
    "slippery road": 510,
    "road narrows on the right": 270,
    "road work": 1500,
    "traffic signals": 600,
    "pedestrians": 240,
    "children crossing": 540,
    "bicycles crossing": 270,
    "beware of ice or snow": 450,
    "wild animals": 780,
    "end of all limits": 240,
    "turn right ahead": 689,
    "turn left ahead": 420,
    "ahead only": 1200,
    "straight or right": 390,
    "straight or left": 210,
    "keep right": 2070,
    "keep left": 300,
    "roundabout": 360,
    "end of no passing": 240,
    "end of no passing for trucks": 240,
}
SIGNS = tuple(TRAINING_IMAGES)
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sign:
    """A line of one of the tables."""

    path: Path
    number: int  # of the class, 0 to 42
    track: str  # its number, or "" in the test set, whose tracks are not known
    frame: str  # number in the track, likewise
    region: tuple[float, float, float, float]  # left, top, right, bottom: fractions of the image
    where: str  # the table, for messages
    row: int  # the line in it as an editor counts

    @property
    def group(self) -> str:
        """The track, unique across classes."""
        return f"{self.number:02d}/{self.track}" if self.track else ""

    @property
    def name(self) -> str:
        """What to call its PNG: unique in all of the data."""
        return f"{self.number:05d}_{self.path.stem[-11:]}" if self.track else self.path.stem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this source."""
    parser.add_argument(
        "--images", "--pictures", type=Path, help="where the PNGs go (images beside --out)"
    )
    parser.add_argument(
        "--region", action="store_true", help="cut the sign out; without, the whole image"
    )


def read(root: Path, arguments: argparse.Namespace) -> Manifest:
    """Reads training and test images, whichever are there.

    Official test images have the split `test` and no group; the others have a group (their
    track) and no split yet: `python -m helpers.manifest --split 0.9,0.1,0` divides those alone.

    Raises:
        WorkshopError: Neither layout is there, or lines and images are broken: all of them are
            listed.
    """
    tables = list(_tables(root))
    if not tables:
        official = "Final_Training/Images/00000/GT-00000.csv (the official layout)"
        get = "get the data with: python -m data.sources.download gtsrb --out DIR"
        wanted = f"{official} or Train.csv (Kaggle's)"
        raise expected(wanted, "neither", f"Check --root, or {get}", root)
    signs, problems = [], []
    for path, separator, folder, is_test in tables:
        found, wrong = _read_table(path, separator, folder, is_test)
        signs += found
        problems += wrong
    _refuse(root, problems)
    if not signs:
        found = f"none in {first_few(path.name for path, *_ in tables)}"
        raise expected("a line per image", found, "Unpack the archive again.", root)
    folder = arguments.images or arguments.out.parent / "images"
    paths = _images(root, signs, folder, arguments.region)
    signs, paths = _without_twins(signs, paths)
    frame = pd.DataFrame(
        {
            IMAGE: [str(path.absolute()) for path in paths],
            TASK: [SIGNS[sign.number] for sign in signs],
            GROUP: [sign.group for sign in signs],
            SPLIT: ["" if sign.track else "test" for sign in signs],
            "frame": [sign.frame for sign in signs],
        },
        dtype=str,
    )
    return Manifest(frame, Labels({TASK: SIGNS}), root)


def _tables(root: Path) -> Iterator[tuple[Path, str, Path, bool]]:
    """Yields path, separator, folder of the images, and whether it is the test set."""
    for base in (root, root / "GTSRB"):
        for path in sorted((base / "Final_Training" / "Images").glob("*/GT-*.csv")):
            yield path, ";", path.parent, False
    for base in (root, root / "GTSRB"):
        images = base / "Final_Test" / "Images"
        places = (base / "Final_Test", base, root, images)
        table = next((p for place in places if (p := place / BENCHMARK_TEST).is_file()), None)
        if images.is_dir() and table:
            yield table, ";", images, True
        elif images.is_dir():
            logger.info("note: %s is nowhere, so %s is left out", BENCHMARK_TEST, images)
    for name, is_test in (("Train.csv", False), ("Test.csv", True)):
        if (root / name).is_file():
            yield root / name, ",", root, is_test


def _read_table(
    path: Path, separator: str, folder: Path, is_test: bool
) -> tuple[list[Sign], list[Problem]]:
    """Returns the signs of a table, and what is wrong with its other lines."""
    frame, rows = read_table(path, separator, fix="Unpack the archive again.")
    file = "Path" if "Path" in frame else "Filename"
    lacking = [name for name in (file, *SIZE, *REGION, "ClassId") if name not in frame]
    if lacking:
        raise WorkshopError(
            f"{path}: expected the columns {file}, {', '.join((*SIZE, *REGION))}, ClassId; "
            f"{', '.join(lacking)} not found in {', '.join(frame.columns)}. Is it another table?"
        )
    signs, problems = [], []
    for row, line in zip(rows.tolist(), frame.to_dict("records")):
        sign = _sign(line, folder / line[file], is_test, path, row)
        (problems if isinstance(sign, Problem) else signs).append(sign)
    return signs, problems


def _sign(line: dict[str, str], image: Path, is_test: bool, table: Path, row: int):
    """Returns a `Sign`, or the `Problem` of a line that cannot be used."""
    where = f"{table.parent.name}/{table.name}"

    def problem(kind: str, found: str, wanted: str) -> Problem:
        return Problem(row, where, found, wanted, FIX, kind=kind)

    number = line["ClassId"]
    if not (number.isdecimal() and len(number) < 9 and int(number) < len(SIGNS)):
        return problem("class", f"ClassId {number[:40]!r}", f"0 to {len(SIGNS) - 1}")
    try:
        width, height = (float(line[name]) for name in SIZE)
        left, top, right, bottom = (float(line[name]) for name in REGION)
        # the last column and row belong to the region
        box = (left / width, top / height, (right + 1) / width, (bottom + 1) / height)
    except (ValueError, ZeroDivisionError):
        found = ", ".join(line[name] for name in (*SIZE, *REGION))
        return problem("region", f"size and region {found}", "whole numbers, the size above 0")
    if not (box[0] < box[2] and box[1] < box[3] and box[0] < 1 and box[1] < 1):
        found = ", ".join(line[name] for name in (*SIZE, *REGION))
        return problem("region", f"size and region {found}", "a region inside the image")
    name = TRACK.search(image.name)
    if not is_test and not name:
        return problem("name", f"the name {image.name!r}", "a name such as 00001_00029.ppm")
    if not is_file(image):
        return problem("missing file", f"no image {image.name}", "an image")
    track, frame = ("", "") if is_test else name.groups()
    return Sign(image, int(number), track, frame, box, where, row)


def _refuse(root: Path, problems: Sequence[Problem]) -> None:
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ManifestError(f"{root}: {count}", problems)


def _images(root: Path, signs: Sequence[Sign], folder: Path, region: bool) -> list[Path]:
    """Returns an image that TensorFlow reads for each sign, made where there is none yet."""
    folder = folder / ("region" if region else "whole")

    def make(sign: Sign) -> Path | Problem:
        if not region and sign.path.suffix.lower() == ".png":
            return sign.path
        target = folder / ("train" if sign.track else "test") / f"{sign.name}.png"
        try:
            return _convert(sign, target, region)
        except (OSError, ValueError, SyntaxError) as error:
            if getattr(error, "errno", None) is not None:  # the disk, not the image
                raise
            found = f"an image {sign.path.name} that cannot be read ({error})"
            kind = "unreadable image"
            return Problem(sign.row, sign.where, found, "a whole image", FIX, kind=kind)

    made = map_in_threads(make, signs, desc="images")
    _refuse(root, [one for one in made if isinstance(one, Problem)])
    return made


def _convert(sign: Sign, target: Path, region: bool) -> Path:
    """Writes a PNG, whole; one that is there and not older than its image is kept."""
    if target.exists() and target.stat().st_mtime >= sign.path.stat().st_mtime:
        return target
    with open_input(sign.path) as file, Image.open(file, formats=("PPM", "PNG")) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels")
        image = image.convert("RGB")
    if region:
        image = image.crop(region_in_pixels(sign.region, image.size))
    with whole_file(target) as draft:
        image.save(draft, "PNG", compress_level=1)
    return target


def region_in_pixels(
    region: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Returns left, top, right and bottom (beyond the last pixel): at least one pixel each way.

    `region` is fractions of the image, which may have been resized since the table was written;
    `size` is its width and height in pixels.
    """
    width, height = size
    left = min(max(round(region[0] * width), 0), width - 1)
    top = min(max(round(region[1] * height), 0), height - 1)
    right = min(max(round(region[2] * width), left + 1), width)
    bottom = min(max(round(region[3] * height), top + 1), height)
    return left, top, right, bottom


def _digest(path: Path) -> bytes:
    return hashlib.blake2b(path.read_bytes()).digest()


def _without_twins(
    signs: list[Sign], paths: Sequence[Path]
) -> tuple[tuple[Sign, ...], tuple[Path, ...]]:
    """Leaves out training frames that are equal to a test image, and tells of them."""
    if all(sign.track for sign in signs):
        return tuple(signs), tuple(paths)
    digests = map_in_threads(_digest, paths, desc="comparing images")
    in_test = {digest for sign, digest in zip(signs, digests) if not sign.track}
    twins = [bool(sign.track) and digest in in_test for sign, digest in zip(signs, digests)]
    names = [sign.path.name for sign, twin in zip(signs, twins) if twin]
    tell(logger, "training frames that are equal to test images, left out", names)
    kept = [pair for pair, twin in zip(zip(signs, paths), twins) if not twin]
    return tuple(zip(*kept))
