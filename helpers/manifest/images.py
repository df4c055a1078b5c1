"""Checks image files before TensorFlow reads them: complete, not too large, right colors.

TensorFlow 2.21 silently inverts CMYK JPEG without Adobe's marker and shows palette BMP in wrong
colors, so both are refused. Grey, RGBA, palette and 16-bit PNG and other CMYK JPEG come out right.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import error as StructError
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from helpers.common import CORES, expected, progress_bar
from helpers.manifest.problems import Problem

FORMATS = ("JPEG", "MPO", "PNG", "BMP", "GIF")  # what tf.io.decode_image reads; MPO is JPEG inside
EXIF_ORIENTATION = 0x0112  # the tag: 1 is upright, or none
EXIF_SIDEWAYS = (5, 6, 7, 8)  # orientations in which width and height change places
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")  # what such files are called, in lower case
MAX_PIXELS = 50_000_000  # decoding holds 12 bytes a pixel as float32: 600 MB; cameras stay below
SMALL = (32, 32)  # a JPEG is decoded at its smallest scale: it is all read, but 4 times as fast
PNG_END = b"IEND\xaeB`\x82"  # its last chunk, with the checksum
THREADS = min(8, 2 * CORES)  # Pillow frees the lock while it reads and decodes
SAVE_AGAIN = "Save it again as an RGB JPEG or PNG, e.g. Image.open(old).convert('RGB').save(new)."


def images_in(folder: Path, deep: bool = False) -> list[Path]:
    """Returns the images of a folder, or of all folders below it too, sorted; no hidden files."""
    found = folder.glob("**/*" if deep else "*")
    return sorted(p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def check_image(path: Path | str) -> Problem | None:
    """Decodes an image and returns what is wrong with it; judges the header's size before that."""
    try:
        with Path(path).open("rb") as file:
            if not file.read(1):
                return _broken("a file of 0 bytes")
            file.seek(0)
            with Image.open(file) as image:
                return _wrong_form(image) or _decode(image, file)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        return _missing(Path(path), "a folder" if isinstance(error, IsADirectoryError) else None)
    except PermissionError:
        found = "no permission to read it"
        return _problem("unreadable file", found, "a readable file", "Change its permissions.")
    except UnidentifiedImageError:
        return _broken("a file that is no image, whatever its name says")
    except Image.DecompressionBombError:
        return _too_large("more pixels than Pillow opens")
    except (OSError, SyntaxError, ValueError, IndexError, StructError, EOFError) as error:
        return _broken(f"an image that ends early or is damaged ({error})")


def map_in_threads(work: Callable, items: Sequence, **bar: Any) -> list:
    """Returns what `work` makes of each item, in order, with a progress bar; see `THREADS`."""
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            return list(progress_bar(iterable=pool.map(work, items), total=len(items), **bar))
        except BaseException:  # also Ctrl-C: the pool would finish all items first
            pool.shutdown(cancel_futures=True)
            raise


def check_size(image: Image.Image) -> None:
    """Raises `WorkshopError` for an opened image of more than `MAX_PIXELS`, before decoding it."""
    if image.width * image.height > MAX_PIXELS:
        found = f"{image.width:,} x {image.height:,}"
        raise expected(f"at most {MAX_PIXELS:,} pixels", found, "Make the image smaller.")


def _wrong_form(image: Image.Image) -> Problem | None:
    kind, mode = image.format, image.mode
    if kind not in FORMATS:
        return _problem("format", f"a {kind} file", "JPEG, PNG, BMP or a still GIF", SAVE_AGAIN)
    if image.width * image.height > MAX_PIXELS:
        return _too_large(f"{image.width} x {image.height} pixels")
    if kind == "GIF" and getattr(image, "is_animated", False):
        return _problem("format", "an animated GIF", "one image per file", SAVE_AGAIN)
    if kind == "BMP" and mode not in ("RGB", "L"):
        found = f"a BMP with a palette (mode {mode}), which TensorFlow shows in wrong colors"
        return _problem("color", found, "an RGB or grey BMP", SAVE_AGAIN)
    if mode == "CMYK" and "adobe" not in image.info:
        found = "a CMYK JPEG without Adobe's marker, which TensorFlow shows in inverted colors"
        return _problem("color", found, "an RGB or grey JPEG", SAVE_AGAIN)
    return None


def _decode(image: Image.Image, file: BinaryIO) -> Problem | None:
    image.draft(None, SMALL)  # JPEG only
    image.load()  # raises where the pixels end early
    if image.format == "PNG":  # Pillow stops after the pixels; TensorFlow wants the end as well
        file.seek(0)
        if PNG_END not in file.read():
            return _broken("a PNG without its end")
    return None


def _missing(path: Path, found: str | None) -> Problem:
    fix = "Correct the path (it is relative to the CSV's folder), or restore the file."
    names = (name for suffix in SUFFIXES for name in (suffix, suffix.upper()) if path.suffix)
    twins = (twin.name for twin in map(path.with_suffix, names) if twin.exists() and twin != path)
    if twin := next(twins, None):
        fix = f"Did you mean {twin!r}? {fix}"
    return _problem("missing file", found or "no such file", "an image", fix)


def _broken(found: str) -> Problem:
    return _problem("unreadable image", found, "a whole image", "Restore it, or delete its row.")


def _too_large(found: str) -> Problem:
    wanted = f"at most {MAX_PIXELS // 1_000_000} million pixels"
    return _problem("too large", found, wanted, "Make it smaller, or delete its row.")


def _problem(kind: str, found: str, wanted: str, fix: str) -> Problem:
    return Problem(None, "", found, wanted, fix, kind=kind)
