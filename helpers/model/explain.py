"""Shows where in an image a head looks."""

import numpy as np

from helpers.common import WorkshopError, keras, tf


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    task: str,
    classes: np.ndarray | None = None,
) -> np.ndarray:
    """Computes Grad-CAM maps of one head, float32 (batch, height, width), 0 to 1.

    Grad-CAM (Selvaraju et al. 2017) averages the slopes of the class's logit over the image. Our
    heads also see maxima and stripes, so each place keeps its own slope (HiResCAM, Draelos and
    Carin 2020). `classes`, int (batch,), are explained, where None the most probable ones.
    `images` are (batch, height, width, 3), 0 to 255.

    Raises:
        WorkshopError: the model has no such task.
    """
    if task not in model.output:
        raise WorkshopError(f"expected a task of {', '.join(model.output)}, found {task!r}.")
    features, slopes = _features_and_slopes(model, images, task, classes)
    maps = tf.nn.relu(tf.reduce_sum(slopes * features, axis=-1, keepdims=True))
    maps = tf.image.resize(maps, images.shape[1:3], method="bicubic")[..., 0]
    maps = tf.maximum(maps, 0).numpy()
    largest = maps.max(axis=(1, 2), keepdims=True)
    return np.where(largest > 0, maps / np.maximum(largest, 1e-12), 0).astype(np.float32)


def _features_and_slopes(
    model: keras.Model, images: np.ndarray, task: str, classes: np.ndarray | None
) -> tuple[tf.Tensor, tf.Tensor]:
    position = [layer.name for layer in model.layers].index("backbone")
    # the output of the backbone as the rest of the network takes it in
    features_to_hidden = keras.Model(model.layers[position + 1].input, model.get_layer(task).input)
    kernel, bias = model.get_layer(task).weights
    with tf.GradientTape() as tape:
        features = model.get_layer("backbone")(tf.cast(images, tf.float32), training=False)
        tape.watch(features)
        # The logits, not the probabilities: a sure softmax has no slope left.
        logits = features_to_hidden(features, training=False) @ kernel + bias
        if classes is None:
            classes = tf.argmax(logits, axis=1)
        chosen = tf.gather(logits, tf.cast(classes, tf.int32), batch_dims=1)
    return features, tape.gradient(chosen, features)  # both (batch, rows, columns, channels)
