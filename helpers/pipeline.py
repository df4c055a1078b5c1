"""Turns a manifest into batches of pictures and targets.

The deterministic part, `decode_picture`, is also what the exported model carries, so that a picture
reaches the network in the same way in training and in serving.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from helpers.errors import WorkshopError
from helpers.files import whole_file
from helpers.manifest import Manifest
from helpers.settings import ROOT

CACHE_FOLDER = ROOT / "artifacts" / "cache"
CACHE_VERSION = 1  # raise it when decode_picture changes, so that no old pictures are used
DECODE_BATCH = 64  # pictures decoded between two moves of the progress bar


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
    orientation = exif_orientation(image_bytes)
    picture = tf.cond(
        tf.io.is_jpeg(image_bytes),
        lambda: _decode_jpeg(image_bytes, image_size, orientation),
        lambda: _decode_other(image_bytes, image_size),
    )
    picture = _turn_upright(picture, orientation)
    picture = tf.image.resize(picture, image_size, method="bilinear")
    return tf.ensure_shape(tf.cast(tf.round(picture), tf.uint8), (*image_size, 3))


def _reduction(height: tf.Tensor, width: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Returns how often the picture may be halved (0 to 3) and still cover `image_size`."""
    times = tf.minimum(height // image_size[0], width // image_size[1])
    return tf.reduce_sum(tf.cast(times >= [2, 4, 8], tf.int32))


def _decode_jpeg(
    image_bytes: tf.Tensor, image_size: tuple[int, int], orientation: tf.Tensor
) -> tf.Tensor:
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
    return tf.cast(tf.switch_case(_reduction(height, width, image_size), branches), tf.float32)


def _decode_other(image_bytes: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    picture = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    picture = tf.cast(tf.ensure_shape(picture, (None, None, 3)), tf.float32)
    shape = tf.shape(picture)
    times = 2 ** _reduction(shape[0], shape[1], image_size)
    height, width = shape[0] // times, shape[1] // times
    whole = picture[: height * times, : width * times]
    return tf.reduce_mean(tf.reshape(whole, (height, times, width, times, 3)), axis=(1, 3))


def exif_orientation(image_bytes: tf.Tensor) -> tf.Tensor:
    """Reads the EXIF orientation of a JPEG inside the graph.

    Only the places that the EXIF 2.32 and JFIF standards name are looked at: an APP1 segment
    right after the start of the file, or right after JFIF's APP0.

    Args:
        image_bytes: scalar string, the file.

    Returns:
        int32 scalar, 1 (upright) to 8; 1 where the file says nothing.
    """
    head = tf.strings.substr(image_bytes, 0, 30)
    first = tf.strings.substr(head, 6, 4) == b"Exif"
    second = tf.logical_and(
        tf.strings.length(head) == 30, tf.strings.substr(head, 24, 4) == b"Exif"
    )
    start = tf.where(first, 6, 24) + 6  # the TIFF header follows "Exif\0\0"
    return tf.cond(
        tf.logical_and(tf.strings.length(head) == 30, first | second),
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
    return paths.map(
        lambda path: decode_picture(tf.io.read_file(path), image_size),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def load_pictures(
    manifest: Manifest, image_size: tuple[int, int], cache_folder: Path = CACHE_FOLDER
) -> np.ndarray:
    """Decodes every picture once and keeps them in a file that is mapped into memory.

    Later epochs and later runs read the file. The operating system keeps what fits in memory
    and drops the rest, so the cache may be larger than the memory.

    Args:
        manifest: the pictures.
        image_size: (height, width) in pixels.
        cache_folder: where the file goes; its name is a digest of paths, sizes and times.

    Returns:
        uint8 (pictures, height, width, 3), read-only.

    Raises:
        WorkshopError: a picture is missing or cannot be decoded.
    """
    shape = (len(manifest), *image_size, 3)
    path = Path(cache_folder) / f"{_digest(manifest.paths, image_size)}.uint8"
    if not path.exists():
        with whole_file(path) as draft:
            store = np.memmap(draft, dtype=np.uint8, mode="w+", shape=shape)
            _fill(store, manifest, image_size)
            store.flush()
    return np.memmap(path, dtype=np.uint8, mode="r", shape=shape)


def _fill(store: np.ndarray, manifest: Manifest, image_size: tuple[int, int]) -> None:
    with tqdm(total=len(store), desc="decoding pictures", unit="picture", leave=False) as bar:
        try:
            for batch in decoded(manifest, image_size).batch(DECODE_BATCH):
                store[bar.n : bar.n + len(batch)] = batch
                bar.update(len(batch))
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
            raise _undecodable(manifest.paths[bar.n : bar.n + DECODE_BATCH]) from error


def _undecodable(paths: list[str]) -> WorkshopError:
    """Finds which of a batch's pictures TensorFlow refuses."""
    for path in paths:
        try:
            decode_picture(tf.io.read_file(path), (8, 8))
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError):
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


@dataclass(frozen=True)
class Augmentation:
    """How far the training pictures are changed; all zero leaves them as they are.

    Attributes:
        flip: probability of a mirror image.
        shift: largest shift, as a share of height and width.
        zoom: largest change of scale, as a share.
        rotation: largest angle in degrees.
        brightness: largest change, as a share of full white.
        contrast: largest change of contrast, as a share.
        tint: largest change of a single colour channel, as a share. Small, since the colour
            heads must still be right after it.
        erase: probability that a rectangle is painted over (Zhong et al. 2017).
        erase_area: smallest and largest share of the picture that it covers.
    """

    flip: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    tint: float = 0.0
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.15)


AUGMENTATIONS = {
    "none": Augmentation(),
    "standard": Augmentation(0.5, 0.06, 0.10, 4.0, 0.08, 0.15, 0.05, 0.3),
    "strong": Augmentation(0.5, 0.10, 0.20, 10.0, 0.15, 0.30, 0.08, 0.5, (0.02, 0.25)),
}


def augment(pictures: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Changes a batch of pictures at random, each in its own way.

    One projective transform does flip, shift, zoom and rotation at once, and one multiplication
    does brightness, contrast and tint, because on two cores every pass over the pixels is time
    that the network does not get.

    Args:
        pictures: uint8 (batch, height, width, 3), 0 to 255.
        augmentation: how far to go.
        seed: int (2,); the same seed gives the same changes.

    Returns:
        uint8 (batch, height, width, 3), 0 to 255.
    """
    draws = _Draws(tf.shape(pictures)[0], seed)
    a = augmentation
    if a.flip or a.shift or a.zoom or a.rotation:
        pictures = _move(pictures, a, draws)
    if a.brightness or a.contrast or a.tint:
        pictures = _recolor(pictures, a, draws)
    if a.erase:
        pictures = _erase(pictures, a, draws)
    return pictures


class _Draws:
    """Draws one number for each picture, from streams that do not depend on one another."""

    def __init__(self, count: tf.Tensor, seed: tf.Tensor):
        self._count, self._seed, self._stream = count, tf.cast(seed, tf.int64) * [2**16, 1], 0

    def uniform(self, low: float, high: float, channels: int = 1) -> tf.Tensor:
        self._stream += 1
        seed = self._seed + tf.constant([self._stream, 0], tf.int64)
        shape = (self._count,) if channels == 1 else (self._count, channels)
        return tf.random.stateless_uniform(shape, seed, low, high)


def _move(pictures: tf.Tensor, a: Augmentation, draws: _Draws) -> tf.Tensor:
    height, width = pictures.shape[1:3]
    angle = draws.uniform(-a.rotation, a.rotation) * (np.pi / 180)
    scale = 1 + draws.uniform(-a.zoom, a.zoom)
    mirror = tf.where(draws.uniform(0, 1) < a.flip, -1.0, 1.0)
    down = draws.uniform(-a.shift, a.shift) * height
    across = draws.uniform(-a.shift, a.shift) * width
    cosine, sine = tf.cos(angle) * scale, tf.sin(angle) * scale
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    # Where each output pixel comes from: rotation and scale about the middle of the picture.
    x_shift = center_x - mirror * cosine * center_x + sine * center_y + across
    y_shift = center_y - mirror * sine * center_x - cosine * center_y + down
    zero = tf.zeros_like(angle)
    rows = [mirror * cosine, -sine, x_shift, mirror * sine, cosine, y_shift, zero, zero]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pictures,
        transforms=tf.stack(rows, axis=1),
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


def _recolor(pictures: tf.Tensor, a: Augmentation, draws: _Draws) -> tf.Tensor:
    contrast = 1 + draws.uniform(-a.contrast, a.contrast)[:, None]
    gain = contrast * (1 + draws.uniform(-a.tint, a.tint, channels=3))
    light = 255 * draws.uniform(-a.brightness, a.brightness)[:, None]
    offset = 128 * (1 - contrast) + light  # contrast turns about the middle grey
    colored = tf.cast(pictures, tf.float32) * gain[:, None, None] + offset[:, None, None]
    return tf.saturate_cast(colored, tf.uint8)


def _erase(pictures: tf.Tensor, a: Augmentation, draws: _Draws) -> tf.Tensor:
    height, width = pictures.shape[1:3]
    area = draws.uniform(*a.erase_area) * tf.cast(draws.uniform(0, 1) < a.erase, tf.float32)
    aspect = tf.exp(draws.uniform(np.log(0.3), np.log(3.3)))  # the paper's range
    tall = tf.minimum(tf.sqrt(area * aspect), 1) * height
    broad = tf.minimum(tf.sqrt(area / aspect), 1) * width
    top = draws.uniform(0, 1) * (height - tall)
    left = draws.uniform(0, 1) * (width - broad)
    y, x = tf.range(height, dtype=tf.float32), tf.range(width, dtype=tf.float32)
    rows = (y >= top[:, None]) & (y < (top + tall)[:, None])
    columns = (x >= left[:, None]) & (x < (left + broad)[:, None])
    hole = (rows[:, :, None] & columns[:, None, :])[..., None]
    color = tf.cast(draws.uniform(0, 255, channels=3), tf.uint8)[:, None, None]
    return tf.where(hole, color, pictures)


def training_batches(
    manifest: Manifest,
    image_size: tuple[int, int],
    batch_size: int,
    *,
    augmentation: Augmentation = AUGMENTATIONS["none"],
    seed: int = 0,
    first_epoch: int = 0,
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
        seed: of order and changes.
        first_epoch: the epoch to start with, counted from 0.
        cache: decode once into a file (see `load_pictures`), or anew in every epoch.

    Returns:
        A dataset of (pictures, targets): uint8 (batch, height, width, 3), and a dict from task
        to int32 (batch,), -1 where the label is not known.
    """
    count = len(manifest)

    def order_of(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), [seed, epoch])
        rows = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        steps = tf.data.Dataset.range(epoch << 32, (epoch + 1) << 32)  # one seed for each step
        return tf.data.Dataset.zip((rows, steps))

    epochs = tf.data.Dataset.range(first_epoch, 2**20)
    batches = _look_up(epochs.flat_map(order_of), manifest, image_size, cache)
    batches = batches.map(
        lambda pictures, targets, step: (
            augment(pictures, augmentation, tf.stack([tf.cast(seed, tf.int64), step])),
            targets,
        ),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def steps_per_epoch(manifest: Manifest, batch_size: int) -> int:
    """Returns the number of batches that hold every picture once."""
    return -(-len(manifest) // batch_size)


def batches_in_order(
    manifest: Manifest, image_size: tuple[int, int], batch_size: int = 256, cache: bool = True
) -> tf.data.Dataset:
    """Returns each picture once, in the order of the manifest, unchanged; for scoring.

    The elements are those of `training_batches`; the last batch may be smaller.
    """
    rows = tf.data.Dataset.range(len(manifest), output_type=tf.int32).batch(batch_size)
    batches = _look_up(rows.map(lambda row: (row, row)), manifest, image_size, cache)
    return batches.map(lambda pictures, targets, _: (pictures, targets)).prefetch(2)


def _look_up(
    rows: tf.data.Dataset, manifest: Manifest, image_size: tuple[int, int], cache: bool
) -> tf.data.Dataset:
    """Turns batches of (row numbers, extra) into (pictures, targets, extra)."""
    targets = {task: tf.constant(manifest.targets(task)) for task in manifest.labels.tasks}
    if cache:
        store = load_pictures(manifest, image_size)

        def pictures_of(numbers: tf.Tensor) -> tf.Tensor:
            pictures = tf.numpy_function(lambda n: store[n], [numbers], tf.uint8, stateful=False)
            return tf.ensure_shape(pictures, (None, *image_size, 3))
    else:
        paths = tf.constant(manifest.paths)

        def pictures_of(numbers: tf.Tensor) -> tf.Tensor:
            return tf.map_fn(
                lambda path: decode_picture(tf.io.read_file(path), image_size),
                tf.gather(paths, numbers),
                fn_output_signature=tf.TensorSpec((*image_size, 3), tf.uint8),
            )

    def look_up(numbers: tf.Tensor, extra: tf.Tensor) -> tuple:
        labels = {task: tf.gather(values, numbers) for task, values in targets.items()}
        return pictures_of(numbers), labels, extra

    return rows.map(look_up, num_parallel_calls=tf.data.AUTOTUNE)


def read_pictures(paths: list[str], image_size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yields the pictures of a few files, decoded as in training; for looking at them."""
    for path in paths:
        yield decode_picture(tf.io.read_file(path), image_size).numpy()
