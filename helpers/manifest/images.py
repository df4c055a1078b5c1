"""Opens image files: judges them before anything is decoded, and decodes them without TensorFlow.

What training reads with is what the manifest is checked with; an endpoint has `read_header`. OpenCV
has the libjpeg and libpng of TensorFlow, and the same pixels. TensorFlow shows palette BMP in wrong
colors and has its own ways with broken GIF, so those are decoded by Pillow for all.
"""

import errno
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import error as StructError
from typing import Any

import cv2
import numpy as np
from PIL import Image

from helpers.common import CORES, WorkshopError, progress_bar, read_input
from helpers.manifest.image_header import (
    DAMAGED,
    MAX_PIXELS,
    Header,
    ImageError,
    check_size,
    read_header,
)
from helpers.manifest.problems import Problem

IMAGE_HEADER = Path(__file__).with_name("image_header.py")  # goes into an endpoint's archive
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")  # what such files are called, in lower case
MAX_BYTES = 8 * MAX_PIXELS + 2**20  # what so many pixels take at most, uncompressed
THREADS = min(8, 2 * CORES)  # OpenCV and Pillow free the lock while they decode
OTHERS = {b"II*\0": "TIFF", b"MM\0*": "TIFF", b"RIFF": "WEBP", b"8BPS": "PSD", b"%!PS": "EPS"}
SAVE_AGAIN = "Save it again as an RGB JPEG or PNG, e.g. Image.open(old).convert('RGB').save(new)."
RESTORE, LEAVE = "Restore the file, or leave it out.", "Leave it out."
ADVICE = {  # kind of problem: what was expected, and what to do
    "missing file": ("an image", "Correct the path, relative to the CSV's folder, or restore it."),
    "unreadable file": ("a readable file", f"Change its permissions. {LEAVE}"),
    "unreadable image": ("a whole image", RESTORE),
    "too large": (f"at most {MAX_PIXELS // 10**6} million pixels", f"Make it smaller. {LEAVE}"),
    "format": ("JPEG, PNG, BMP or a still GIF", SAVE_AGAIN),
    "color": ("an image in RGB or grey", SAVE_AGAIN),
}
_REDUCED = {1: 0, 2: 16, 4: 32, 8: 64}  # flags of OpenCV that decode a JPEG at a smaller scale


class UnreadableError(WorkshopError):
    """Says what is wrong with an image file."""

    def __init__(self, kind: str, found: str):
        wanted, fix = ADVICE[kind]
        super().__init__(f"expected {wanted}, found {found}. {fix}")
        self.problem = Problem(None, "", found, wanted, fix, kind=kind)


def images_in(folder: Path, deep: bool = False) -> list[Path]:
    """Returns the images of a folder, or of all folders below it too, sorted; no hidden files."""
    found = folder.glob("**/*" if deep else "*")
    return sorted(p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def open_image(image: Path | str | bytes) -> tuple[Header, bytes]:
    """Reads and judges an image file, or its bytes; returns bytes that all decoders read alike.

    UnreadableError says: no regular file, no image, damaged, too large, or seen in two ways.
    """
    try:
        data = image if isinstance(image, bytes) else _read_file(Path(image))
        header = read_header(data)
        return (header, data) if header else _convert(data)
    except ImageError as error:
        raise UnreadableError(error.kind, error.found) from None


def decode(header: Header, data: bytes, times: int = 1) -> np.ndarray:
    """Decodes what `open_image` returned: uint8 (height, width, 3), RGB, upright.

    A JPEG comes at 1 / `times` (1, 2, 4 or 8). One that is damaged raises `UnreadableError`.
    """
    reduced = _REDUCED[times] if header.kind == "JPEG" else 0
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | reduced
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise UnreadableError("unreadable image", DAMAGED)
    if header.layers == 4:  # 0 to 2 levels lighter than in TensorFlow, as OpenCV rounds up
        pixels = cv2.subtract(pixels, (1, 1, 1, 0))
    rows, columns = ((1, 1), (1, -1), (-1, -1), (-1, 1))[(header.orientation - 1) % 4]
    upright = pixels.transpose(1, 0, 2) if header.orientation >= 5 else pixels
    return np.ascontiguousarray(upright[::rows, ::columns])


def check_image(path: Path | str) -> Problem | None:
    """Decodes an image and returns what is wrong with it; judges its head before that."""
    try:
        decode(*open_image(path), 8)  # at this scale a JPEG is all read, but 4 times as fast
    except UnreadableError as error:
        return error.problem
    return None


def map_in_threads(work: Callable, items: Sequence, **bar: Any) -> list:
    """Returns what `work` makes of each item, in order, with a progress bar; see `THREADS`."""
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            return list(progress_bar(iterable=pool.map(work, items), total=len(items), **bar))
        except BaseException:  # also Ctrl-C: the pool would finish all items first
            pool.shutdown(cancel_futures=True)
            raise


def _read_file(path: Path) -> bytes:
    try:
        return read_input(path, MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        names = [name for suffix in SUFFIXES for name in (suffix, suffix.upper()) if path.suffix]
        twin = next((name for name in map(path.with_suffix, names) if name.exists()), None)
        found = f"no such file, but {twin.name!r} there" if twin else "no such file"
        raise ImageError("missing file", found) from None
    except OSError as error:  # also a pipe or a device, or a name that no file can have
        kind = "too large" if error.errno == errno.EFBIG else "unreadable file"
        raise ImageError(kind, f"one that cannot be read ({error.strerror})") from None


def _convert(data: bytes) -> tuple[Header, bytes]:
    """Decodes a BMP or GIF, and encodes it again as an RGB BMP."""
    if kind := OTHERS.get(data[:4]):
        raise ImageError("format", f"a {kind} file")
    if not data.startswith((b"BM", b"GIF8")):
        found = "a file that is no image, whatever its name says" if data else "a file of 0 bytes"
        raise ImageError("unreadable image", found)
    try:
        with Image.open(io.BytesIO(data), formats=("BMP", "GIF")) as image:
            check_size(*image.size)
            if getattr(image, "is_animated", False):
                raise ImageError("format", "an animated GIF")
            if image.format == "BMP" and image.mode not in ("RGB", "L"):
                found = f"a BMP with a palette (mode {image.mode})"
                raise ImageError("color", f"{found}, which TensorFlow shows in wrong colors")
            file = io.BytesIO()
            image.convert("RGB").save(file, "BMP")
            return Header("BMP", *image.size, 3), file.getvalue()
    except Image.DecompressionBombError as error:
        raise ImageError("too large", f"one that Pillow refuses: {error}") from None
    except (OSError, SyntaxError, ValueError, IndexError, EOFError, StructError) as error:
        raise ImageError("unreadable image", f"{DAMAGED} ({error})") from None
