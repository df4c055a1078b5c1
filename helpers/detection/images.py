"""Turns records into batches: images fitted into the network's size, boxes in its pixels."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from helpers.common import CORES, keras, tf
from helpers.detection.config import Config, LabelMap
from helpers.detection.records import read_records
from helpers.pipeline import decode_reduced

GREY = 127.0  # pads images of another aspect ratio than the network's
MOST_CACHED = 2e9  # bytes of decoded images kept in memory; more are decoded again every epoch
MIX = 512  # size of the shuffle buffer
LEAST_SIDE = 2.0  # pixels of a box after zooming; smaller boxes are dropped
LEAST_LEFT = 0.3  # of a box's area that must still be in the image
LUMA = (0.299, 0.587, 0.114)  # grey of RGB (ITU-R BT.601)


class Example(NamedTuple):
    """An image with its boxes, or a batch of them."""

    pixels: tf.Tensor  # uint8 (height, width, 3); float32 in a training batch
    boxes: tf.Tensor  # float32 (most, 4) in pixels of the network's image, padded with zeros
    labels: tf.Tensor  # int32 (most,): class index from 1 on, 0 padding, -1 difficult
    size: tf.Tensor  # int32 (2,), height and width of the image as it is in its file
    name: tf.Tensor  # of the file


def fit_image(image_bytes: tf.Tensor, image_size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes an image, resizes it with its aspect ratio kept, and pads it right and below.

    Returns uint8 (height, width, 3), and int32 (2,), height and width of the image in its file.
    """
    image, size = decode_reduced(image_bytes, image_size)
    inner = tf.cast(tf.round(tf.cast(size, tf.float32) * scale_of(size, image_size)), tf.int32)
    inner = tf.clip_by_value(inner, 1, image_size)
    image = tf.image.resize(image, inner, method="bilinear")
    missing = [[0, image_size[0] - inner[0]], [0, image_size[1] - inner[1]], [0, 0]]
    image = tf.ensure_shape(tf.pad(image, missing, constant_values=GREY), (*image_size, 3))
    return tf.cast(tf.round(image), tf.uint8), size


def scale_of(size: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Returns pixels of the network per pixel of images of `size` (..., 2): (...)."""
    return tf.reduce_min(tf.constant(image_size, tf.float32) / tf.cast(size, tf.float32), axis=-1)


def read_examples(
    files: Sequence[str], label_map: LabelMap, image_size: tuple[int, int]
) -> tf.data.Dataset:
    """Reads records and decodes their images, in order: a dataset of `Example`, not padded."""

    def decode(record: dict[str, tf.Tensor]) -> Example:
        pixels, size = fit_image(record["encoded"], image_size)
        height_width = tf.cast(size, tf.float32) * scale_of(size, image_size)
        boxes = record["boxes"] * tf.tile(height_width, [2])
        labels = tf.where(record["difficult"], -1, record["labels"])
        known = record["labels"] > 0
        boxes = tf.ensure_shape(tf.boolean_mask(boxes, known), (None, 4))
        return Example(pixels, boxes, tf.boolean_mask(labels, known), size, record["name"])

    return read_records(files, label_map).map(decode, num_parallel_calls=CORES)


def _pad_boxes(one: Example, most: int) -> Example:
    """Pads the boxes of an example to `most`, or keeps the `most` largest."""
    area = tf.reduce_prod(one.boxes[:, 2:] - one.boxes[:, :2], axis=-1)
    largest = tf.argsort(-area)[:most]
    room = most - tf.shape(largest)[0]
    boxes = tf.pad(tf.gather(one.boxes, largest), [[0, room], [0, 0]])
    labels = tf.pad(tf.gather(one.labels, largest), [[0, room]])
    boxes, labels = tf.ensure_shape(boxes, (most, 4)), tf.ensure_shape(labels, (most,))
    return one._replace(boxes=boxes, labels=labels)


def training_batches(
    files: Sequence[str],
    label_map: LabelMap,
    config: Config,
    images: int,
    most: int,
    first_step: int = 0,
) -> tf.data.Dataset:
    """Returns endless augmented batches of `Example`, every image once in an epoch.

    `files` hold so many `images`, whose boxes are padded to `most`.
    """
    # differs at each start of a run, so that a resumed run does not repeat its first images
    seed = (config.seed * 1_000_003 + first_step) % 2**31
    height, width = config.image_size
    examples = read_examples(files, label_map, config.image_size)
    examples = examples.map(lambda one: _pad_boxes(one, most))
    if images * height * width * 3 <= MOST_CACHED:
        examples = examples.cache()
    mixed = examples.shuffle(min(images, MIX), seed=seed, reshuffle_each_iteration=True).repeat()
    batches = mixed.batch(config.batch_size, drop_remainder=True)
    steps = tf.data.Dataset.counter(first_step)
    seeds = steps.map(lambda step: tf.cast(tf.stack([seed, step]), tf.int32))
    both = tf.data.Dataset.zip(batches, seeds)
    return both.map(lambda *one: augment(*one, config), num_parallel_calls=CORES).prefetch(2)


def batches_in_order(
    files: Sequence[str], label_map: LabelMap, image_size: tuple[int, int], batch_size: int = 16
) -> tf.data.Dataset:
    """Returns every image once, unchanged, as batches whose boxes are padded."""
    return read_examples(files, label_map, image_size).padded_batch(batch_size).prefetch(2)


def augment(batch: Example, seed: tf.Tensor, config: Config) -> Example:
    """Mirrors, zooms, shifts and recolors each image of a batch, and its boxes with it."""
    seeds = tf.unstack(tf.random.split(seed, 5))
    count = tf.shape(batch.pixels)[0]
    height, width = config.image_size
    pixels, boxes = tf.cast(batch.pixels, tf.float32), batch.boxes
    if config.flip:
        mirrored = tf.random.stateless_uniform((count,), seeds[0]) < 0.5
        pixels = tf.where(mirrored[:, None, None, None], pixels[:, :, ::-1], pixels)
        top, left, bottom, right = tf.unstack(boxes, axis=-1)
        other = tf.stack([top, width - right, bottom, width - left], axis=-1)
        boxes = tf.where(mirrored[:, None, None], other, boxes)
    if config.zoom > 1:
        reach = math.log(config.zoom)
        zoom = tf.exp(tf.random.stateless_uniform((count,), seeds[1], -reach, reach))
        # what does not fit, or what is left over, is split between the two sides at random
        rest = (1 - zoom)[:, None] * tf.constant([height, width], tf.float32)
        shift = rest * tf.random.stateless_uniform((count, 2), seeds[2])
        pixels = _zoom(pixels, zoom, shift)
        boxes = boxes * zoom[:, None, None] + tf.tile(shift, [1, 2])[:, None]
    if config.color:
        pixels = _recolor(pixels, config.color, seeds[3])
    boxes, labels = _within(boxes, batch.labels, config.image_size)
    return batch._replace(pixels=pixels, boxes=boxes, labels=labels)


def _zoom(pixels: tf.Tensor, zoom: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Enlarges each image by `zoom` (batch,) and moves it by `shift` (batch, 2), y and x."""
    zeros = tf.zeros_like(zoom)
    y, x = -shift[:, 0] / zoom, -shift[:, 1] / zoom  # from places in the result to the image
    rows = [1 / zoom, zeros, x, zeros, 1 / zoom, y, zeros, zeros]
    transform = tf.stack(rows, axis=-1)
    return keras.ops.image.affine_transform(pixels, transform, "bilinear", "constant", GREY)


def _recolor(pixels: tf.Tensor, most: float, seed: tf.Tensor) -> tf.Tensor:
    count = tf.shape(pixels)[0]
    factors = tf.random.stateless_uniform((3, count, 1, 1, 1), seed, 1 - most, 1 + most)
    light, contrast, color = tf.unstack(factors)
    mean = tf.reduce_mean(pixels, axis=(1, 2, 3), keepdims=True)
    grey = tf.reduce_sum(pixels * tf.constant(LUMA), axis=-1, keepdims=True)
    pixels = (pixels - grey) * color + (grey - mean) * contrast + mean
    return tf.clip_by_value(pixels * light, 0.0, 255.0)


def _within(
    boxes: tf.Tensor, labels: tf.Tensor, image_size: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Clips boxes; those mostly outside become difficult, those wholly outside are removed."""
    limits = tf.constant([*image_size] * 2, tf.float32)
    before = tf.reduce_prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
    boxes = tf.clip_by_value(boxes, 0.0, limits)
    sides = boxes[..., 2:] - boxes[..., :2]
    left = tf.reduce_prod(sides, axis=-1) / tf.maximum(before, 1e-6)
    labels = tf.where((labels > 0) & (left < LEAST_LEFT), -1, labels)
    gone = tf.reduce_min(sides, axis=-1) < LEAST_SIDE
    return tf.where(gone[..., None], 0.0, boxes), tf.where(gone, 0, labels)
