"""The layer of balanced gradients."""

from helpers.common import keras, layers, tf


@keras.saving.register_keras_serializable("workshop")
class EqualPull(layers.Layer):
    """Returns tensors as they are; the gradients that come back are made equally long."""

    def call(self, tensors, training=False):
        """Scales each gradient to the mean of their norms over the whole batch."""

        @tf.custom_gradient
        def same(*tensors):
            def gradient(*parts):
                norms = [tf.norm(part) for part in parts]  # 0 of a task without a label
                mean = sum(norms) / tf.maximum(tf.math.count_nonzero(norms, dtype="float32"), 1)
                return [g * tf.math.divide_no_nan(mean, norm) for g, norm in zip(parts, norms)]

            return [tf.identity(tensor) for tensor in tensors], gradient

        return list(same(*tensors)) if training else tensors  # an export stays plain
