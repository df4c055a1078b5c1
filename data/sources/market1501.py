"""Market-1501 with its attribute file: people from six cameras, labelled person by person.

Zheng et al., Scalable Person Re-identification, ICCV 2015. The attributes and the meaning of their
numbers: Lin et al., arXiv:1703.07220, https://github.com/vana77/Market-1501_Attribute.
"""

import argparse
import io
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from data.sources.files import make_manifest, tell
from helpers.common import WorkshopError, expected, read_input
from helpers.manifest import GROUP, IMAGE, Manifest, images_in

DESCRIPTION = "Market-1501: bounding_box_train, bounding_box_test and market_attribute.mat"
ATTRIBUTES = "market_attribute.mat"
ATTRIBUTES_FROM = "https://github.com/vana77/Market-1501_Attribute"
FOLDERS = {"train": ["bounding_box_train"], "test": ["bounding_box_test", "query"]}
NAME = re.compile(r"(-1|\d{4})_c(\d)s\d+_\d+_\d+")  # 0002_c1s1_000451_03.jpg: person 2, camera 1

# Task to (column of the file, class of each of its numbers; they start at 1).
NUMBERED = {
    "gender": ("gender", ["male", "female"]),
    "age": ("age", ["young", "teenager", "adult", "old"]),
    "hair_length": ("hair", ["short", "long"]),
    "sleeves": ("up", ["long", "short"]),
    "bottom_length": ("down", ["long", "short"]),
    "bottom_type": ("clothes", ["dress", "pants"]),
    "hat": ("hat", ["no", "yes"]),
}
TOP_COLORS = ["black", "white", "red", "purple", "yellow", "gray", "blue", "green"]
BOTTOM_COLORS = ["black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown"]
BAGS = ["backpack", "bag", "handbag"]
TASKS = {
    **{task: classes for task, (_, classes) in NUMBERED.items()},
    "top_color": [*TOP_COLORS, "other"],
    "bottom_color": [*BOTTOM_COLORS, "other"],
    "carrying": ["none", *BAGS, "several"],
}
YES = 2  # of the columns that say no (1) or yes (2)
MOST_BYTES = 10_000_000  # of the attribute file; the published one has 18,000
logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this source."""
    parser.add_argument("--attributes", type=Path, help=f"the .mat file (--root/{ATTRIBUTES})")


def read(root: Path, arguments: argparse.Namespace) -> Manifest:
    """Reads images and attributes; the official part of an image is the column `part`.

    The images of distractors (0000, -1) have no attributes and are left out.

    Raises:
        WorkshopError: The folders or the attribute file are not there, or of another form.
    """
    path = arguments.attributes or root / ATTRIBUTES
    people = {part: _read_persons(path, part) for part in FOLDERS}
    rows, unknown, strange = [], [], []
    for part, folders in FOLDERS.items():
        for image in (path for folder in folders for path in images_in(root / folder)):
            match = NAME.match(image.name)
            if not match:
                strange.append(image.name)
            elif match[1] not in people[part]:
                unknown.append(image.name)
            else:
                rows.append(
                    {IMAGE: str(image.absolute()), GROUP: match[1]}
                    | people[part][match[1]]
                    | {"part": part, "camera": match[2]}
                )
    tell(logger, "images of people without attributes, left out", unknown)
    tell(logger, "images whose name is no Market-1501 name, left out", strange)
    if not rows:
        raise WorkshopError(
            f"{root}: expected images such as bounding_box_train/0002_c1s1_000451_03.jpg whose "
            f"people are in {path.name}, found none. Check --root."
        )
    return make_manifest(rows, TASKS, root)


def _read_persons(path: Path, part: str) -> dict[str, dict[str, str]]:
    """Returns person ("0002") to (task to class name)."""
    try:
        data = io.BytesIO(read_input(path, MOST_BYTES))
        content = loadmat(data, squeeze_me=True, struct_as_record=False)["market_attribute"]
        table = getattr(content, part)
        numbers = {name: np.atleast_1d(getattr(table, name)) for name in _columns()}
        people = [f"{int(person):04d}" for person in np.atleast_1d(table.image_index)]
        rows = [{name: int(numbers[name][i]) for name in numbers} for i in range(len(people))]
    except FileNotFoundError:
        fix = f"Get it from {ATTRIBUTES_FROM} or name it with --attributes."
        raise expected("the attribute file", "no such file", fix, path) from None
    except Exception as error:  # SciPy documents none for a damaged file, and raises a dozen kinds
        what, found = f"market_attribute.{part} as published", f"another form ({error!r})"
        raise expected(what, found, "Get the file anew.", path) from None
    return dict(zip(people, map(_classes, rows)))


def _columns() -> list[str]:
    colors = [f"up{color}" for color in TOP_COLORS] + [f"down{color}" for color in BOTTOM_COLORS]
    return [column for column, _ in NUMBERED.values()] + BAGS + colors


def _classes(numbers: dict[str, Any]) -> dict[str, str]:
    labels = {}
    for task, (column, classes) in NUMBERED.items():
        number = numbers[column]
        labels[task] = classes[number - 1] if 1 <= number <= len(classes) else ""
    # at most one color is marked; none means one that the file has no column for
    labels["top_color"] = _one([c for c in TOP_COLORS if numbers[f"up{c}"] == YES], "other", "")
    bottom = [c for c in BOTTOM_COLORS if numbers[f"down{c}"] == YES]
    labels["bottom_color"] = _one(bottom, "other", "")
    labels["carrying"] = _one([bag for bag in BAGS if numbers[bag] == YES], "none", "several")
    return labels


def _one(marked: list[str], nothing: str, several: str) -> str:
    if not marked:
        return nothing
    return marked[0] if len(marked) == 1 else several
