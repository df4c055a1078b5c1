"""Reads images and their boxes; names every file that is no good.

Three layouts are found by themselves below a folder, and images are only looked for there:

VOC          Annotations/*.xml and JPEGImages/*.jpg, or any folders of XML and images
pets         annotations/xmls/*.xml and images/*.jpg (Oxford-IIIT, as the API's guide has it)
Penn-Fudan   Annotation/*.txt and PNGImages/*.png
"""

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from PIL import Image

from helpers.common import WorkshopError, progress_bar
from helpers.manifest import THREADS, Problem, check_image, did_you_mean, images_in

MOST_BYTES = 5_000_000  # of an annotation: ten thousand boxes take less
MOST_SIDE = 100_000  # pixels; a larger number in an annotation is a mistake
SLACK = 2.0  # pixels that a box may leave the image by: tools count from 0 or from 1
ORIENTATION = 0x0112  # EXIF
PENN_FUDAN = b"PASCAL Annotation"  # stands in the first line of its files
_SIZE = re.compile(r"Image size.*?:\s*(\d+)\s*x\s*(\d+)")
_FILE = re.compile(r'Image filename\s*:\s*"([^"]*)"')
_BOX = re.compile(
    r'Bounding box for object \d+ "([^"]*)".*?:\s*'
    r"\((-?\d+),\s*(-?\d+)\)\s*-\s*\((-?\d+),\s*(-?\d+)\)"
)
MASKS = {"trimaps", "PedMasks", "SegmentationClass", "SegmentationObject"}  # folders
EXPORT_ANEW = "Export it anew."
MEND_BOX = "Correct the box, or delete the annotation and its image."


@dataclass(frozen=True)
class Box:
    """An object: its edges in pixels of the upright image, as the annotation has them."""

    name: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    difficult: bool = False
    truncated: bool = False
    view: str = "Unspecified"


@dataclass(frozen=True)
class Annotated:
    """An image file and what its annotation says."""

    image: Path
    source: Path  # the annotation
    width: int  # pixels of the upright image
    height: int
    boxes: tuple[Box, ...]
    group: str  # what must never be split; the image's name where none is given


class BadFileError(Exception):
    """An annotation or an image that cannot be used: kind, found, expected, fix[, severity]."""

    def about(self, file: Path | str) -> Problem:
        """Returns it as a problem of `file`."""
        kind, found, expected, fix, *severity = self.args
        return Problem(None, str(file), found, expected, fix, *(severity or ["error"]), kind)


def read_annotations(
    folder: Path,
    names: Sequence[str] | None = None,
    class_from: str = "annotation",
    groups: Mapping[str, str] | None = None,
) -> tuple[list[Annotated], list[Problem]]:
    """Reads every annotation below a folder, and looks at every image.

    Args:
        folder: of one of the three layouts.
        names: the only classes there may be; any where None.
        class_from: "annotation", or "file" for the class in the pets' file names
            ("american_bulldog_12.jpg"), which counts for all boxes of the image.
        groups: image file name without suffix to its group.

    Returns:
        What can be used, by the name of the annotation, and a problem for everything else. An
        image with one bad box is left out: an object without a box would be learned as background.

    Raises:
        WorkshopError: no such folder, or no annotation in it.
    """
    files = _annotation_files(Path(folder))
    shelf = _Shelf(Path(folder))
    read = partial(_read_one, shelf=shelf, names=names, class_from=class_from, groups=groups or {})
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(read, files)
        bar = progress_bar(iterable=results, total=len(files), desc="reading annotations")
        found, problems = zip(*bar)
    found, twice = _without_twins(one for one in found if one)
    problems = [problem for some in problems for problem in some] + twice
    return found, problems + list(shelf.without_annotation({path.stem for path in files}))


def read_groups(path: Path) -> dict[str, str]:
    """Reads a CSV with the columns `image_path` and `group`: file stem to group."""
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            return {Path(row["image_path"]).stem: row["group"] for row in csv.DictReader(file)}
    except (OSError, KeyError, csv.Error, UnicodeDecodeError) as error:
        raise WorkshopError(
            f"{path}: expected a CSV with the columns image_path and group, found {error!r}. "
            "Correct the file, or leave --groups out."
        ) from None


def _read_one(
    path: Path,
    shelf: "_Shelf",
    names: Sequence[str] | None,
    class_from: str,
    groups: Mapping[str, str],
) -> tuple[Annotated | None, list[Problem]]:
    """Reads one annotation: what can be used of it, and what is wrong with it."""
    try:
        reader = _read_penn_fudan if path.suffix == ".txt" else _read_voc
        named, size, boxes = reader(_read_bytes(path))
        image = shelf.find(path, named)
        if finding := check_image(image):
            raise BadFileError(finding.kind, finding.found, finding.expected, finding.fix)
        with Image.open(image) as opened:
            lying = opened.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
            real = opened.size[::-1] if lying else opened.size
        if class_from == "file":
            boxes = [replace(box, name=_class_of_file(image)) for box in boxes]
        notes = [_other_size(size, real).about(path)] if size != real else []
        if notes and notes[0].severity == "error":
            return None, notes
        clipped = tuple(_clipped(box, real, names) for box in boxes)
        if count := sum(a != b for a, b in zip(boxes, clipped)):
            found = f"{count} boxes up to {SLACK:g} pixels outside"
            fix = "Nothing to do: they were clipped."
            note = BadFileError("box clipped", found, "edges within the image", fix, "warning")
            notes.append(note.about(path))
        group = groups.get(image.stem, image.stem)
        return Annotated(image, path, *real, clipped, group), notes
    except BadFileError as error:
        return None, [error.about(path)]


def _annotation_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise WorkshopError(
            f"expected a folder of images and annotations, found none at {folder}. Check --voc."
        )
    xml = sorted(p for p in folder.rglob("*.xml") if p.is_file() and p.name[0] != ".")
    text = sorted(p for p in folder.rglob("*.txt") if p.is_file() and _is_penn_fudan(p))
    if not xml and not text:
        raise WorkshopError(
            f"expected VOC annotations (*.xml), or those of Penn-Fudan (*.txt), below {folder}, "
            "found none. Check --voc."
        )
    return xml + text


def _is_penn_fudan(path: Path) -> bool:
    with path.open("rb") as file:
        return PENN_FUDAN in file.read(200)


class _Shelf:
    """The images below a folder, by their names."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        # trimaps and masks lie beside the images and are called like them
        for path in images_in(folder, deep=True):
            if not MASKS & set(path.parts):
                self._by_stem[path.stem].append(path)

    def find(self, annotation: Path, named: str) -> Path:
        """Returns the file that an annotation names, or the one named like the annotation.

        Only the last part of the name counts: what a file says can lead nowhere else.
        """
        # a file written on Windows has backslashes, on whatever machine it is read
        stems = [PureWindowsPath(named).stem, annotation.stem]
        for stem in dict.fromkeys(filter(None, stems)):
            found = self._by_stem.get(stem, [])
            found = [p for p in found if p.name == PureWindowsPath(named).name] or found
            if len(found) > 1:
                fix = "Separate the images, or give them different names."
                what = f"{len(found)} images {found[0].name}"
                raise BadFileError("ambiguous image", what, "one", fix)
            if found:
                return found[0]
        near = did_you_mean(stems[0], self._by_stem)
        raise BadFileError(
            "missing image",
            f"no image {named[:80] or annotation.stem!r} below {self.folder}",
            "the image that the annotation names, or one named like the annotation",
            f"{near}Restore it, or delete the annotation.",
        )

    def without_annotation(self, stems: Iterable[str]) -> Iterator[Problem]:
        """Yields a problem for each image that no annotation is named like."""
        for stem in sorted(set(self._by_stem) - set(stems)):
            yield BadFileError(
                "missing annotation",
                "an image without an annotation",
                "an annotation of the same name, if need be one without an object",
                "Annotate it, or delete it.",
                "warning",
            ).about(self._by_stem[stem][0])


def _without_twins(found: Iterable[Annotated]) -> tuple[list[Annotated], list[Problem]]:
    """Keeps the first of several annotations of the same image."""
    first, problems = {}, []
    for one in found:
        if (other := first.setdefault(one.image, one)) is not one:
            problem = BadFileError(
                "two annotations",
                f"another annotation of {one.image.name}, {other.source.name}",
                "one annotation for each image",
                "Put all boxes into one of them and delete the other.",
            )
            problems.append(problem.about(one.source))
    return list(first.values()), problems


def _read_bytes(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise BadFileError("too large", f"{size:,} bytes", f"at most {MOST_BYTES:,}", MEND_BOX)
        return path.read_bytes()
    except OSError as error:
        found, fix = str(error.strerror), "Check permissions."
        raise BadFileError("unreadable annotation", found, "a readable file", fix) from None


def _read_voc(data: bytes) -> tuple[str, tuple[int, int], list[Box]]:
    try:
        # entities and external files are refused: they can fill the memory, or read other files
        root = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        reason = "a DTD or an entity" if isinstance(error, DefusedXmlException) else str(error)
        wanted = "VOC XML without a DTD"
        raise BadFileError("unreadable annotation", reason, wanted, EXPORT_ANEW) from None
    if root.tag != "annotation":
        found = f"<{root.tag[:40]}>"
        raise BadFileError("unreadable annotation", found, "<annotation>", EXPORT_ANEW)
    size = tuple(int(_number(root, f"size/{side}", 0)) for side in ("width", "height"))
    boxes = [_voc_box(item) for item in root.iterfind("object")]
    return (root.findtext("filename") or "").strip(), size, boxes


def _voc_box(item: Element) -> Box:
    edges = [_number(item, f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    flags = [bool(_number(item, flag, 0)) for flag in ("difficult", "truncated")]
    view = (item.findtext("pose") or "Unspecified").strip()
    return Box((item.findtext("name") or "").strip(), *edges, *flags, view)


def _number(element: Element, path: str, default: float | None = None) -> float:
    text = element.findtext(path)
    if default is not None and not (text or "").strip():
        return default
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not abs(value) <= MOST_SIDE:  # not a number, or out of all reason
        raise BadFileError(
            "bad number",
            f"{path} = {str(text)[:40]!r}",
            f"a number up to {MOST_SIDE:,} in <{path.replace('/', '><')}>",
            MEND_BOX,
        )
    return value


def _read_penn_fudan(data: bytes) -> tuple[str, tuple[int, int], list[Box]]:
    text = data.decode("utf-8", errors="replace")
    size, named = _SIZE.search(text), _FILE.search(text)
    boxes = [
        Box(name, *(min(float(edge), 1e9) for edge in edges)) for name, *edges in _BOX.findall(text)
    ]
    counted = re.search(r"Objects with ground truth\s*:\s*(\d{1,6})\b", text)
    if not (size and named and counted) or int(counted[1]) != len(boxes):
        raise BadFileError(
            "unreadable annotation",
            f"{len(boxes)} boxes" + (f" instead of {counted[1]}" if counted else ""),
            "file name, size, the number of objects and a box for each",
            "Restore the file.",
        )
    width, height = (int(side[:9]) for side in size.groups())
    return named[1], (width, height), boxes


def _class_of_file(image: Path) -> str:
    name, _, number = image.stem.rpartition("_")
    if not name or not number.isdecimal():
        raise BadFileError(
            "unknown class",
            f"the file name {image.name}",
            "a class and a number, such as beagle_12.jpg",
            "Rename it, or take classes from the annotations: --class-from annotation.",
        )
    return name


def _other_size(size: tuple[int, int], real: tuple[int, int]) -> BadFileError:
    return BadFileError(
        "size disagrees",
        f"width x height {size[0]} x {size[1]} in the annotation",
        f"{real[0]} x {real[1]}, as the image has",
        "Annotate this version of the image, or restore the one that was annotated.",
        "warning" if size == (0, 0) else "error",  # 0: a tool that does not know
    )


def _clipped(box: Box, size: tuple[int, int], names: Sequence[str] | None) -> Box:
    """Returns a box within its image; raises where nothing good can be made of it."""
    if not box.name or (names is not None and box.name not in names):
        raise BadFileError(
            "unknown class",
            f"the class {box.name[:60]!r}",
            f"one of {', '.join(names)}" if names else "a name",
            f"{did_you_mean(box.name, names or ())}Correct it, or add it to the label map.",
        )
    xmin, ymin, xmax, ymax = edges = box.xmin, box.ymin, box.xmax, box.ymax
    if xmax <= xmin or ymax <= ymin:
        found = f"a {box.name} from {xmin:g} to {xmax:g}, {ymin:g} to {ymax:g}"
        wanted = "xmin below xmax and ymin below ymax"
        raise BadFileError("degenerate box", found, wanted, MEND_BOX)
    width, height = size
    beyond = max(-xmin, -ymin, xmax - width, ymax - height) > SLACK
    if beyond or xmin >= width or ymin >= height:
        found = f"a {box.name} at {', '.join(f'{edge:g}' for edge in edges)}"
        wanted = f"edges within the image of {width} x {height}"
        raise BadFileError("box outside", found, wanted, MEND_BOX)
    inside = {"xmax": min(xmax, float(width)), "ymax": min(ymax, float(height))}
    return replace(box, xmin=max(xmin, 0.0), ymin=max(ymin, 0.0), **inside)
