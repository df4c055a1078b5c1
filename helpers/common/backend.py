"""TensorFlow and Keras, imported without the notices that no variable silences.

Everybody takes them from here, so that a terminal and a notebook show what is meant for people.
"""

import logging
import os

from helpers.common.terminal import standard_error_silenced

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only, unless somebody asks for more
with standard_error_silenced():
    import keras
    import tensorflow as tf
    from keras import layers

    tf.config.list_physical_devices("GPU")  # looks for one; where there is none, CUDA complains

# Each network is traced once when it first predicts. After five networks TensorFlow warns that
# one was traced five times.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = ["keras", "layers", "steady", "tf"]


def steady(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset without the thread that tunes its parallelism and its buffers.

    That thread sleeps up to a minute at a time, and in TensorFlow 2.21 letting go of the dataset
    may wait until it wakes up: a command then ends half a minute too late. What reads in parallel
    names a number of calls instead of `tf.data.AUTOTUNE`.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
