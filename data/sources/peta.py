"""PETA, the pedestrian attributes at far distance, in its official layout.

Deng, Luo, Loy and Tang, Pedestrian Attribute Recognition at Far Distance, ACM Multimedia 2014. For
research only. `PETA dataset/<subset>/archive/` holds the images and `Label.txt`, with one line a
person: the id and everything that is true of the person ("upperBodyBlack carryingNothing ...").
"""

import argparse
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data.sources.files import make_manifest, tell
from helpers.common import expected, read_input
from helpers.manifest import GROUP, IMAGE, Manifest, first_few, images_in, printable

DESCRIPTION = "PETA in its official layout: PETA dataset/<subset>/archive/Label.txt"
FOLDER = "PETA dataset"
LABELS = "Label.txt"
MOST_BYTES = 50_000_000  # of them; the largest published one has 700,000
WHOLE_STEM = ("CUHK",)  # here one image is one person; elsewhere the id ends at the first "_"

COLORS = "Black White Grey Blue Red Green Brown Yellow Purple Pink Orange"
COLOR_CLASSES = {color: color.lower() for color in COLORS.split()}


@dataclass(frozen=True)
class Rule:
    """How the words of a person become one class of a task.

    The words that start with `prefix` and are in `classes` count. One class among them is the
    label. None is "not known"; several are `several`, or "not known" where that is empty.
    """

    prefix: str
    classes: Mapping[str, str]
    several: str = ""
    yields: Mapping[str, Collection[str]] = field(default_factory=dict)  # word: what outweighs it


RULES = {
    "gender": Rule("personal", {"Male": "male", "Female": "female"}),
    "age": Rule(
        "personal",
        {
            "Less15": "0-15",
            "Less30": "16-30",
            "Less45": "31-45",
            "Less60": "46-60",
            "Larger60": "61+",
        },
    ),
    "top_color": Rule("upperBody", COLOR_CLASSES, several="multicolor"),
    "bottom_color": Rule("lowerBody", COLOR_CLASSES, several="multicolor"),
    "carrying": Rule(
        "carrying",
        {
            "Nothing": "none",
            "Backpack": "backpack",
            "MessengerBag": "messenger bag",
            "PlasticBags": "plastic bag",
            "Suitcase": "suitcase",
            "LuggageCase": "suitcase",
            "Folder": "folder",
            "BabyBuggy": "baby buggy",
            "Umbrella": "umbrella",
            "ShoppingTro": "shopping trolley",
            "Other": "other",
        },
        several="several",
    ),
    "footwear": Rule(
        "footwear",
        {
            "Shoes": "shoes",
            "Sneakers": "sneakers",
            "Sneaker": "sneakers",
            "LeatherShoes": "leather shoes",
            "Boots": "boots",
            "Sandals": "sandals",
            "Stocking": "stockings",
        },
        # stockings in shoes are shoes
        yields={"Stocking": ("Shoes", "Sneakers", "LeatherShoes", "Boots", "Sandals")},
    ),
    "hair_length": Rule(
        "hair",
        {"Short": "short", "Long": "long", "Bald": "bald"},
        yields={"Short": ("Bald",)},  # half of the bald people have both words
    ),
    "top_style": Rule("upperBody", {"Casual": "casual", "Formal": "formal"}),
    "top_type": Rule(
        "upperBody",
        {"Tshirt": "t-shirt", "Jacket": "jacket", "Suit": "suit", "Sweater": "sweater"}
        | {"Other": "other"},
        yields={"Other": ("Tshirt", "Jacket", "Suit", "Sweater")},
    ),
    "sleeves": Rule(
        "upperBody", {"LongSleeve": "long", "ShortSleeve": "short", "NoSleeve": "none"}
    ),
    "bottom_style": Rule("lowerBody", {"Casual": "casual", "Formal": "formal"}),
    "bottom_type": Rule(
        "lowerBody",
        {
            "Trousers": "trousers",
            "Jeans": "jeans",
            "Suits": "suit",
            "Shorts": "shorts",
            "HotPants": "shorts",
            "Capri": "capri",
            "ShortSkirt": "short skirt",
            "LongSkirt": "long skirt",
        },
    ),
    "accessory": Rule(
        "accessory",
        {
            "Nothing": "none",
            "Hat": "hat",
            "Sunglasses": "sunglasses",
            "HairBand": "hair band",
            "Muffler": "muffler",
            "Headphone": "headphone",
            "Kerchief": "kerchief",
        },  # Shawl and FaceMask are left out by PETA's own ReadMe: fewer than ten images
        several="several",
    ),
}
TASKS = {
    task: [*dict.fromkeys(rule.classes.values()), *filter(None, [rule.several])]
    for task, rule in RULES.items()
}
# The part of a file name that says the camera, where one does: 0001_a, 0002_1_25008_..., 000_45_1.
CAMERAS = {
    "PRID": re.compile(r"^\d+_([ab])"),
    "GRID": re.compile(r"^\d+_\d+_(\d+)"),
    "VIPeR": re.compile(r"_(\d)$"),
}
logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this source: there are none."""


def read(root: Path, arguments: argparse.Namespace | None = None) -> Manifest:
    """Reads all subsets below `root`, which is the folder `PETA dataset` or the one above it.

    An image of a person without a line in `Label.txt` stays in the manifest without labels.

    Raises:
        WorkshopError: No subset is there, or no image in them.
    """
    folder = root / FOLDER if (root / FOLDER).is_dir() else root
    archives = sorted(path.parent for path in folder.glob(f"*/archive/{LABELS}"))
    if not archives:
        there = printable(first_few(sorted(p.name for p in folder.iterdir())))
        fix = f"Point --root at the folder {FOLDER!r} or the one above it."
        raise expected(f"{FOLDER}/<subset>/archive/{LABELS}", there or "an empty folder", fix, root)
    rows = [row for archive in archives for row in _read_subset(archive)]
    return make_manifest(rows, TASKS, root)


def person_of(subset: str, stem: str) -> str:
    """Returns the person of a file name without suffix; "0053" and "53" are the same one."""
    name = stem if subset in WHOLE_STEM else stem.split("_", maxsplit=1)[0]
    return name.lstrip("0") or "0" if name.isdecimal() else name


def classes_of(words: Collection[str]) -> dict[str, str]:
    """Returns task to class, "" where the words of a person do not settle it."""
    return {task: _class_of(words, rule) for task, rule in RULES.items()}


def _class_of(words: Collection[str], rule: Rule) -> str:
    found = {word.removeprefix(rule.prefix) for word in words if word.startswith(rule.prefix)}
    found &= set(rule.classes)
    outweighed = {word for word in found if found & set(rule.yields.get(word, ()))}
    classes = {rule.classes[word] for word in found - outweighed}
    if len(classes) == 1:
        return classes.pop()
    return rule.several if len(classes) > 1 and "none" not in classes else ""


def _read_subset(archive: Path) -> list[dict[str, str]]:
    subset = archive.parent.name
    words = _read_labels(archive / LABELS, subset)
    labels = {person: classes_of(found) for person, found in words.items()}
    unlabelled = dict.fromkeys(RULES, "")
    rows, without, people = [], [], set()
    for path in images_in(archive):
        person = person_of(subset, path.stem)
        people.add(person)
        if person not in labels:
            without.append(path.name)
        camera = CAMERAS[subset].search(path.stem) if subset in CAMERAS else None
        rows.append(
            {IMAGE: str(path.absolute()), GROUP: f"{subset}/{person}"}
            | labels.get(person, unlabelled)
            | {"subset": subset, "camera": camera[1] if camera else ""}
        )
    logger.info("%s: %s images of %s people", subset, f"{len(rows):,}", f"{len(people):,}")
    tell(logger, f"{subset}: images without a line in {LABELS}, kept without labels", without)
    absent = [person for person in labels if person not in people]
    tell(logger, f"{subset}: people in {LABELS} without an image", absent)
    return rows


def _read_labels(path: Path, subset: str) -> dict[str, set[str]]:
    """Returns person to words. Where two lines name one person, only what both say is kept."""
    people: dict[str, set[str]] = {}
    again = []
    try:
        text = read_input(path, MOST_BYTES).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise expected("a list of people", error.strerror, "Restore the file.", path) from None
    for line in text.splitlines():
        if not line.strip():
            continue
        name, *words = line.split()
        person = person_of(subset, Path(name).stem if "." in name else name)
        if person in people:
            again.append(person)
        people[person] = people.get(person, set(words)) & set(words)
    tell(logger, f"{subset}: people with two lines in {LABELS}, only what both say kept", again)
    return people
