"""TensorFlow and Keras, imported without the notices that no variable silences.

Whoever needs them takes them from here, so that a terminal and a notebook show what is meant
for people.
"""

import logging

from helpers.quiet import quiet_tensorflow, standard_error_silenced

quiet_tensorflow()
with standard_error_silenced():
    import keras
    import tensorflow as tf
    from keras import layers

    tf.config.list_physical_devices("GPU")  # looks for one; where there is none, CUDA complains

# Each network is traced once when it first predicts. After five networks TensorFlow warns that
# one was traced five times.
logging.getLogger("tensorflow").setLevel(logging.ERROR)

__all__ = ["keras", "layers", "tf"]
