"""Reads images and their boxes, of VOC, Oxford-IIIT Pet (XML) or Penn-Fudan (text)."""

import io
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from PIL import Image

from helpers import manifest
from helpers.common import expected, open_input, read_input
from helpers.manifest import GROUP, IMAGE, Problem, did_you_mean

MOST_BYTES = 5_000_000  # of an annotation: ten thousand boxes take less
MOST_SIDE = 100_000  # pixels; a larger number in an annotation is a mistake
JPEG_QUALITY = 95  # of images that have to be converted
SLACK = 2.0  # pixels that a box may be outside of the image: tools count from 0 or from 1
PENN_FUDAN = b"PASCAL Annotation"  # in the first line of its files
# of one line each, from its start: a search in the whole text would take the square of its length
_SIZE = re.compile(r"Image size[^:]*:\s*(\d{1,9})\s*x\s*(\d{1,9})\b")
_FILE = re.compile(r'Image filename\s*:\s*"([^"]*)"')
_COUNT = re.compile(r"Objects with ground truth\s*:\s*(\d{1,6})\b")
_BOX = re.compile(
    r'Bounding box for object \d+ "([^"]*)"[^:]*:\s*'
    r"\((-?\d{1,9}),\s*(-?\d{1,9})\)\s*-\s*\((-?\d{1,9}),\s*(-?\d{1,9})\)"
)
MASKS = {"trimaps", "PedMasks", "SegmentationClass", "SegmentationObject"}  # folders
FIX_BOX = "Correct the box, or delete the annotation and its image."


@dataclass(frozen=True)
class Box:
    """An annotated object, with its edges in pixels of the upright image."""

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
    """An image file and its annotation."""

    image: Path
    source: Path  # the annotation
    width: int  # pixels of the upright image
    height: int
    boxes: tuple[Box, ...]
    group: str  # stays in one split; the image's stem where no groups are given


class BadFileError(Exception):
    """An annotation or an image that cannot be used: kind, found, expected, fix[, severity]."""

    def about(self, file: Path | str) -> Problem:
        """Returns it as a problem of `file`."""
        kind, *texts = self.args
        return Problem(None, str(file), *texts, kind=kind)


def read_annotations(
    folder: Path,
    names: Sequence[str] | None = None,
    class_from: str = "annotation",
    groups: Mapping[str, str] | None = None,
) -> tuple[list[Annotated], list[Problem]]:
    """Reads and checks every annotation below a folder, and its image.

    An image with one bad box is left out: an object without a box would be learned as background.
    `names` are the only classes allowed (None: any), `groups` maps image file stem to group. With
    `class_from` "file", the file name ("american_bulldog_12.jpg") is the class of all its boxes.
    Raises WorkshopError where there is no such folder, or no annotation in it.
    """
    folder = Path(folder)
    files = _annotation_files(folder)
    images = defaultdict(list)  # by file name, and by stem
    for path in manifest.images_in(folder, deep=True):
        if not MASKS & set(path.parts):  # these lie beside the images and have their names
            images[path.name].append(path)
            images[path.stem].append(path)
    names = None if names is None else dict.fromkeys(names)
    read = partial(_read_one, folder, images, names, class_from, groups or {})
    results = manifest.map_in_threads(read, files, desc="reading annotations")
    first: dict[Path, Annotated] = {}
    problems = [one for one in results if isinstance(one, Problem)]
    for one in (one for one in results if isinstance(one, Annotated)):
        if (other := first.setdefault(one.image, one)) is not one:
            texts = f"another of {one.image.name}, {other.source.name}", "one for each image"
            error = BadFileError("two annotations", *texts, "Put all boxes into one of them.")
            problems.append(error.about(one.source))
    what = "an annotation of the same name, if need be one without an object"
    texts = "an image without an annotation", what, "Annotate it, or delete it.", "warning"
    lonely = BadFileError("missing annotation", *texts)
    stems = {path.stem: path for some in images.values() for path in some}
    missing = sorted(stems.keys() - {path.stem for path in files})
    return [*first.values()], problems + [lonely.about(stems[stem]) for stem in missing]


def read_groups(path: Path) -> dict[str, str]:
    """Reads a CSV with the columns `image_path` and `group`: file stem to group, where given."""
    frame, lines = manifest.read_table(path, fix="Correct the path, or leave --groups out.")
    if not {IMAGE, GROUP} <= set(frame.columns):
        fix = "Correct the header, or leave --groups out."
        raise expected(f"the columns {IMAGE} and {GROUP}", ", ".join(frame.columns), fix, path)
    groups: dict[str, str] = {}
    for image, group, line in zip(frame[IMAGE], frame[GROUP], lines):
        stem = PureWindowsPath(image).stem
        if group and groups.setdefault(stem, group) != group:
            found, where = f"{groups[stem]!r} and {group!r}", f"{path}, row {line}"
            raise expected(f"one group for {stem!r}", found, "Correct one of them.", where)
    return groups


def rgb_file(path: Path) -> tuple[bytes, str]:
    """Returns the bytes of an upright RGB JPEG or PNG, converted if necessary, and its format."""
    header, data = manifest.open_image(path)
    kind = "jpeg" if header.kind == "JPEG" else "png"
    if header.kind != "BMP" and header.layers == 3 and header.orientation == 1:
        return data, kind
    file = io.BytesIO()
    options = {"quality": JPEG_QUALITY} if kind == "jpeg" else {}
    Image.fromarray(manifest.decode(header, data)).save(file, kind, **options)
    return file.getvalue(), kind


def _read_one(
    folder: Path,
    images: Mapping[str, list[Path]],
    names: Collection[str] | None,
    class_from: str,
    groups: Mapping[str, str],
    path: Path,
) -> Annotated | Problem:
    try:
        reader = _read_penn_fudan if path.suffix == ".txt" else _read_voc
        named, size, boxes = reader(read_input(path, MOST_BYTES))
        image = _find_image(folder, images, path, named)
        if manifest.printable(image.name) != image.name:
            texts = f"an image {manifest.printable(image.name)}", "a name in UTF-8", "Rename it."
            raise BadFileError("file name", *texts)
        if finding := manifest.check_image(image):
            raise BadFileError(finding.kind, finding.found, finding.expected, finding.fix)
        real = manifest.open_image(image)[0][1:3]  # width, height
        if any(size) and size != real:  # 0 x 0 is from a tool that does not know the size
            found = f"width x height {size[0]} x {size[1]} in the annotation"
            fix = "Annotate this version of the image, or restore the one that was annotated."
            raise BadFileError("size disagrees", found, f"{real[0]} x {real[1]}, as it has", fix)
        if class_from == "file":
            boxes = [replace(box, name=_class_of_file(image)) for box in boxes]
        clipped = tuple(_clipped(box, real, names) for box in boxes)
        return Annotated(image, path, *real, clipped, groups.get(image.stem, image.stem))
    except BadFileError as error:
        return error.about(path)
    except OSError as error:
        return _unreadable(error.strerror).about(path)


def _annotation_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        what = "a folder of images and annotations"
        raise expected(what, f"none at {folder}", "Check --voc.")
    xml = sorted(p for p in folder.rglob("*.xml") if p.is_file() and p.name[0] != ".")
    text = sorted(p for p in folder.rglob("*.txt") if p.is_file() and _is_penn_fudan(p))
    if not xml and not text:
        what = f"VOC annotations (*.xml), or those of Penn-Fudan (*.txt), below {folder}"
        raise expected(what, "none", "Check --voc.")
    return xml + text


def _is_penn_fudan(path: Path) -> bool:
    try:
        with open_input(path) as file:
            return PENN_FUDAN in file.read(200)
    except OSError:
        return True  # it is read again, and reported


def _find_image(
    folder: Path, images: Mapping[str, list[Path]], annotation: Path, named: str
) -> Path:
    """Returns the image that an annotation names, or else the one named like the annotation.

    Only the last part of the name counts, so that no annotation can point outside the folder.
    """
    wanted = PureWindowsPath(named)  # splits at backslashes too: the file may be from Windows
    for name in (wanted.name, wanted.stem, annotation.stem):
        found = images.get(name, [])
        if len(found) > 1:
            fix = "Separate the images, or give them different names."
            what = f"{len(found)} images {found[0].name}"
            raise BadFileError("ambiguous image", what, "one", fix)
        if found:
            return found[0]
    what = "the image that the annotation names, or one named like the annotation"
    fix = f"{did_you_mean(wanted.stem, images)}Restore it, or delete the annotation."
    found = f"no image {named[:80] or annotation.stem!r} below {folder}"
    raise BadFileError("missing image", found, what, fix)


def _unreadable(found: object) -> BadFileError:
    what = f"VOC XML without a DTD, or Penn-Fudan's text, of at most {MOST_BYTES:,} bytes"
    return BadFileError("unreadable annotation", str(found), what, "Restore it, or export it anew.")


def _read_voc(data: bytes) -> tuple[str, tuple[int, int], list[Box]]:
    try:
        # entities and external files are refused: they can fill the memory, or read other files
        root = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise _unreadable(error) from None
    if root.tag != "annotation":
        raise _unreadable(f"<{root.tag[:40]}>")
    size = tuple(int(_number(root, f"size/{side}", 0)) for side in ("width", "height"))
    boxes = [_voc_box(item) for item in root.iterfind("object")]
    return root.findtext("filename", "").strip(), size, boxes


def _voc_box(item: Element) -> Box:
    edges = [_number(item, f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    flags = [bool(_number(item, flag, 0)) for flag in ("difficult", "truncated")]
    view = (item.findtext("pose") or "Unspecified").strip()
    return Box(item.findtext("name", "").strip(), *edges, *flags, view)


def _number(element: Element, path: str, default: float | None = None) -> float:
    text = element.findtext(path)
    if default is not None and not (text or "").strip():
        return default
    with suppress(TypeError, ValueError):
        if abs(value := float(text)) <= MOST_SIDE:  # False for nan
            return value
    what = f"a number up to {MOST_SIDE:,} in <{path.replace('/', '><')}>"
    raise BadFileError("bad number", f"{path} = {str(text)[:40]!r}", what, FIX_BOX)


def _read_penn_fudan(data: bytes) -> tuple[str, tuple[int, int], list[Box]]:
    lines = [line.strip() for line in data.decode("utf-8", errors="replace").splitlines()]
    named, size, counted, found = (
        [match.groups() for match in map(pattern.match, lines) if match]
        for pattern in (_FILE, _SIZE, _COUNT, _BOX)
    )
    begun = sum(line.startswith("Bounding box") for line in lines)
    once = [len(named), len(size), len(counted)] == [1, 1, 1]
    if not once or not int(counted[0][0]) == len(found) == begun:
        raise _unreadable(f"{len(found)} boxes, or file name, size or number of objects not once")
    boxes = [Box(name, *map(float, edges)) for name, *edges in found]
    return named[0][0], tuple(map(int, size[0])), boxes


def _class_of_file(image: Path) -> str:
    name, _, number = image.stem.rpartition("_")
    if not name or not number.isdecimal():
        what = "a class and a number, such as beagle_12.jpg"
        fix = "Rename it, or take classes from the annotations: --class-from annotation."
        raise BadFileError("unknown class", f"the file name {image.name}", what, fix)
    return name


def _clipped(box: Box, size: tuple[int, int], names: Collection[str] | None) -> Box:
    """Returns a box clipped to its image; raises where it cannot be used."""
    if not box.name or (names is not None and box.name not in names):
        what = f"one of {manifest.first_few(names, 20)}" if names else "a name"
        fix = f"{did_you_mean(box.name, names or ())}Correct it, or add it to the label map."
        raise BadFileError("unknown class", f"the class {box.name[:60]!r}", what, fix)
    xmin, ymin, xmax, ymax = edges = box.xmin, box.ymin, box.xmax, box.ymax
    if xmax <= xmin or ymax <= ymin:
        found = f"a {box.name} from {xmin:g} to {xmax:g}, {ymin:g} to {ymax:g}"
        raise BadFileError("degenerate box", found, "xmin below xmax and ymin below ymax", FIX_BOX)
    width, height = size
    beyond = max(-xmin, -ymin, xmax - width, ymax - height) > SLACK
    if beyond or xmin >= width or ymin >= height:
        found = f"a {box.name} at {', '.join(f'{edge:g}' for edge in edges)}"
        wanted = f"edges within the image of {width} x {height}"
        raise BadFileError("box outside", found, wanted, FIX_BOX)
    inside = {"xmax": min(xmax, float(width)), "ymax": min(ymax, float(height))}
    return replace(box, xmin=max(xmin, 0.0), ymin=max(ymin, 0.0), **inside)
