"""Reads the head of a JPEG or PNG as libjpeg and libpng do, before anything is decoded.

It goes into `model.tar.gz`, too, as `code/image_header.py`: it may import nothing that AWS's
container lacks. What decoders could take in two ways is refused: JPEG with bytes between its
segments or of a rare kind, and CMYK without Adobe's marker, which TensorFlow 2.21 inverts.
"""

import re
import struct
from typing import NamedTuple

MAX_PIXELS = 50_000_000  # decoding holds 12 bytes a pixel as float32: 600 MB; cameras stay below
MAX_SIDE = 65_535  # of a JPEG by its format; OpenCV and libpng refuse a million
JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
PNG_END, ANIMATED = b"IEND\xaeB`\x82", b"\0\0\0\x08acTL"  # OpenCV composes the latter's frames
ADOBE = b"\xff\xee\0\x0eAdobe"  # how the segment with Adobe's marker begins
MOST_SCANS = 100  # of a JPEG: each takes as long as a whole image
ORIENTATION = 0x0112  # EXIF's tag: 1 is upright, or none; from 5 on height and width are swapped
DAMAGED = "an image that ends early or is damaged"
TIFF_BYTES = 4096  # of an EXIF segment that are looked at
_MARKER = re.compile(rb"\xff+([^\x00\xff])")  # libjpeg skips all bytes before one
_AFTER_SCAN = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_END, _SCAN = 0xD9, 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; few read others
_OTHERS = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)  # tables, applications, comments
_LONELY = (0x01, *range(0xD0, 0xD8))  # markers without a segment


class ImageError(Exception):
    """What is wrong with an image, and how many pixels its head promises (0: none seen)."""

    def __init__(self, kind: str, found: str, pixels: int = 0):
        super().__init__(found)
        self.kind, self.found, self.pixels = kind, found, pixels


class Header(NamedTuple):
    """What the head of an image says."""

    kind: str  # JPEG, PNG, or BMP where `helpers.manifest.open_image` made one
    width: int  # of the upright image, as its height
    height: int
    layers: int  # 1 grey, 3 color, 4 CMYK; 0 for a PNG with a palette or alpha
    orientation: int = 1  # to 8, as EXIF has it


def read_header(data: bytes) -> Header | None:
    """Returns the head of a JPEG or PNG, None for another file.

    Raises:
        ImageError: damaged, ambiguous, or larger than `MAX_PIXELS`.
    """
    if data.startswith(JPEG_START):
        return _read_jpeg(data)
    return _read_png(data) if data.startswith(PNG_START) else None


def check_size(width: int, height: int) -> None:
    """Raises `ImageError` for more than `MAX_PIXELS`, or a side that is too long."""
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError("too large", f"{width} x {height} pixels", width * height)


def _broken(what: str, pixels: int = 0) -> ImageError:
    return ImageError("unreadable image", f"{DAMAGED} ({what})", pixels)


def _read_jpeg(data: bytes) -> Header:
    """Walks from segment to segment to the end of the image."""
    at, strange, frame, pixels, scans, has_adobe = 2, False, None, 0, 0, False
    while found := (_AFTER_SCAN if scans else _MARKER).search(data, at):
        strange |= not scans and found.start() != at
        marker, at = found[1][0], found.end()
        if marker == _END and scans and not strange:
            orientation = _orientation(data)
            width, height = frame[:2] if orientation < 5 else frame[1::-1]
            return Header("JPEG", width, height, frame[2], orientation)
        if marker in _LONELY:
            strange = True
            continue
        end = at + int.from_bytes(data[at : at + 2], "big")
        if marker in _FRAMES:
            frame = _read_frame(data[at + 2 : end], not frame)
            pixels = frame[0] * frame[1]
        elif marker == _SCAN and frame and scans < MOST_SCANS:
            scans += 1
            if frame[2] == 4 and not has_adobe:
                what = "a CMYK JPEG without Adobe's marker, which TensorFlow shows inverted"
                raise ImageError("color", what, pixels)
        elif marker not in _OTHERS:
            raise _broken(f"marker {marker:X}", pixels)
        has_adobe |= data.startswith(ADOBE, at - 2)
        at = max(end, at + 2)
    raise _broken("a JPEG without its end", pixels)


def _read_frame(segment: bytes, is_first: bool) -> tuple[int, int, int]:
    """Returns width, height and number of layers."""
    depth, height, width, layers = struct.unpack(">BHHB", segment[:6].ljust(6, b"\0"))
    pixels = width * height
    check_size(width, height)
    if not pixels or not is_first or len(segment) != 6 + 3 * layers:
        raise _broken("its frame header", pixels)
    if depth != 8 or layers not in (1, 3, 4):
        raise ImageError("format", f"a JPEG of {depth} bits and {layers} layers", pixels)
    return width, height, layers


def _orientation(data: bytes) -> int:
    """Finds the orientation at the very start, as `helpers.pipeline.decode.exif_orientation`."""
    start = next((at + 6 for at in (6, 24) if data.startswith(b"Exif", at)), len(data))
    tiff = data[start : start + TIFF_BYTES].ljust(TIFF_BYTES, b"\0")
    words = struct.Struct(">H" if tiff.startswith(b"M") else "<H")
    offset = min(words.unpack_from(tiff, 6 if tiff.startswith(b"M") else 4)[0], 4000)
    count = min(words.unpack_from(tiff, offset)[0], (TIFF_BYTES - 12 - offset) // 12)
    entries = range(offset + 2, offset + 2 + 12 * count, 12)
    found = [words.unpack_from(tiff, at) + words.unpack_from(tiff, at + 8) for at in entries]
    return max([1, *(value for tag, value in found if tag == ORIENTATION and value <= 8)])


def _read_png(data: bytes) -> Header:
    """Reads the size, which libpng takes from this one place or not at all; all else it judges."""
    width, height, color = struct.unpack(">IIxB", data[16:26].ljust(10, b"\0"))
    check_size(width, height)
    if not width * height or PNG_END not in data:
        raise _broken("a PNG without its end", width * height)
    if ANIMATED in data:
        raise ImageError("format", "an animated PNG", width * height)
    return Header("PNG", width, height, {0: 1, 2: 3}.get(color, 0))
