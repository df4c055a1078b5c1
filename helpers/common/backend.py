"""TensorFlow and Keras, imported without the notices that no variable silences."""

import logging
import os
from pathlib import Path

from helpers.common.terminal import standard_error_silenced


def onednn_helps(processor: Path = Path("/proc/cpuinfo")) -> bool:
    """Returns whether oneDNN, 1.3 to 2.9 times as fast, has to be asked for: AVX2, no AVX-512."""
    flags = set(processor.read_text(encoding="utf-8").split()) if processor.exists() else set()
    return "avx2" in flags and not any(flag.startswith("avx512") for flag in flags)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only, unless the user asks for more
if onednn_helps():  # TF_ENABLE_ONEDNN_OPTS=0 turns it off
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
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
