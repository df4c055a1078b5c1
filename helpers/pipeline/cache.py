"""Decodes every image once, and keeps them in one file that later epochs and runs read."""

import contextlib
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from helpers.common import ROOT, expected, progress_bar, reading, sweep, tf, whole_file
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

    The file's name is a digest of paths, sizes and times. Of more than `CACHE_BYTES`, the files go
    that were used longest ago. WorkshopError for an image that cannot be read, and for a full disk.
    """
    shape = (len(manifest), *image_size, 3)
    path = Path(cache_folder) / f"{_digest(manifest.paths, image_size)}.uint8"
    if path.exists():
        os.utime(path)  # used just now
    else:
        sweep(path.parent)
        _forget_oldest(path.parent, int(np.prod(shape)))
        with whole_file(path) as draft, draft.open("wb") as file:
            if (free := shutil.disk_usage(path.parent).free) < np.prod(shape):
                what = f"{np.prod(shape) / 1e6:,.0f} MB for decoded images"
                fix = "Free some space on the disk."
                raise expected(what, f"{free / 1e6:,.0f} MB", fix, path.parent)
            _fill(file, manifest, image_size)
    with reading(path, "decoded images", "Delete that file: it is made again."):
        return np.memmap(path, dtype=np.uint8, mode="r", shape=shape)


def _forget_oldest(folder: Path, wanted: int) -> None:
    with contextlib.suppress(FileNotFoundError):  # another process was quicker
        # also those that other processes are writing
        files = sorted(folder.rglob("*.uint8"), key=lambda path: path.stat().st_mtime)
        room = CACHE_BYTES - wanted - sum(path.stat().st_size for path in files)
        for path in files:
            if room >= 0 or time.time() - path.stat().st_mtime < IN_USE_SECONDS:
                return
            if path.parent == folder:
                room += path.stat().st_size
                path.unlink()


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
            paths = manifest.paths[done : done + DECODE_BATCH]
            for path, problem in zip(paths, map(check_image, paths)):
                if problem:
                    fix = f"{problem.fix} python -m helpers.manifest names every such file."
                    raise expected(problem.expected, problem.found, fix, path) from error
            found, where = "one that changed while it was read", f"{paths[0]} to {paths[-1]}"
            raise expected("images that stay as they are", found, "Start again.", where) from error


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
    images = load_images(manifest, image_size)
    means, stds = np.array([cv2.meanStdDev(image) for image in images])[..., 0].swapaxes(0, 1)
    return means.mean(axis=0), np.sqrt(means.var(axis=0) + (stds**2).mean(axis=0))
