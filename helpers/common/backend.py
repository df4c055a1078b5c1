"""TensorFlow and Keras, imported without the notices that no variable silences."""

import logging

from helpers.common.terminal import standard_error_silenced

with standard_error_silenced():
    import keras
    import tensorflow as tf
    from keras import layers

    tf.config.list_physical_devices("GPU")  # looks for one; where there is none, CUDA complains

# without this it warns of five tracings where five networks were traced once each
logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = ["keras", "layers", "steady", "tf"]


def steady(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset without the thread that tunes its parallelism (`tf.data.AUTOTUNE`).

    In TensorFlow 2.21 the end of a command may wait for that thread, which sleeps up to a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
