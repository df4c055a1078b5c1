"""Reads pictures and their boxes from what people have; names every file that is no good.

Three layouts are found by themselves below a folder:

VOC          Annotations/*.xml and JPEGImages/*.jpg, or any folders of XML and pictures
pets         annotations/xmls/*.xml and images/*.jpg (Oxford-IIIT, as the API's guide has it)
Penn-Fudan   Annotation/*.txt and PNGImages/*.png

A picture is named by its annotation, but only ever looked for below that folder.
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
from helpers.manifest import THREADS, Problem, check_picture, did_you_mean, pictures_in

MOST_BYTES = 5_000_000  # of an annotation: ten thousand boxes take less
MOST_SIDE = 100_000  # pixels; a larger number in an annotation is a mistake
SLACK = 2.0  # pixels that a box may leave the picture by: tools count from 0 or from 1
ORIENTATION = 0x0112  # EXIF
PENN_FUDAN = "PASCAL Annotation"  # stands in the first line of its files
_SIZE = re.compile(r"Image size.*?:\s*(\d+)\s*x\s*(\d+)")
_FILE = re.compile(r'Image filename\s*:\s*"([^"]*)"')
_BOX = re.compile(
    r'Bounding box for object \d+ "([^"]*)".*?:\s*'
    r"\((-?\d+),\s*(-?\d+)\)\s*-\s*\((-?\d+),\s*(-?\d+)\)"
)
SEPARATE = "Separate the pictures, or give them different names."
MEND_BOX = "Correct the box, or delete the annotation and its picture."


@dataclass(frozen=True)
class Box:
    """An object: its edges in pixels of the upright picture, as the annotation has them."""

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
    """A picture and its boxes.

    Attributes:
        picture: the file of the picture.
        source: the file of the annotation.
        width: pixels of the upright picture.
        height: likewise.
        boxes: the objects in it; there may be none.
        group: what must never be split; the picture itself where nothing is given.
    """

    picture: Path
    source: Path
    width: int
    height: int
    boxes: tuple[Box, ...]
    group: str = ""


class BadFileError(Exception):
    """An annotation or a picture that cannot be used."""

    def __init__(self, kind: str, found: str, expected: str, fix: str, severity: str = "error"):
        super().__init__(found)
        self.kind, self.found, self.expected, self.fix = kind, found, expected, fix
        self.severity = severity

    def about(self, file: Path | str) -> Problem:
        """Returns it as a problem of `file`."""
        return Problem(
            None, str(file), self.found, self.expected, self.fix, self.severity, self.kind
        )


def read_annotations(
    folder: Path,
    names: Sequence[str] | None = None,
    class_from: str = "annotation",
    groups: Mapping[str, str] | None = None,
) -> tuple[list[Annotated], list[Problem]]:
    """Reads every annotation below a folder, and looks at every picture.

    Args:
        folder: of one of the three layouts.
        names: the only classes there may be; any where None.
        class_from: "annotation", or "file" for the class in the pets' file names
            ("american_bulldog_12.jpg"), which counts for all boxes of the picture.
        groups: picture's file name without suffix to its group.

    Returns:
        What can be used, by the name of the annotation, and a problem for everything else. A
        picture with one bad box is left out whole: an object without its box would be learned
        as background.

    Raises:
        WorkshopError: no such folder, or no annotation in it.
    """
    folder = Path(folder)
    files = list(_annotation_files(folder))
    shelf = _Shelf(folder)
    found: list[Annotated] = []
    problems: list[Problem] = []
    read = partial(read_one, shelf=shelf, names=names, class_from=class_from)
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(read, files)
        for annotated, its_problems in progress_bar(
            iterable=results, total=len(files), desc="reading annotations"
        ):
            problems += its_problems
            if annotated:
                group = (groups or {}).get(annotated.picture.stem, annotated.picture.stem)
                found.append(replace(annotated, group=group))
    found, twice = _without_twins(found)
    used = {path.stem for path in files}
    return found, problems + twice + list(shelf.without_annotation(used))


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


def read_one(
    path: Path, shelf: "_Shelf", names: Sequence[str] | None = None, class_from: str = "annotation"
) -> tuple[Annotated | None, list[Problem]]:
    """Reads one annotation: what can be used of it, and what is wrong with it."""
    try:
        reader = _read_penn_fudan if path.suffix == ".txt" else _read_voc
        named, size, boxes = reader(_read_text(path))
        picture = shelf.find(path, named)
        if finding := check_picture(picture):
            raise BadFileError(finding.kind, finding.found, finding.expected, finding.fix)
        real = upright_size(picture)
        if class_from == "file":
            boxes = [replace(box, name=_class_of_file(picture)) for box in boxes]
        notes = [] if size == real else [_judge_size(size, real).about(path)]
        boxes = [_checked_box(box, real, names) for box in boxes]
        clipped = tuple(_clip(box, real) for box in boxes)
        count = sum(a != b for a, b in zip(boxes, clipped))
        notes += [_clipped(count).about(path)] if count else []
        return Annotated(picture, path, *real, clipped), notes
    except BadFileError as error:
        return None, [error.about(path)]


def upright_size(path: Path) -> tuple[int, int]:
    """Returns (width, height) of a picture as it is meant to be seen."""
    with Image.open(path) as picture:
        lying = picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        return picture.size[::-1] if lying else picture.size


def _annotation_files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise WorkshopError(
            f"expected a folder of pictures and annotations, found none at {folder}. Check --voc."
        )
    xml = sorted(p for p in folder.rglob("*.xml") if p.is_file() and p.name[0] != ".")
    text = sorted(p for p in folder.rglob("*.txt") if p.is_file() and _is_penn_fudan(p))
    if not xml and not text:
        raise WorkshopError(
            f"expected VOC annotations (*.xml), or those of Penn-Fudan (*.txt), below {folder}, "
            "found none. Check --voc."
        )
    yield from xml
    yield from text


def _is_penn_fudan(path: Path) -> bool:
    with path.open("rb") as file:
        return PENN_FUDAN.encode() in file.read(200)


class _Shelf:
    """The pictures below a folder, by their names."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        # trimaps and masks lie beside the pictures and are called like them
        for path in pictures_in(folder, deep=True):
            if not {"trimaps", "PedMasks", "SegmentationClass", "SegmentationObject"} & set(
                path.parts
            ):
                self._by_stem[path.stem].append(path)

    def find(self, annotation: Path, named: str) -> Path:
        """Returns the picture of an annotation: the file that it names, or the one named like it.

        Only the last part of the name counts: what a file says can lead nowhere else.
        """
        # a file written on Windows has backslashes, on whatever machine it is read
        stems = [PureWindowsPath(named).stem, annotation.stem]
        for stem in dict.fromkeys(filter(None, stems)):
            found = self._by_stem.get(stem, [])
            exact = [path for path in found if path.name == PureWindowsPath(named).name]
            found = exact or found
            if len(found) > 1:
                raise BadFileError(
                    "ambiguous picture", f"{len(found)} pictures {found[0].name}", "one", SEPARATE
                )
            if found:
                return found[0]
        near = did_you_mean(stems[0], self._by_stem)
        raise BadFileError(
            "missing picture",
            f"no picture {named[:80] or annotation.stem!r} below {self.folder}",
            "the picture that the annotation names, or one named like the annotation",
            f"{near}Restore it, or delete the annotation.",
        )

    def without_annotation(self, stems: Iterable[str]) -> Iterator[Problem]:
        """Yields a problem for each picture that no annotation is named like."""
        for stem in sorted(set(self._by_stem) - set(stems)):
            yield BadFileError(
                "missing annotation",
                "a picture without an annotation",
                "an annotation of the same name, if need be one without an object",
                "Annotate it, or delete it.",
                "warning",
            ).about(self._by_stem[stem][0])


def _without_twins(found: list[Annotated]) -> tuple[list[Annotated], list[Problem]]:
    """Keeps the first of several annotations of the same picture."""
    first: dict[Path, Annotated] = {}
    problems = []
    for annotated in found:
        other = first.setdefault(annotated.picture, annotated)
        if other is not annotated:
            problem = BadFileError(
                "two annotations",
                f"another annotation of {annotated.picture.name}, {other.source.name}",
                "one annotation for each picture",
                "Put all boxes into one of them and delete the other.",
            )
            problems.append(problem.about(annotated.source))
    return list(first.values()), problems


def _read_text(path: Path) -> bytes:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadFileError(
                "too large", f"{path.stat().st_size:,} bytes", f"at most {MOST_BYTES:,}", MEND_BOX
            )
        return path.read_bytes()
    except OSError as error:
        raise BadFileError(
            "unreadable annotation", str(error.strerror), "a readable file", "Check permissions."
        ) from None


def _read_voc(data: bytes) -> tuple[str, tuple[int, int], list[Box]]:
    try:
        # entities and external files are refused: they can fill the memory, or read other files
        root = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        reason = "a DTD or an entity" if isinstance(error, DefusedXmlException) else str(error)
        raise BadFileError(
            "unreadable annotation", reason, "VOC XML without a DTD", "Export it anew."
        ) from None
    if root.tag != "annotation":
        raise BadFileError(
            "unreadable annotation", f"<{root.tag[:40]}>", "<annotation>", "Export it anew."
        )
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


def _class_of_file(picture: Path) -> str:
    name, _, number = picture.stem.rpartition("_")
    if not name or not number.isdecimal():
        raise BadFileError(
            "unknown class",
            f"the file name {picture.name}",
            "a class and a number, such as beagle_12.jpg",
            "Rename it, or take classes from the annotations: --class-from annotation.",
        )
    return name


def _judge_size(size: tuple[int, int], real: tuple[int, int]) -> BadFileError:
    """Raises where boxes and picture cannot belong together; else says what was overlooked."""
    problem = BadFileError(
        "size disagrees",
        f"width x height {size[0]} x {size[1]} in the annotation",
        f"{real[0]} x {real[1]}, as the picture has",
        "Annotate this version of the picture, or restore the one that was annotated.",
        "warning" if size == (0, 0) else "error",  # 0: a tool that does not know
    )
    if problem.severity == "error":
        raise problem
    return problem


def _checked_box(box: Box, size: tuple[int, int], names: Sequence[str] | None) -> Box:
    if not box.name or (names is not None and box.name not in names):
        raise BadFileError(
            "unknown class",
            f"the class {box.name[:60]!r}",
            f"one of {', '.join(names)}" if names else "a name",
            f"{did_you_mean(box.name, names or ())}Correct it, or add it to the label map.",
        )
    edges = f"{box.xmin:g}, {box.ymin:g}, {box.xmax:g}, {box.ymax:g}"
    if box.xmax <= box.xmin or box.ymax <= box.ymin:
        raise BadFileError(
            "degenerate box",
            f"a {box.name} from {box.xmin:g} to {box.xmax:g}, {box.ymin:g} to {box.ymax:g}",
            "xmin below xmax and ymin below ymax",
            MEND_BOX,
        )
    width, height = size
    if (
        min(box.xmin, box.ymin) < -SLACK
        or box.xmax > width + SLACK
        or box.ymax > height + SLACK
        or box.xmin >= width
        or box.ymin >= height
    ):
        raise BadFileError(
            "box outside",
            f"a {box.name} at {edges}",
            f"edges within the picture of {width} x {height}",
            MEND_BOX,
        )
    return box


def _clip(box: Box, size: tuple[int, int]) -> Box:
    width, height = size
    return replace(
        box,
        xmin=max(box.xmin, 0.0),
        ymin=max(box.ymin, 0.0),
        xmax=min(box.xmax, float(width)),
        ymax=min(box.ymax, float(height)),
    )


def _clipped(count: int) -> BadFileError:
    return BadFileError(
        "box clipped",
        f"{count} boxes up to {SLACK:g} pixels outside",
        "edges within the picture",
        "Nothing to do: they were clipped.",
        "warning",
    )
