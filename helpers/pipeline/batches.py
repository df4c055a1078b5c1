"""Turns a manifest into batches of images and targets."""

from collections.abc import Callable

import numpy as np

from helpers.common import CORES, steady, tf
from helpers.manifest import Manifest
from helpers.pipeline.augmentation import AUGMENTATIONS, Augmentation, augment
from helpers.pipeline.cache import load_images


def training_batches(
    manifest: Manifest,
    image_size: tuple[int, int],
    batch_size: int,
    *,
    augmentation: Augmentation = AUGMENTATIONS["none"],
    sampling_weights: np.ndarray | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    steps: int | None = None,
) -> tf.data.Dataset:
    """Returns endless batches, a new order each epoch, the last partial batch included.

    A batch is uint8 (batch, height, width, 3), and a dict from task to int32 (batch,), -1 where the
    label is not known. Order and changes depend on `seed` and the epoch (from 0) alone, so that a
    resumed run goes on as an unbroken one. By `sampling_weights` (n,) n images are drawn; where
    None, each comes once. `steps` deals them out to so many batches of nearly one size.
    """

    def change(images: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return augment(images, augmentation, np.random.default_rng(seeds))

    rows_of = _order(len(manifest), batch_size, sampling_weights, seed, steps)
    epochs = tf.data.Dataset.range(first_epoch, 2**20)  # endless: `fit` takes as many as it wants
    return _look_up(epochs.flat_map(rows_of), manifest, image_size, change)


def _order(
    count: int, batch_size: int, sampling_weights: np.ndarray | None, seed: int, steps: int | None
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Returns a function from an epoch to its batches of (row numbers, seeds)."""
    logits = None if sampling_weights is None else np.log(np.maximum(sampling_weights, 1e-30))[None]

    def rows_of(epoch: tf.Tensor) -> tf.data.Dataset:
        if logits is None:
            order = tf.random.experimental.stateless_shuffle(tf.range(count), [seed, epoch])
        else:
            order = tf.random.stateless_categorical(logits, count, [seed, epoch], tf.int32)[0]
        if steps is None:
            rows = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        else:
            bounds = tf.range(steps + 1, dtype=tf.int64) * count // steps
            rows = tf.data.Dataset.range(steps).map(lambda k: order[bounds[k] : bounds[k + 1]])
        return rows.enumerate().map(lambda step, rows: (rows, tf.stack([seed, epoch, step])))

    return rows_of


def steps_per_epoch(manifest: Manifest, batch_size: int) -> int:
    """Returns the number of batches, the last partial one included."""
    return -(-len(manifest) // batch_size)


def batches_in_order(
    manifest: Manifest, image_size: tuple[int, int], batch_size: int = 256
) -> tf.data.Dataset:
    """Returns batches as `training_batches` does: each image once, in order and unchanged."""
    rows = tf.data.Dataset.range(len(manifest)).batch(batch_size)
    seeds = rows.map(lambda row: (row, row[:0]))  # nothing is random here
    return _look_up(seeds, manifest, image_size, lambda images, _: images)


def _look_up(
    rows: tf.data.Dataset,
    manifest: Manifest,
    image_size: tuple[int, int],
    change: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> tf.data.Dataset:
    """Turns batches of (row numbers, seeds) into (images, targets)."""
    targets = {task: tf.constant(manifest.targets(task)) for task in manifest.labels.tasks}
    store = load_images(manifest, image_size)

    def read(numbers: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return change(store[numbers], seeds)

    def look_up(numbers: tf.Tensor, seeds: tf.Tensor) -> tuple:
        images = tf.numpy_function(read, [numbers, seeds], tf.uint8, stateful=False)
        labels = {task: tf.gather(values, numbers) for task, values in targets.items()}
        return tf.ensure_shape(images, (None, *image_size, 3)), labels

    return steady(rows.map(look_up, num_parallel_calls=CORES)).prefetch(2)
