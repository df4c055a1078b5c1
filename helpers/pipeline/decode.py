"""Decodes image files; the same graph serves training, the exported model and the endpoint."""

import os
from functools import partial

import numpy as np

from helpers.common import CORES, steady, tf
from helpers.manifest import ADOBE, MAX_PIXELS, ORIENTATION, Manifest, open_image


def decode_image(image_bytes: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Decodes a JPEG, PNG, BMP or GIF (first frame) to uint8 (height, width, 3), RGB 0 to 255.

    A JPEG is decoded at the smallest of its scales (1, 1/2, 1/4, 1/8) that covers `image_size`,
    which is faster and free of aliasing; other formats are averaged down to it. Then it is turned
    as its EXIF says, and stretched to `image_size`. Alpha is dropped. InvalidArgumentError where
    the bytes are no image, or a broken one.
    """
    image, _ = decode_reduced(image_bytes, image_size)
    image = tf.image.resize(image, image_size, method="bilinear")
    return tf.ensure_shape(tf.cast(tf.round(image), tf.uint8), (*image_size, 3))


def decode_reduced(
    image_bytes: tf.Tensor, image_size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes as `decode_image` does, unstretched; also returns the full size, int32 (2,)."""
    is_jpeg = tf.io.is_jpeg(image_bytes)
    orientation = tf.cond(is_jpeg, lambda: exif_orientation(image_bytes), lambda: tf.constant(1))
    image, size = tf.cond(
        is_jpeg,
        lambda: _decode_jpeg(image_bytes, image_size, orientation),
        lambda: _decode_other(image_bytes, image_size),
    )
    return tf.ensure_shape(_turn_upright(image, orientation), (None, None, 3)), size


def _reduction(size: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Returns how often the image may be halved (0 to 3) and still cover `image_size`."""
    return tf.reduce_sum(tf.cast(tf.reduce_min(size // image_size) >= [2, 4, 8], tf.int32))


def _decode_jpeg(image_bytes: tf.Tensor, image_size: tuple[int, int], orientation: tf.Tensor):
    shape = tf.io.extract_jpeg_shape(image_bytes)
    has_adobe = lambda: tf.size(tf.strings.split(image_bytes, ADOBE)) > 1  # noqa: E731
    has_colors = tf.cond(shape[2] == 4, has_adobe, lambda: tf.constant(True))
    image_bytes = _checked(image_bytes, shape[:2], has_colors)
    size = tf.where(orientation >= 5, shape[1::-1], shape[:2])  # these swap height and width
    # as Pillow and browsers do; TensorFlow's default is a faster transform whose pixels differ
    decode = partial(tf.io.decode_jpeg, image_bytes, 3, dct_method="INTEGER_ACCURATE")
    branches = [partial(decode, ratio=ratio) for ratio in (1, 2, 4, 8)]
    return tf.cast(tf.switch_case(_reduction(size, image_size), branches), tf.float32), size


def _decode_other(image_bytes: tf.Tensor, image_size: tuple[int, int]):
    image_bytes = _checked(image_bytes, _promised_size(image_bytes))
    image = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    image = tf.cast(tf.ensure_shape(image, (None, None, 3)), tf.float32)
    size = tf.shape(image)[:2]
    times = 2 ** _reduction(size, image_size)
    # As in a JPEG, an incomplete block at the edge is padded, not dropped.
    height, width = -(-size[0] // times), -(-size[1] // times)
    missing = [[0, height * times - size[0]], [0, width * times - size[1]], [0, 0]]
    blocks = tf.reshape(tf.pad(image, missing, "SYMMETRIC"), (height, times, width, times, 3))
    return tf.reduce_mean(blocks, axis=(1, 3)), size


def _promised_size(image_bytes: tf.Tensor) -> tf.Tensor:
    """Reads height and width, in either order, from the head of a PNG, GIF or BMP: int32 (2,)."""
    head = tf.strings.substr(tf.strings.join([image_bytes, "\0" * 26]), 0, 26)
    png = tf.io.decode_raw(tf.strings.substr(head, 16, 8), tf.int32, little_endian=False)
    gif = tf.cast(tf.io.decode_raw(tf.strings.substr(head, 6, 4), tf.uint16), tf.int32)
    bmp = tf.io.decode_raw(tf.strings.substr(head, 18, 8), tf.int32)
    is_png, is_gif = (tf.strings.substr(head, 0, 1) == first for first in (b"\x89", b"G"))
    return tf.where(is_png, png, tf.where(is_gif, gif, bmp))


def _checked(image_bytes: tf.Tensor, size: tf.Tensor, has_colors: tf.Tensor | bool = True):
    """Returns the bytes, or stops before they are decoded."""
    pixels = tf.abs(tf.reduce_prod(tf.cast(size, tf.float64)))  # BMP: negative from the top
    large = f"expected an image of at most {MAX_PIXELS} pixels, found"
    inverted = "expected a CMYK JPEG with Adobe's marker, found one without"
    asserts = [
        tf.debugging.Assert(pixels <= MAX_PIXELS, [large, pixels]),
        tf.debugging.Assert(has_colors, [inverted]),
    ]
    with tf.control_dependencies(asserts):
        return tf.identity(image_bytes)


def exif_orientation(image_bytes: tf.Tensor) -> tf.Tensor:
    """Reads the EXIF orientation of a JPEG inside the graph: int32, 1 (upright, or none) to 8."""
    # Exif comes first, or right after JFIF's APP0; padded, since a short file would be an error
    head = tf.strings.join([tf.strings.substr(image_bytes, 0, 30), "\0" * 30])
    first = tf.strings.substr(head, 6, 4) == b"Exif"
    second = tf.strings.substr(head, 24, 4) == b"Exif"
    start = tf.where(first, 6, 24) + 6  # the TIFF header follows "Exif\0\0"
    return tf.cond(
        (tf.strings.length(image_bytes) >= 30) & (first | second),
        lambda: _orientation_of_tiff(tf.strings.substr(image_bytes, start, 4096)),
        lambda: tf.constant(1),
    )


def _orientation_of_tiff(tiff: tf.Tensor) -> tf.Tensor:
    data = tf.cast(tf.io.decode_raw(tiff, tf.uint8), tf.int32)
    data = tf.pad(data, [[0, 4096 - tf.shape(data)[0]]])
    big_endian = data[0] == ord("M")

    def number(at: tf.Tensor) -> tf.Tensor:
        first, second = tf.gather(data, at), tf.gather(data, at + 1)
        return tf.where(big_endian, 256 * first + second, 256 * second + first)

    # An offset of more than 4 KB makes no sense for the first directory: treat it as none.
    offset = tf.minimum(number(tf.where(big_endian, 6, 4)), 4000)
    entries = tf.minimum(number(offset), (4096 - 12 - offset) // 12)
    places = offset + 2 + 12 * tf.range(entries)  # a directory entry has 12 bytes
    values = number(places + 8)
    found = (number(places) == ORIENTATION) & (values >= 1) & (values <= 8)
    return tf.reduce_max(tf.concat([tf.where(found, values, 1), [1]], axis=0))


def _turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    def turned(rows: int, columns: int, transposed: bool) -> tf.Tensor:
        upright = tf.transpose(image, (1, 0, 2)) if transposed else image
        return upright[::rows, ::columns]

    ways = [(1, 1), (1, -1), (-1, -1), (-1, 1)]
    branches = [partial(turned, *way, swap) for swap in (False, True) for way in ways]
    return tf.switch_case(orientation - 1, branches)


def decoded(manifest: Manifest, image_size: tuple[int, int]) -> tf.data.Dataset:
    """Returns the manifest's images one by one, in order, decoded by all cores."""
    paths = tf.data.Dataset.from_tensor_slices(np.asarray(manifest.paths, dtype=object).astype(str))
    return steady(paths.map(lambda path: read_image(path, image_size), num_parallel_calls=CORES))


def read_image(path: tf.Tensor | str, image_size: tuple[int, int]) -> tf.Tensor:
    """Reads a file as the manifest's check does: what that refuses is refused here."""
    data = tf.numpy_function(_opened, [path], tf.string, stateful=False)
    return decode_image(tf.ensure_shape(data, ()), image_size)


def _opened(path: np.ndarray | bytes) -> bytes:
    return open_image(os.fsdecode(np.asarray(path, object).item()))[1]
