"""Reads the head of a JPEG or PNG as libjpeg and libpng do, before anything is decoded.

It goes into `model.tar.gz`, too, as `code/image_header.py`: it may import nothing that AWS's
container lacks. What decoders could take in two ways is refused: JPEG with bytes between its
segments or of a rare kind, CMYK without Adobe's marker (TensorFlow 2.21 shows inverted colors),
PNG with a wrong checksum, or pieces out of order.
"""

import re
import struct
import zlib
from typing import NamedTuple

MAX_PIXELS = 50_000_000  # decoding holds 12 bytes a pixel as float32: 600 MB; cameras stay below
MAX_SIDE = 65_535  # of a JPEG by its format; OpenCV and libpng refuse a million
JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
ADOBE = b"\xff\xee\0\x0eAdobe"  # how the segment with Adobe's marker begins
ORIENTATION = 0x0112  # EXIF's tag: 1 is upright, or none; from 5 on height and width are swapped
TIFF_BYTES = 4096  # of an EXIF segment that are looked at
_MARKER = re.compile(rb"\xff+([^\x00\xff])")  # libjpeg skips all bytes before one
_AFTER_SCAN = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_END, _SCAN = 0xD9, 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_RARE_FRAMES = {*range(0xC3, 0xD0)} - {0xC4, 0xC8, 0xCC}
_OTHERS = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)  # tables, applications, comments
_LONELY = (0x01, *range(0xD0, 0xD8))  # markers without a segment
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PNG_ORDER = re.compile(rb"IHDR(?:[a-z]...)*(PLTE)?(?:[a-z]...)*(?:IDAT)+(?:[a-z]...)*IEND", re.S)


class ImageError(Exception):
    """What is wrong with an image, and how many pixels its head promises (0: none seen)."""

    def __init__(self, kind: str, found: str, pixels: int = 0):
        super().__init__(found)
        self.kind, self.found, self.pixels = kind, found, pixels


class Header(NamedTuple):
    """What the head of an image says."""

    kind: str  # JPEG or PNG
    width: int
    height: int
    layers: int  # 1 grey, 3 color, 4 CMYK; 0 for a PNG with a palette or alpha
    orientation: int = 1  # to 8, as EXIF has it

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright image."""
        return (self.width, self.height) if self.orientation < 5 else (self.height, self.width)


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
    return ImageError(
        "unreadable image", f"an image that ends early or is damaged ({what})", pixels
    )


def _read_jpeg(data: bytes) -> Header:
    """Walks from segment to segment to the end of the image."""
    at, strange, frame, pixels, scanned, has_adobe = 2, False, None, 0, False, False
    while found := (_AFTER_SCAN if scanned else _MARKER).search(data, at):
        strange |= not scanned and found.start() != at
        marker, at = found[1][0], found.end()
        if marker == _END and scanned and not strange:
            return Header("JPEG", *frame, _orientation(data))
        if marker in _LONELY:
            strange = True
            continue
        end = at + int.from_bytes(data[at : at + 2], "big")
        if marker in _FRAMES or marker in _RARE_FRAMES:
            frame = _read_frame(data[at + 2 : end], marker, not frame)
            pixels = frame[0] * frame[1]
        elif marker == _SCAN and frame:
            scanned = True
            if frame[2] == 4 and not has_adobe:
                found = "a CMYK JPEG without Adobe's marker, which TensorFlow shows inverted"
                raise ImageError("color", found, pixels)
        elif marker not in _OTHERS:
            raise _broken(f"marker {marker:X}", pixels)
        has_adobe |= data.startswith(ADOBE, at - 2)
        at = max(end, at + 2)
    raise _broken("a JPEG without its end", pixels)


def _read_frame(segment: bytes, marker: int, is_first: bool) -> tuple[int, int, int]:
    """Returns width, height and number of layers."""
    depth, height, width, layers = struct.unpack(">BHHB", segment[:6].ljust(6, b"\0"))
    pixels = width * height
    check_size(width, height)
    if not pixels or not is_first or len(segment) != 6 + 3 * layers:
        raise _broken("its frame header", pixels)
    if marker not in _FRAMES or depth != 8 or layers not in (1, 3, 4):
        raise ImageError("format", f"a rare JPEG (type {marker:X}, {layers} layers)", pixels)
    return width, height, layers


def _orientation(data: bytes) -> int:
    """Finds the orientation where `helpers.pipeline.exif_orientation` does: at the very start."""
    start = next((at + 6 for at in (6, 24) if data.startswith(b"Exif", at)), len(data))
    tiff = data[start : start + TIFF_BYTES].ljust(TIFF_BYTES, b"\0")
    words = struct.Struct(">H" if tiff.startswith(b"M") else "<H")
    offset = min(words.unpack_from(tiff, 6 if tiff.startswith(b"M") else 4)[0], 4000)
    count = min(words.unpack_from(tiff, offset)[0], (TIFF_BYTES - 12 - offset) // 12)
    entries = range(offset + 2, offset + 2 + 12 * count, 12)
    found = [words.unpack_from(tiff, at) + words.unpack_from(tiff, at + 8) for at in entries]
    return max([1, *(value for tag, value in found if tag == ORIENTATION and value <= 8)])


def _read_png(data: bytes) -> Header:
    """Checks the order of all pieces, and their checksums."""
    width, height, depth, color, *ways = struct.unpack(">II5B", data[16:29].ljust(13, b"\0"))
    pixels = width * height
    check_size(width, height)
    at, names, view = 8, b"", memoryview(data)
    while at < len(data) and not names.endswith(b"IEND"):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise _broken(f"a wrong checksum before byte {end}", pixels)
        names += data[at + 4 : at + 8]
        at = end
    if b"acTL" in names:
        raise ImageError("format", "an animated PNG", pixels)
    if not names.endswith(b"IEND"):
        raise _broken("a PNG without its end", pixels)
    order = _PNG_ORDER.fullmatch(names)
    is_whole = order and (color in (2, 6) or bool(order[1]) == (color == 3))
    is_known = depth in _PNG_DEPTHS.get(color, ()) and ways in ([0, 0, 0], [0, 0, 1])
    if not pixels or not is_whole or not is_known or data[8:12] != b"\0\0\0\x0d":
        raise _broken("its header, or the order of its pieces", pixels)
    return Header("PNG", width, height, {0: 1, 2: 3}.get(color, 0))
