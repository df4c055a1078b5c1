"""Shows where in an image a head looks."""

import numpy as np

from helpers.common import WorkshopError, keras, tf


def grad_cam(model: keras.Model, images: np.ndarray, task: str) -> np.ndarray:
    """Computes Grad-CAM maps of one head's most probable classes: (batch, height, width), 0 to 1.

    Grad-CAM (Selvaraju et al. 2017) averages the slopes of the class's logit over the image. Our
    heads also see maxima and stripes, so each place keeps its own slope (HiResCAM, Draelos and
    Carin 2020). `images` are (batch, height, width, 3), 0 to 255; the maps are float32.
    """
    if task not in model.output:
        raise WorkshopError(f"expected a task of {', '.join(model.output)}, found {task!r}.")
    position = [layer.name for layer in model.layers].index("backbone")
    # the output of the backbone as the rest of the network takes it in
    features_to_hidden = keras.Model(model.layers[position + 1].input, model.get_layer(task).input)
    kernel, bias = model.get_layer(task).weights
    features = model.get_layer("backbone")(tf.cast(images, tf.float32), training=False)
    with tf.GradientTape() as tape:
        tape.watch(features)
        # The logits, not the probabilities: a sure softmax has no slope left.
        logits = features_to_hidden(features, training=False) @ kernel + bias
        chosen = tf.reduce_max(logits, axis=1)
    slopes = tape.gradient(chosen, features)  # (batch, rows, columns, channels), as the features
    maps = tf.nn.relu(tf.reduce_sum(slopes * features, axis=-1, keepdims=True))
    maps = tf.image.resize(maps, images.shape[1:3], method="bicubic")[..., 0]
    maps = tf.maximum(maps, 0).numpy()
    largest = maps.max(axis=(1, 2), keepdims=True)
    return np.where(largest > 0, maps / np.maximum(largest, 1e-12), 0).astype(np.float32)
