"""Decodes every image once, and keeps them in one file that later epochs and runs read."""

import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np

from helpers.common import ROOT, WorkshopError, expected, progress_bar, tf, whole_file
from helpers.manifest import Manifest
from helpers.pipeline.decode import decode_image, decoded

CACHE_FOLDER = ROOT / "artifacts" / "cache"
CACHE_BYTES = 20e9  # of decoded images; beyond it, those go that were used longest ago
IN_USE_SECONDS = 3600  # after a use: another process may be about to open the file
CACHE_VERSION = 2  # raise it when decode_image changes, so that no old images are used
DECODE_BATCH = 64  # images decoded between two moves of the progress bar


def load_images(
    manifest: Manifest, image_size: tuple[int, int], cache_folder: Path = CACHE_FOLDER
) -> np.ndarray:
    """Returns every image decoded, uint8 (images, height, width, 3), as a map of a file.

    Later epochs and later runs read the file, whose name is a digest of paths, sizes and times.
    The operating system keeps what fits in memory and drops the rest, so the cache may be larger
    than the memory. Where all files together would take more than `CACHE_BYTES`, those are deleted
    that were used longest ago.

    Raises:
        WorkshopError: an image is missing or cannot be decoded, or the disk is full.
    """
    shape = (len(manifest), *image_size, 3)
    path = Path(cache_folder) / f"{_digest(manifest.paths, image_size)}.uint8"
    if path.exists():
        os.utime(path)  # used just now
    else:
        _forget_oldest(path.parent, int(np.prod(shape)))
        with whole_file(path) as draft:
            _reserve(draft, int(np.prod(shape)))
            with draft.open("r+b") as file:
                _fill(file, manifest, image_size)
    return np.memmap(path, dtype=np.uint8, mode="r", shape=shape)


def _forget_oldest(folder: Path, wanted: int) -> None:
    """Deletes files of decoded images until `wanted` bytes more stay within `CACHE_BYTES`."""
    files = []
    for path in folder.glob("*.uint8"):
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            status = path.stat()
            files.append((status.st_mtime, status.st_size, path))
    room = CACHE_BYTES - wanted - sum(size for _, size, _ in files)
    for used, size, path in sorted(files):
        if room >= 0 or time.time() - used < IN_USE_SECONDS:
            return
        path.unlink(missing_ok=True)
        room += size


def _reserve(path: Path, size: int) -> None:
    """Makes a file of `size` bytes at once: else a full disk would be told after an hour."""
    try:
        with path.open("wb") as file:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise WorkshopError(
            f"expected {size / 1e6:,.0f} MB for decoded images in {path.parent.parent}, found: "
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
    """Finds which of a batch's images TensorFlow refuses."""
    for path in paths:
        try:
            decode_image(tf.io.read_file(path), (8, 8))
        except tf.errors.OpError:
            return expected(
                "a JPEG, PNG, BMP or GIF image",
                f"none in {path}",
                "Run python -m helpers.manifest on your manifest: it names every such file.",
            )
    return WorkshopError(f"an image between {paths[0]} and {paths[-1]} changed while it was read.")


def _digest(paths: list[str], image_size: tuple[int, int]) -> str:
    """Identifies decoded images: another file, size or change time gives another digest."""
    digest = hashlib.sha256(f"{CACHE_VERSION} {image_size}".encode())
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - a Path for each of a million is slow
        except OSError as error:
            raise expected(
                f"an image at {path}",
                "none",
                "Run python -m helpers.manifest on your manifest: it names every missing file.",
            ) from error
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def channel_statistics(
    manifest: Manifest, image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of each channel, float64 (3,), RGB 0 to 255.

    Give it the training split alone: what is known of the validation images must not reach the
    network.
    """
    store = load_images(manifest, image_size)
    sums, squares = np.zeros(3), np.zeros(3)  # a few at a time, so that memory stays bounded
    for start in range(0, len(store), DECODE_BATCH):
        pixels = np.asarray(store[start : start + DECODE_BATCH], np.float64).reshape(-1, 3)
        sums += pixels.sum(axis=0)
        squares += (pixels**2).sum(axis=0)
    count = len(store) * image_size[0] * image_size[1]
    mean = sums / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0))


class FileRows:
    """Reads single images out of the file of `load_images`.

    Not through the map itself: its pages would count as memory of this process, in the end as
    much as the file has, and a cache of 30 GB would look like a leak.
    """

    def __init__(self, store: np.memmap):
        self._shape = store.shape[1:]
        self._file = Path(store.filename).open("rb")  # noqa: SIM115 - as long as batches are wanted

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        images = np.empty((len(rows), *self._shape), np.uint8)
        for image, row in zip(images, rows.tolist()):
            read = os.preadv(self._file.fileno(), [image], row * image.nbytes)
            if read != image.nbytes:
                raise expected(
                    f"image {row} in {self._file.name}",
                    "the end of the file",
                    "Delete that file: it is made again.",
                )
        return images
