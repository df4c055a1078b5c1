"""Turns a manifest into batches of pictures and targets.

The deterministic part, `decode_picture`, is also what the exported model carries, so that a picture
reaches the network in the same way in training and in serving.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from helpers.common import CORES, ROOT, WorkshopError, progress_bar, steady, tf, whole_file
from helpers.manifest import Manifest
from helpers.pipeline.augmentation import AUGMENTATIONS, Augmentation, augment, mix

CACHE_FOLDER = ROOT / "artifacts" / "cache"
CACHE_BYTES = 20e9  # of decoded pictures; beyond it, those go that were used longest ago
IN_USE_SECONDS = 3600  # after a use: another process may be about to open the file
CACHE_VERSION = 2  # raise it when decode_picture changes, so that no old pictures are used
DECODE_BATCH = 64  # pictures decoded between two moves of the progress bar
BATCHES_AHEAD = 2  # that wait for the network


def decode_picture(image_bytes: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Decodes one picture and resizes it; the same graph serves training, export and endpoint.

    A JPEG is decoded at the smallest of its scales (1, 1/2, 1/4, 1/8) that is not smaller than
    `image_size`, which is both faster and free of aliasing; other formats are averaged down to
    the same scale. Then the orientation from EXIF is applied, and bilinear resizing stretches
    the picture to `image_size`. Alpha is dropped, grey becomes three equal channels.

    Args:
        image_bytes: scalar string, a JPEG, PNG, BMP or GIF (first frame) file.
        image_size: (height, width) in pixels.

    Returns:
        uint8 (height, width, 3), RGB, 0 to 255.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are no picture, or a broken one.
    """
    picture, _ = decode_reduced(image_bytes, image_size)
    picture = tf.image.resize(picture, image_size, method="bilinear")
    return tf.ensure_shape(tf.cast(tf.round(picture), tf.uint8), (*image_size, 3))


def decode_reduced(
    image_bytes: tf.Tensor, image_size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes one picture, upright, at the smallest scale that covers `image_size`.

    Args:
        image_bytes: scalar string, a JPEG, PNG, BMP or GIF (first frame) file.
        image_size: (height, width) in pixels.

    Returns:
        float32 (height', width', 3), RGB, 0 to 255, and int32 (2,), height and width of the
        whole picture, upright.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are no picture, or a broken one.
    """
    orientation = exif_orientation(image_bytes)
    picture, size = tf.cond(
        tf.io.is_jpeg(image_bytes),
        lambda: _decode_jpeg(image_bytes, image_size, orientation),
        lambda: _decode_other(image_bytes, image_size),
    )
    return tf.ensure_shape(_turn_upright(picture, orientation), (None, None, 3)), size


def _reduction(height: tf.Tensor, width: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Returns how often the picture may be halved (0 to 3) and still cover `image_size`."""
    times = tf.minimum(height // image_size[0], width // image_size[1])
    return tf.reduce_sum(tf.cast(times >= [2, 4, 8], tf.int32))


def _decode_jpeg(
    image_bytes: tf.Tensor, image_size: tuple[int, int], orientation: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.io.extract_jpeg_shape(image_bytes)
    lying = orientation >= 5  # these orientations swap height and width
    height = tf.where(lying, shape[1], shape[0])
    width = tf.where(lying, shape[0], shape[1])

    def decode_at(ratio: int) -> tf.Tensor:
        # INTEGER_ACCURATE is what Pillow and browsers use; TensorFlow's default is a faster
        # transform whose pixels differ.
        return tf.io.decode_jpeg(
            image_bytes, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE"
        )

    branches = [lambda ratio=ratio: decode_at(ratio) for ratio in (1, 2, 4, 8)]
    picture = tf.switch_case(_reduction(height, width, image_size), branches)
    return tf.cast(picture, tf.float32), tf.stack([height, width])


def _decode_other(
    image_bytes: tf.Tensor, image_size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    picture = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    picture = tf.cast(tf.ensure_shape(picture, (None, None, 3)), tf.float32)
    shape = tf.shape(picture)
    times = 2 ** _reduction(shape[0], shape[1], image_size)
    # As in a JPEG, an incomplete block at the edge is filled up, not dropped.
    height, width = -(-shape[0] // times), -(-shape[1] // times)
    missing = [[0, height * times - shape[0]], [0, width * times - shape[1]], [0, 0]]
    blocks = tf.reshape(tf.pad(picture, missing, "SYMMETRIC"), (height, times, width, times, 3))
    return tf.reduce_mean(blocks, axis=(1, 3)), shape[:2]


def exif_orientation(image_bytes: tf.Tensor) -> tf.Tensor:
    """Reads the EXIF orientation of a JPEG inside the graph.

    Only the places that the EXIF 2.32 and JFIF standards name are looked at: an APP1 segment
    right after the start of the file, or right after JFIF's APP0.

    Args:
        image_bytes: scalar string, the file.

    Returns:
        int32 scalar, 1 (upright) to 8; 1 where the file says nothing.
    """
    # filled up, since a place beyond the end of a short file is an error
    head = tf.strings.join([tf.strings.substr(image_bytes, 0, 30), "\0" * 30])
    first = tf.strings.substr(head, 6, 4) == b"Exif"
    second = tf.strings.substr(head, 24, 4) == b"Exif"
    start = tf.where(first, 6, 24) + 6  # the TIFF header follows "Exif\0\0"
    return tf.cond(
        tf.logical_and(tf.strings.length(image_bytes) >= 30, first | second),
        lambda: _orientation_of_tiff(tf.strings.substr(image_bytes, start, 4096)),
        lambda: tf.constant(1),
    )


def _orientation_of_tiff(tiff: tf.Tensor) -> tf.Tensor:
    data = tf.cast(tf.io.decode_raw(tiff, tf.uint8), tf.int32)
    data = tf.pad(data, [[0, 4096 - tf.shape(data)[0]]])
    big_endian = data[0] == ord("M")

    def number(at: tf.Tensor) -> tf.Tensor:
        low = tf.where(big_endian, tf.gather(data, at + 1), tf.gather(data, at))
        high = tf.where(big_endian, tf.gather(data, at), tf.gather(data, at + 1))
        return 256 * high + low

    # An offset of more than 4 KB makes no sense for the first directory: treat it as none.
    offset = tf.minimum(number(tf.where(big_endian, 6, 4)), 4000)
    entries = tf.minimum(number(offset), (4096 - 12 - offset) // 12)
    places = offset + 2 + 12 * tf.range(entries)  # a directory entry has 12 bytes
    values = number(places + 8)
    found = tf.logical_and(number(places) == 0x0112, (values >= 1) & (values <= 8))
    return tf.reduce_max(tf.concat([tf.where(found, values, 1), [1]], axis=0))


def _turn_upright(picture: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    def transpose(p: tf.Tensor) -> tf.Tensor:
        return tf.transpose(p, (1, 0, 2))

    branches = [
        lambda: picture,
        lambda: picture[:, ::-1],
        lambda: picture[::-1, ::-1],
        lambda: picture[::-1],
        lambda: transpose(picture),
        lambda: transpose(picture)[:, ::-1],
        lambda: transpose(picture)[::-1, ::-1],
        lambda: transpose(picture)[::-1],
    ]
    return tf.switch_case(orientation - 1, branches)


def decoded(manifest: Manifest, image_size: tuple[int, int]) -> tf.data.Dataset:
    """Returns the manifest's pictures one by one, in order, decoded by all cores.

    Memory stays bounded, whatever the length of the manifest.
    """
    paths = tf.data.Dataset.from_tensor_slices(np.asarray(manifest.paths, dtype=object).astype(str))
    pictures = paths.map(
        lambda path: decode_picture(tf.io.read_file(path), image_size), num_parallel_calls=CORES
    )
    return steady(pictures)


def load_pictures(
    manifest: Manifest, image_size: tuple[int, int], cache_folder: Path = CACHE_FOLDER
) -> np.ndarray:
    """Decodes every picture once and keeps them in a file that is mapped into memory.

    Later epochs and later runs read the file. The operating system keeps what fits in memory
    and drops the rest, so the cache may be larger than the memory. Where all files together would
    take more than `CACHE_BYTES`, those are deleted that were used longest ago.

    Args:
        manifest: the pictures.
        image_size: (height, width) in pixels.
        cache_folder: where the file goes; its name is a digest of paths, sizes and times.

    Returns:
        uint8 (pictures, height, width, 3), read-only.

    Raises:
        WorkshopError: a picture is missing or cannot be decoded, or the disk is full.
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
    """Deletes files of decoded pictures until `wanted` bytes more stay within `CACHE_BYTES`."""
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
    """Makes a file of `size` bytes that are really on the disk.

    So a disk that is too small is told at once, and not after an hour of decoding.
    """
    try:
        with path.open("wb") as file:
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):  # macOS has none
                os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        raise WorkshopError(
            f"expected {size / 1e6:,.0f} MB for decoded pictures in {path.parent.parent}, found: "
            f"{error.strerror}. Free some space, or use fewer or smaller pictures."
        ) from error


def _fill(file: BinaryIO, manifest: Manifest, image_size: tuple[int, int]) -> None:
    """Writes every decoded picture; in a map of the file each would count as memory in use."""
    done = 0  # not bar.n, which stays 0 where bars are switched off
    with progress_bar(total=len(manifest), desc="decoding pictures", unit="picture") as bar:
        try:
            for batch in decoded(manifest, image_size).batch(DECODE_BATCH):
                file.write(batch.numpy())
                done += len(batch)
                bar.update(len(batch))
        except tf.errors.OpError as error:
            raise _undecodable(manifest.paths[done : done + DECODE_BATCH]) from error


def _undecodable(paths: list[str]) -> WorkshopError:
    """Finds which of a batch's pictures TensorFlow refuses."""
    for path in paths:
        try:
            decode_picture(tf.io.read_file(path), (8, 8))
        except tf.errors.OpError:
            return WorkshopError(
                f"expected a JPEG, PNG, BMP or GIF picture, found none in {path}. Run "
                "python -m helpers.manifest on your manifest: it names every such file."
            )
    return WorkshopError(f"a picture between {paths[0]} and {paths[-1]} changed while it was read.")


def _digest(paths: list[str], image_size: tuple[int, int]) -> str:
    """Identifies decoded pictures: another file, size or change time gives another digest."""
    digest = hashlib.sha256(f"{CACHE_VERSION} {image_size}".encode())
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116 - a Path for each of a million is slow
        except OSError as error:
            raise WorkshopError(
                f"expected a picture at {path}, found none. Run python -m helpers.manifest "
                "on your manifest: it names every missing file."
            ) from error
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def training_batches(
    manifest: Manifest,
    image_size: tuple[int, int],
    batch_size: int,
    *,
    augmentation: Augmentation = AUGMENTATIONS["none"],
    mixed: str = "none",
    chances: np.ndarray | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    steps: int | None = None,
    cache: bool = True,
) -> tf.data.Dataset:
    """Returns endless batches, a new order each epoch, the last partial batch included.

    The order and every random change depend on `seed` and the epoch alone, so a run that starts
    again in epoch 7 sees what an unbroken one would have seen. Set `steps_per_epoch` of `fit` to
    `steps_per_epoch(manifest, batch_size)`.

    Args:
        manifest: the pictures and their labels.
        image_size: (height, width) in pixels.
        batch_size: pictures in a batch.
        augmentation: how pictures are changed.
        mixed: "none", or how two pictures become one, see `helpers.pipeline.mix`.
        chances: draw as many pictures as there are, each with this chance (n,), instead of each
            once; see `helpers.model.sampling_chances`.
        seed: of order and changes.
        first_epoch: the epoch to start with, counted from 0.
        steps: deal every epoch's pictures out to so many batches, whose sizes differ by one at
            most, instead of filling batches of `batch_size`.
        cache: decode once into a file (see `load_pictures`), or anew in every epoch.

    Returns:
        A dataset of (pictures, targets): uint8 (batch, height, width, 3), and a dict from task
        to int32 (batch,), -1 where the label is not known; of mixed pictures float32 (batch,
        classes), the share of each label.
    """
    count = len(manifest)
    logits = None if chances is None else np.log(np.maximum(chances, 1e-30))[None]

    def rows_of(epoch: tf.Tensor) -> tf.data.Dataset:
        if logits is None:
            order = tf.random.experimental.stateless_shuffle(tf.range(count), [seed, epoch])
        else:
            drawn = tf.random.stateless_categorical(logits, count, [seed, epoch], tf.int32)
            order = drawn[0]
        if steps is None:
            rows = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        else:
            bounds = tf.range(steps + 1, dtype=tf.int64) * count // steps
            rows = tf.data.Dataset.range(steps).map(lambda k: order[bounds[k] : bounds[k + 1]])
        return rows.enumerate().map(lambda step, rows: (rows, tf.stack([seed, epoch, step])))

    def change(pictures: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return augment(pictures, augmentation, np.random.default_rng(seeds))

    def blend(pictures: np.ndarray, seeds: np.ndarray) -> tuple:
        return mix(pictures, mixed, np.random.default_rng([*seeds, 1]))  # 1: not as in `change`

    epochs = tf.data.Dataset.range(first_epoch, 2**20)  # endless: `fit` takes as many as it wants
    batches = _look_up(
        epochs.flat_map(rows_of),
        manifest,
        image_size,
        cache,
        change,
        None if mixed == "none" else blend,
    )
    return batches.prefetch(BATCHES_AHEAD)


def steps_per_epoch(manifest: Manifest, batch_size: int) -> int:
    """Returns the number of batches that hold every picture once."""
    return -(-len(manifest) // batch_size)


def batches_in_order(
    manifest: Manifest, image_size: tuple[int, int], batch_size: int = 256, cache: bool = True
) -> tf.data.Dataset:
    """Returns each picture once, in the order of the manifest, unchanged; for scoring.

    The elements are those of `training_batches`; the last batch may be smaller.
    """
    rows = tf.data.Dataset.range(len(manifest)).batch(batch_size)
    seeds = rows.map(lambda row: (row, row[:0]))  # nothing is random here
    return _look_up(seeds, manifest, image_size, cache, lambda pictures, _: pictures).prefetch(
        BATCHES_AHEAD
    )


def _look_up(
    rows: tf.data.Dataset,
    manifest: Manifest,
    image_size: tuple[int, int],
    cache: bool,
    change: Callable[[np.ndarray, np.ndarray], np.ndarray],
    blend: Callable[[np.ndarray, np.ndarray], tuple] | None = None,
) -> tf.data.Dataset:
    """Turns batches of (row numbers, seeds) into (pictures, targets)."""
    sizes = {task: len(classes) for task, classes in manifest.labels.tasks.items()}
    targets = {task: tf.constant(manifest.targets(task)) for task in manifest.labels.tasks}
    store = _FileRows(load_pictures(manifest, image_size)) if cache else None
    paths = None if cache else tf.constant(manifest.paths)

    def pictures_of(numbers: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        if cache:
            function, inputs = lambda n, s: change(store[n], s), [numbers, seeds]
        else:
            function, inputs = change, [_decode_all(tf.gather(paths, numbers), image_size), seeds]
        pictures = tf.numpy_function(function, inputs, tf.uint8, stateful=False)
        return tf.ensure_shape(pictures, (None, *image_size, 3))

    def look_up(numbers: tf.Tensor, seeds: tf.Tensor) -> tuple:
        labels = {task: tf.gather(values, numbers) for task, values in targets.items()}
        pictures = pictures_of(numbers, seeds)
        if blend is None:
            return pictures, labels
        types = (tf.uint8, tf.int32, tf.float32)
        mixed, partner, share = tf.numpy_function(blend, [pictures, seeds], types, stateful=False)
        partner, share = tf.ensure_shape(partner, [None]), tf.ensure_shape(share, [None])
        labels = {
            task: share_labels(values, partner, share, sizes[task])
            for task, values in labels.items()
        }
        return tf.ensure_shape(mixed, pictures.shape), labels

    return steady(rows.map(look_up, num_parallel_calls=CORES))


def share_labels(
    targets: tf.Tensor, partner: tf.Tensor, share: tf.Tensor, classes: int
) -> tf.Tensor:
    """Returns the labels of mixed pictures, float32 (batch, classes).

    A label that is not known leaves its share empty, so that what is known of the other picture
    still counts, and no more than it is there.

    Args:
        targets: int32 (batch,), -1 where not known.
        partner: int32 (batch,), the row that is mixed in.
        share: float32 (batch,), what the own label keeps.
        classes: of the task.
    """
    own = tf.one_hot(targets, classes)  # of -1 all zeros
    return own * share[:, None] + tf.gather(own, partner) * (1 - share[:, None])


def channel_statistics(
    manifest: Manifest, image_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation of each channel, float64 (3,), RGB 0 to 255.

    The pictures are those that training sees, in the same order of channels. They are read a few
    at a time, so that memory stays bounded. Give it the training split alone: what is known of
    the validation pictures must not reach the network.
    """
    store = load_pictures(manifest, image_size)
    sums, squares = np.zeros(3), np.zeros(3)
    for start in range(0, len(store), DECODE_BATCH):
        pixels = np.asarray(store[start : start + DECODE_BATCH], np.float64).reshape(-1, 3)
        sums += pixels.sum(axis=0)
        squares += (pixels**2).sum(axis=0)
    count = len(store) * image_size[0] * image_size[1]
    mean = sums / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0))


class _FileRows:
    """Reads single pictures out of the file of `load_pictures`.

    Not through the map itself: its pages would count as memory of this process, in the end as
    much as the file has, and a cache of 30 GB would look like a leak.
    """

    def __init__(self, store: np.memmap):
        self._shape = store.shape[1:]
        self._file = Path(store.filename).open("rb")  # noqa: SIM115 - as long as batches are wanted

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        pictures = np.empty((len(rows), *self._shape), np.uint8)
        for picture, row in zip(pictures, rows.tolist()):
            read = os.preadv(self._file.fileno(), [picture], row * picture.nbytes)
            if read != picture.nbytes:
                raise WorkshopError(
                    f"expected picture {row} in {self._file.name}, found the end of the file. "
                    "Delete that file: it is made again."
                )
        return pictures


def _decode_all(paths: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    return tf.map_fn(
        lambda path: decode_picture(tf.io.read_file(path), image_size),
        paths,
        fn_output_signature=tf.TensorSpec((*image_size, 3), tf.uint8),
    )


def read_pictures(paths: list[str], image_size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yields the pictures of a few files, decoded as in training; for looking at them."""
    for path in paths:
        yield decode_picture(tf.io.read_file(path), image_size).numpy()
