"""Looks at picture files before TensorFlow does: whole, of a sane size, decoded rightly.

Measured with TensorFlow 2.21 against Pillow: grey, RGBA, palette and 16-bit PNG and CMYK JPEG with
Adobe's marker come out in the right colors and are fine. CMYK JPEG without the marker comes out
inverted and palette BMP in wrong colors, both silently, so they are refused here.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from struct import error as StructError
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from helpers.common import CORES, WorkshopError, progress_bar

FORMATS = ("JPEG", "MPO", "PNG", "BMP", "GIF")  # what tf.io.decode_image reads; MPO is JPEG inside
MAX_PIXELS = 50_000_000  # decoding holds 12 bytes a pixel as float32: 600 MB; cameras stay below
SMALL = (32, 32)  # a JPEG is decoded at its smallest scale: it is all read, but 4 times as fast
PNG_END = b"IEND\xaeB`\x82"  # its last chunk, with the checksum
SUFFIXES = (".jpg", ".JPG", ".jpeg", ".png", ".PNG", ".bmp")  # what a picture may be called now
THREADS = min(8, 2 * CORES)  # Pillow frees the lock while it reads and decodes
SAVE_AGAIN = "Save it again as an RGB JPEG or PNG, e.g. Image.open(old).convert('RGB').save(new)."


@dataclass(frozen=True)
class Finding:
    """What is wrong with one picture file."""

    kind: str
    found: str
    expected: str
    fix: str


def check_picture(path: Path | str) -> Finding | None:
    """Reads and decodes one picture; returns what is wrong with it, or None.

    The header is judged first, so that a picture of 20,000 x 20,000 pixels is never decoded.
    """
    try:
        with Path(path).open("rb") as file:
            if not file.read(1):
                return _broken("a file of 0 bytes")
            file.seek(0)
            with Image.open(file) as picture:
                return _wrong_form(picture) or _decode(picture, file)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        return _missing(path, error)
    except PermissionError:
        return Finding(
            "unreadable file",
            "no permission to read it",
            "a readable file",
            "Change its permissions.",
        )
    except UnidentifiedImageError:
        return _broken("a file that is no picture, whatever its name says")
    except Image.DecompressionBombError:
        return _too_large("more pixels than Pillow opens")
    except (OSError, SyntaxError, ValueError, IndexError, StructError, EOFError) as error:
        return _broken(f"a picture that ends early or is damaged ({error})")


def check_pictures(paths: Sequence[str], progress: bool = True) -> list[Finding | None]:
    """Checks picture files in parallel; returns a finding, or None, for each path in order."""
    with ThreadPoolExecutor(THREADS) as pool:
        findings = pool.map(check_picture, paths)
        bar = progress_bar(
            iterable=findings, desc="checking pictures", total=len(paths), disable=not progress
        )
        try:
            return list(bar)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)  # or the pool would finish all pictures first
            raise


def check_size(picture: Image.Image) -> None:
    """Refuses an opened picture before its pixels are decoded.

    Raises:
        WorkshopError: it has more than `MAX_PIXELS`.
    """
    if picture.width * picture.height > MAX_PIXELS:
        raise WorkshopError(
            f"expected at most {MAX_PIXELS:,} pixels, found {picture.width:,} x "
            f"{picture.height:,}. Make the picture smaller."
        )


def _wrong_form(picture: Image.Image) -> Finding | None:
    if picture.format not in FORMATS:
        return Finding(
            "format", f"a {picture.format} file", "JPEG, PNG, BMP or a still GIF", SAVE_AGAIN
        )
    if picture.width * picture.height > MAX_PIXELS:
        return _too_large(f"{picture.width} x {picture.height} pixels")
    if picture.format == "GIF" and getattr(picture, "is_animated", False):
        return Finding("format", "an animated GIF", "one picture per file", SAVE_AGAIN)
    if picture.format == "BMP" and picture.mode not in ("RGB", "L"):
        return Finding(
            "color",
            f"a BMP with a palette (mode {picture.mode}), which TensorFlow shows in wrong colors",
            "an RGB or grey BMP",
            SAVE_AGAIN,
        )
    if picture.mode == "CMYK" and "adobe" not in picture.info:
        return Finding(
            "color",
            "a CMYK JPEG without Adobe's marker, which TensorFlow shows in inverted colors",
            "an RGB or grey JPEG",
            SAVE_AGAIN,
        )
    return None


def _decode(picture: Image.Image, file: BinaryIO) -> Finding | None:
    picture.draft(None, SMALL)  # JPEG only
    picture.load()  # raises where the pixels end early
    if picture.format == "PNG":  # Pillow stops after the pixels; TensorFlow wants the end as well
        file.seek(0)
        if PNG_END not in file.read():
            return _broken("a PNG without its end")
    return None


def _missing(path: Path | str, error: OSError) -> Finding:
    path = Path(path)
    fix = "Correct the path (it is relative to the CSV's folder), or restore the file."
    twins = (path.with_suffix(suffix) for suffix in SUFFIXES) if path.suffix else ()
    twin = next((twin.name for twin in twins if twin.exists() and twin != path), None)
    found = "a folder" if isinstance(error, IsADirectoryError) else "no such file"
    return Finding(
        "missing file", found, "a picture", f"Did you mean {twin!r}? {fix}" if twin else fix
    )


def _broken(found: str) -> Finding:
    return Finding("unreadable picture", found, "a whole picture", "Restore it, or delete its row.")


def _too_large(found: str) -> Finding:
    return Finding(
        "too large",
        found,
        f"at most {MAX_PIXELS // 1_000_000} million pixels",
        "Make it smaller, or delete its row.",
    )
