"""Decodes every image once, and keeps them in one file that later epochs and runs read."""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from helpers.common import ROOT, WorkshopError, expected, progress_bar, sweep, tf, whole_file
from helpers.manifest import Manifest, check_image
from helpers.pipeline.decode import decoded

CACHE_FOLDER = ROOT / "artifacts" / "cache"
CACHE_BYTES = 20e9  # of decoded images; beyond it, those go that were used longest ago
IN_USE_SECONDS = 3600  # after a use: another process may be about to open the file
CACHE_VERSION = 3  # raise it when decode_image changes, so that no old images are used
DECODE_BATCH = 64  # images decoded between two moves of the progress bar


def load_images(
    manifest: Manifest, image_size: tuple[int, int], cache_folder: Path = CACHE_FOLDER
) -> np.ndarray:
    """Returns every image decoded, uint8 (images, height, width, 3), as a map of a file.

    The file's name is a digest of paths, sizes and times. Where all files together would take more
    than `CACHE_BYTES`, those are deleted that were used longest ago.

    Raises:
        WorkshopError: an image is missing or cannot be decoded, or the disk is full.
    """
    shape = (len(manifest), *image_size, 3)
    path = Path(cache_folder) / f"{_digest(manifest.paths, image_size)}.uint8"
    if path.exists():
        os.utime(path)  # used just now
    else:
        sweep(path.parent)
        _forget_oldest(path.parent, int(np.prod(shape)))
        with whole_file(path) as draft:
            _reserve(draft, int(np.prod(shape)))
            with draft.open("r+b") as file:
                _fill(file, manifest, image_size)
    return np.memmap(path, dtype=np.uint8, mode="r", shape=shape)


def _forget_oldest(folder: Path, wanted: int) -> None:
    files = []
    for path in folder.rglob("*.uint8"):  # also those that other processes are writing
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            status = path.stat()
            files.append((status.st_mtime, status.st_size, path))
    room = CACHE_BYTES - wanted - sum(size for _, size, _ in files)
    for used, size, path in sorted(files):
        if room >= 0 or time.time() - used < IN_USE_SECONDS:
            return
        if path.parent == folder:
            path.unlink(missing_ok=True)
            room += size


def _reserve(path: Path, size: int) -> None:
    """Makes a file of `size` bytes at once, so that a full disk is not found an hour later."""
    try:
        with path.open("wb") as file:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise WorkshopError(
            f"expected {size / 1e6:,.0f} MB for decoded images in {path.parents[2]}, found: "
            f"{error.strerror}. Free some space, or use fewer or smaller images."
        ) from error


def _fill(file: BinaryIO, manifest: Manifest, image_size: tuple[int, int]) -> None:
    """Writes every decoded image; in a map of the file each would count as memory in use."""
    done = 0  # not bar.n, which stays 0 where bars are switched off
    with progress_bar(total=len(manifest), desc="decoding images", unit="image") as bar:
        try:
            for batch in decoded(manifest, image_size).batch(DECODE_BATCH):
                file.write(batch.numpy())
                done += len(batch)
                bar.update(len(batch))
        except tf.errors.OpError as error:
            raise _undecodable(manifest.paths[done : done + DECODE_BATCH]) from error


def _undecodable(paths: list[str]) -> WorkshopError:
    for path in paths:
        if problem := check_image(path):
            fix = f"{problem.fix} python -m helpers.manifest names every such file."
            return expected(problem.expected, problem.found, fix, path)
    return WorkshopError(f"an image between {paths[0]} and {paths[-1]} changed while it was read.")


def _digest(paths: list[str], image_size: tuple[int, int]) -> str:
    digest = hashlib.sha256(f"{CACHE_VERSION} {image_size}".encode())
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - a Path for each of a million is slow
        except OSError as error:
            fix = "Run python -m helpers.manifest on your manifest: it names every missing file."
            raise expected(f"an image at {path}", "none", fix) from error
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def channel_statistics(
    manifest: Manifest, image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and std of each channel of a training split, float64 (3,), RGB 0 to 255."""
    store = load_images(manifest, image_size)
    sums, squares = np.zeros(3), np.zeros(3)  # a few at a time, so that memory stays bounded
    for start in range(0, len(store), DECODE_BATCH):
        pixels = np.asarray(store[start : start + DECODE_BATCH], np.float64).reshape(-1, 3)
        sums += pixels.sum(axis=0)
        squares += (pixels**2).sum(axis=0)
    count = len(store) * image_size[0] * image_size[1]
    mean = sums / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0))


def row_reader(store: np.memmap) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a function from row numbers to images in the file of `load_images`."""
    # not the map itself, whose pages count as memory of this process: 30 GB would look like a leak
    file = Path(store.filename).open("rb")  # noqa: SIM115 - as long as batches are wanted

    def read_rows(rows: np.ndarray) -> np.ndarray:
        images = np.empty((len(rows), *store.shape[1:]), np.uint8)
        for image, row in zip(images, rows.tolist()):
            if os.preadv(file.fileno(), [image], row * image.nbytes) != image.nbytes:
                what, fix = f"image {row} in {file.name}", "Delete that file: it is made again."
                raise expected(what, "the end of the file", fix)
        return images

    return read_rows
