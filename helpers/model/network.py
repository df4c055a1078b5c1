"""Builds the multi-task network: backbone, pooling, a tower and a head for each task."""

import difflib
import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.common import WorkshopError, keras, layers, tf
from helpers.manifest import Labels

DEFAULT_BACKBONE = "street"
DEFAULT_IMAGE_SIZE = (160, 64)  # height, width in pixels
DEFAULT_POOLING = "average+max+stripes"
OWN_BACKBONES = ("street", "residual", "dense", "sign", "lenet")  # of this module
GROUPS = 8  # of a group normalization
NEIGHBORHOOD = 9  # pixels on each side: about a third of a sign, wider than any of its strokes
STRIPES = 4  # head, chest, legs, feet: each lies at about the same height in every street crop

# How keras.applications expects its pixels, where it does not scale them itself.
_SCALING = {
    "caffe": ("ResNet50", "ResNet101", "ResNet152", "VGG16", "VGG19"),
    "torch": ("DenseNet121", "DenseNet169", "DenseNet201"),
    "tf": (
        "ResNet50V2", "ResNet101V2", "ResNet152V2", "MobileNet", "MobileNetV2", "Xception",
        "InceptionV3", "InceptionResNetV2", "NASNetMobile", "NASNetLarge",
    ),
}  # fmt: skip


class Style(NamedTuple):
    """How our own backbones and the towers are made, see `helpers.train.Recipe`."""

    normalization: str = "batch"
    initialization: str = "glorot_uniform"


PLAIN = Style()


def backbone_names() -> list[str]:
    """Returns the names that `build_model` takes: our own and those of keras.applications."""
    networks = [name for name, _ in inspect.getmembers(keras.applications, inspect.isfunction)]
    return [*OWN_BACKBONES, *(name for name in networks if name[0].isupper())]


def build_model(
    labels: Labels,
    image_size: tuple[int, int] = DEFAULT_IMAGE_SIZE,
    *,
    backbone: str = DEFAULT_BACKBONE,
    weights: str | None = None,
    pooling: str = DEFAULT_POOLING,
    tower: int = 128,
    dropout: float = 0.2,
    task_uncertainty: bool = False,
    balance_gradients: bool = False,
    style: Style = PLAIN,
    pixels: str = "fixed",
) -> keras.Model:
    """Builds a network with one backbone and a tower and a softmax head for each task.

    Args:
        labels: the tasks and their classes; they give the heads, their order and their sizes.
        image_size: (height, width) in pixels.
        backbone: "street", "residual", "dense", "sign" (for small pictures), "lenet", or a name of
            keras.applications in any case, such as "DenseNet121".
        weights: None for random weights, "imagenet" (downloads them), or the path of a model
            that `helpers.train` saved, whose backbone is taken.
        pooling: any of "average", "max", "stripes" and "flat", joined by "+".
        tower: units of the hidden layer before each head; 0 for none.
        dropout: share of units dropped before each head.
        task_uncertainty: hold a trained weight for each task's loss
            (see `helpers.model.weigh_by_uncertainty`).
        balance_gradients: let every task pull at the shared features equally hard.
        style: normalization and initialization of our own parts.
        pixels: "fixed" scaling, or "dataset": see `set_pixel_statistics`.

    Returns:
        A model from "image", float (batch, height, width, 3), RGB 0 to 255, to a dict from task
        to float32 (batch, classes), probabilities that sum to 1. Each head's layer bears the
        name of its task.

    Raises:
        WorkshopError: an unknown backbone or pooling, weights that cannot be had, or a task whose
            name no layer can bear or another one bears.
    """
    _check_task_names(labels)
    image = keras.Input((*image_size, 3), name="image")
    features = build_backbone(image_size, backbone, weights, style, pixels)(image)
    pooled = pool(features, pooling)
    if task_uncertainty:
        pooled = TaskUncertainty(len(labels.tasks), name="task_uncertainty")(pooled)
    vectors = [pooled] * len(labels.tasks)
    if balance_gradients:
        vectors = BalanceGradients(len(labels.tasks), name="balance_gradients")(pooled)
    heads = {
        task: _tower_and_head(vector, task, len(classes), tower, dropout, style)
        for vector, (task, classes) in zip(vectors, labels.tasks.items())
    }
    try:
        return keras.Model(image, heads, name="multi_task")
    except ValueError as error:  # 'The name "max" is used 2 times in the model ...'
        raise WorkshopError(
            f"expected tasks with names of their own, found one that is also a layer's: {error} "
            "Rename the task."
        ) from error


def _tower_and_head(
    hidden: keras.KerasTensor, task: str, classes: int, tower: int, dropout: float, style: Style
) -> keras.KerasTensor:
    if tower:
        hidden = layers.Dense(
            tower, use_bias=False, kernel_initializer=style.initialization, name=f"{task}_tower"
        )(hidden)
        if style.normalization == "batch":
            hidden = layers.BatchNormalization(momentum=0.9, name=f"{task}_norm")(hidden)
        else:  # groups of a vector would have few numbers: all of them are one group
            hidden = layers.LayerNormalization(name=f"{task}_norm")(hidden)
        hidden = layers.Activation("relu", name=f"{task}_relu")(hidden)
    hidden = layers.Dropout(dropout, name=f"{task}_dropout")(hidden)
    # float32 even under mixed precision: probabilities near 1 need it
    return layers.Dense(classes, activation="softmax", dtype="float32", name=task)(hidden)


def _check_task_names(labels: Labels) -> None:
    """Refuses what TensorFlow refuses as a layer's name, only much later and at length."""
    for task in labels.tasks:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", task):
            raise WorkshopError(
                f"expected a task's name of plain letters, digits, _, . and -, as TensorFlow wants "
                f"it for layers; found {task!r}. Rename that column."
            )


def build_backbone(
    image_size: tuple[int, int],
    name: str = DEFAULT_BACKBONE,
    weights: str | None = None,
    style: Style = PLAIN,
    pixels: str = "fixed",
) -> keras.Model:
    """Builds the part that all tasks share, pixel scaling included.

    The arguments are those of `build_model`.

    Returns:
        A model named "backbone" from float (batch, height, width, 3), RGB 0 to 255, to
        (batch, rows, columns, channels).

    Raises:
        WorkshopError: an unknown name, or weights that cannot be had.
    """
    name = _find_backbone(name)
    image = keras.Input((*image_size, 3), name="pixels")
    if name in OWN_BACKBONES:
        if weights == "imagenet":
            raise WorkshopError(
                f"expected weights none or a saved model for {name!r}, found imagenet: there are "
                "none of it. Choose a --backbone of keras.applications, or --weights none."
            )
        features = _own_features(image, name, style, pixels)
    else:
        if style != PLAIN:
            raise WorkshopError(
                f"expected normalization and initialization of {name} as they were published, "
                f"found {', '.join(style)}. Choose one of {', '.join(OWN_BACKBONES)} for these."
            )
        features = _published_features(image, name, weights, pixels)
    backbone = keras.Model(image, features, name="backbone")
    if weights and weights != "imagenet":
        _take_backbone_weights(backbone, Path(weights))
    return backbone


def _find_backbone(name: str) -> str:
    known = {known.lower(): known for known in backbone_names()}
    if name.lower() not in known:
        near = [known[n] for n in difflib.get_close_matches(name.lower(), known, 3, 0.4)]
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise WorkshopError(
            f"expected a backbone of keras.applications or {', '.join(OWN_BACKBONES)}, "
            f"found {name!r}.{hint}"
        )
    return known[name.lower()]


def _own_features(image: keras.KerasTensor, name: str, style: Style, pixels: str):
    if name == "sign":
        if pixels == "dataset":
            raise WorkshopError(
                "expected --pixels fixed for the backbone sign, found dataset: it evens out the "
                "light of each picture by itself. Leave the flag out."
            )
        return sign_features(image, style=style)
    scale = layers.Rescaling(1 / 127.5, offset=-1)
    if pixels == "dataset":
        scale = StandardizePixels(name="standardize")
    if name == "lenet":
        return lenet_features(scale(image))
    own = {"street": street_features, "residual": residual_features, "dense": dense_features}
    return own[name](scale(image), style=style)


def street_features(
    x: keras.KerasTensor, widths: Sequence[int] = (32, 64, 128), style: Style = PLAIN
):
    """The default backbone: a small residual network (He et al. 2016) for two cores.

    A first convolution with a stride of 4, so that nearly all of the work is done on few pixels,
    and plain 3x3 convolutions, since depthwise ones save arithmetic but little time on a CPU.

    Args:
        x: (batch, height, width, 3), scaled to -1 to 1.
        widths: channels of the first convolution and of each block, which halves both sides.
        style: of its layers.

    Returns:
        (batch, height / 16, width / 16, widths[-1]).
    """
    x = layers.Activation("relu")(_convolve(x, widths[0], kernel=6, strides=4, style=style))
    for width in widths[1:]:
        x = _residual_block(x, width, 2, style)
    return x


def residual_features(
    x: keras.KerasTensor, widths: Sequence[int] = (32, 64, 128), style: Style = PLAIN
):
    """A residual network (He et al. 2016) of two blocks for each width: deeper than "street".

    Args:
        x: (batch, height, width, 3), scaled.
        widths: channels of each pair of blocks; each pair but the first halves both sides.
        style: of its layers.

    Returns:
        (batch, height / 16, width / 16, widths[-1]).
    """
    x = layers.Activation("relu")(_convolve(x, widths[0], kernel=6, strides=4, style=style))
    for number, width in enumerate(widths):
        x = _residual_block(x, width, 2 if number else 1, style)
        x = _residual_block(x, width, 1, style)
    return x


def _residual_block(x: keras.KerasTensor, width: int, strides: int, style: Style):
    """Two convolutions, and a way around them on which gradients pass unchanged."""
    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides, padding="same")(x)
        shortcut = _convolve(shortcut, width, kernel=1, style=style)
    x = layers.Activation("relu")(_convolve(x, width, strides=strides, style=style))
    x = layers.Add()([_convolve(x, width, style=style), shortcut])
    return layers.Activation("relu")(x)


def dense_features(
    x: keras.KerasTensor,
    blocks: Sequence[tuple[int, int]] = ((3, 16), (4, 24), (4, 32)),
    style: Style = PLAIN,
):
    """A small densely connected network (Huang et al. 2017) for two cores.

    Each convolution sees what all before it in its block have found, and adds a few channels of
    its own. Between blocks the channels and both sides are halved.

    Args:
        x: (batch, height, width, 3), scaled.
        blocks: for each block its convolutions and the channels that each of them adds.
        style: of its layers.

    Returns:
        (batch, height / 16, width / 16, channels).
    """
    x = layers.Activation("relu")(_convolve(x, 32, kernel=6, strides=4, style=style))
    for number, (convolutions, growth) in enumerate(blocks):
        if number:
            halved = x.shape[-1] // 2 // GROUPS * GROUPS
            x = layers.Activation("relu")(_convolve(x, halved, kernel=1, style=style))
            x = layers.AveragePooling2D(2, padding="same")(x)
        for _ in range(convolutions):
            found = layers.Activation("relu")(_convolve(x, growth, style=style))
            x = layers.Concatenate()([x, found])
    return x


def sign_features(
    image: keras.KerasTensor, widths: Sequence[int] = (16, 48, 96), style: Style = PLAIN
):
    """A backbone for small pictures with one thing in the middle, such as traffic signs.

    Pictures of signs are often so dark or pale that most of the range is unused, so the light is
    evened out first: over the picture, and around each pixel. Then a convolution of few channels at
    full size, since at 32 pixels a stride loses the strokes of a numeral, and the work where
    pooling has left few pixels.

    Args:
        image: (batch, height, width, 3), RGB 0 to 255.
        widths: channels before each of the poolings, which halve both sides.
        style: of its layers.

    Returns:
        (batch, height / 8, width / 8, widths[-1]).
    """
    # A group of all three channels keeps the colors; epsilon is small beside 255 squared.
    whole = layers.GroupNormalization(1, epsilon=1.0, center=False, scale=False)(image)
    x = layers.Concatenate()([whole, EvenLight(NEIGHBORHOOD)(image)])
    # Normalizing after the pooling is the same idea on a quarter of the numbers.
    for width, kernel in zip(widths[:-1], (5, 3)):
        x = layers.MaxPooling2D(2)(_plain_convolution(x, width, kernel, style=style))
        x = layers.Activation("relu")(_normalize(x, style))
    x = layers.Activation("relu")(_convolve(x, widths[-1], style=style))
    x = layers.Activation("relu")(layers.Add()([_convolve(x, widths[-1], style=style), x]))
    return layers.MaxPooling2D(2)(x)


def lenet_features(x: keras.KerasTensor):
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling, as cloud tutorials have it.

    Args:
        x: (batch, height, width, 3), scaled to -1 to 1; 32 pixels on each side, or more.

    Returns:
        (batch, 1, 1, 84): its two dense layers are convolutions over all that is left.
    """
    for width in (6, 16):
        x = layers.MaxPooling2D(2)(layers.Conv2D(width, 5, activation="relu")(x))
    x = layers.Conv2D(120, x.shape[1:3], activation="relu")(x)
    return layers.Conv2D(84, 1, activation="relu")(x)


@keras.saving.register_keras_serializable("workshop")
class EvenLight(layers.Layer):
    """Takes the mean of its neighborhood from each pixel, and divides by the deviation there.

    Local contrast normalization (Jarrett et al. 2009) with a box instead of a Gaussian window.

    Args:
        size: of the neighborhood, in pixels.
    """

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, pixels):
        """Normalizes (batch, height, width, channels), 0 to 255."""
        offset = pixels - self._mean(pixels)
        # 4 is a deviation of 2 levels: what is as flat as that is noise, and stays small
        return offset * keras.ops.rsqrt(self._mean(offset * offset) + 4.0)

    def _mean(self, values):
        return keras.ops.average_pool(values, self.size, 1, "same")

    def get_config(self) -> dict:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("workshop")
class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalization of pictures with TensorFlow's own kernel while training.

    The numbers are those of Keras, which puts the layer together from a dozen small operations:
    here one goes over the numbers instead, and another one back. Its weights are the same. The
    channels come last, and scale and center are learned, as is Keras's default.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalizes (batch, height, width, channels)."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.cast(self.gamma, tf.float32),
            tf.cast(self.beta, tf.float32),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
        variance *= (count - 1) / count  # the kernel estimates; Keras keeps that of the batch
        for kept, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept.assign(kept * self.momentum + found * (1 - self.momentum))
        return outputs


def _convolve(
    x: keras.KerasTensor, width: int, kernel: int = 3, strides: int = 1, style: Style = PLAIN
):
    return _normalize(_plain_convolution(x, width, kernel, strides, style), style)


def _plain_convolution(
    x: keras.KerasTensor, width: int, kernel: int = 3, strides: int = 1, style: Style = PLAIN
):
    return layers.Conv2D(
        width,
        kernel,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer=style.initialization,
    )(x)


def _normalize(x: keras.KerasTensor, style: Style):
    if style.normalization == "group":
        return layers.GroupNormalization(GROUPS)(x)
    # A momentum of .9 instead of .99: the runs here are a few hundred steps long.
    return FusedBatchNormalization(momentum=0.9)(x)


def _published_features(image: keras.KerasTensor, name: str, weights: str | None, pixels: str):
    network = getattr(keras.applications, name)
    mode = next((mode for mode, names in _SCALING.items() if name in names), None)
    scaled, options = ScalePixels(mode)(image) if mode else image, {}
    if pixels == "dataset":
        scaled = StandardizePixels(name="standardize")(image)
        if "include_preprocessing" in inspect.signature(network).parameters:
            options = {"include_preprocessing": False}
        elif not mode:
            raise WorkshopError(
                f"expected a network whose scaling can be left out, found {name}, which scales "
                "inside. Use --pixels fixed, or another --backbone."
            )
    try:
        base = network(
            include_top=False,
            weights="imagenet" if weights == "imagenet" else None,
            input_shape=image.shape[1:],
            **options,
        )
    except ValueError as error:  # a picture too small for the network
        raise WorkshopError(f"{name}: {error}") from error
    except Exception as error:
        if "URL fetch failure" not in str(error):
            raise
        raise WorkshopError(
            f"expected to download the imagenet weights of {name}, found no way to them "
            f"({error}). Use --weights none, or try again where the network allows it."
        ) from error
    return base(scaled)


@keras.saving.register_keras_serializable("workshop")
class ScalePixels(layers.Layer):
    """Scales RGB 0 to 255 as `keras.applications.imagenet_utils.preprocess_input` does.

    It is part of the network, so that serving cannot scale otherwise than training did.

    Args:
        mode: "caffe" (BGR minus the mean), "torch" (0 to 1, then standardized by channel) or
            "tf" (-1 to 1).
    """

    def __init__(self, mode: str, **kwargs):
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, pixels):
        """Scales (batch, height, width, 3)."""
        if self.mode == "tf":
            return pixels / 127.5 - 1.0
        if self.mode == "torch":
            mean = keras.ops.convert_to_tensor([0.485, 0.456, 0.406], pixels.dtype)
            deviation = keras.ops.convert_to_tensor([0.229, 0.224, 0.225], pixels.dtype)
            return (pixels / 255.0 - mean) / deviation
        return pixels[..., ::-1] - keras.ops.convert_to_tensor(
            [103.939, 116.779, 123.68], pixels.dtype
        )

    def get_config(self) -> dict:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "mode": self.mode}


@keras.saving.register_keras_serializable("workshop")
class StandardizePixels(layers.Layer):
    """Subtracts the mean of each channel of the data set, and divides by its deviation.

    Both are weights that are not trained: they are saved and handed on from stage to stage with
    the others, and serving cannot use other ones. They belong to RGB, the order in which
    `helpers.pipeline` decodes. (The published person attributes took the statistics of RGB
    pictures and applied them to BGR ones, as OpenCV reads them: red was scaled as blue.)
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # -1 to 1, until `set_pixel_statistics` knows better
        self.mean = self.add_weight(
            shape=(3,), initializer=_constant(127.5), trainable=False, name="mean"
        )
        self.deviation = self.add_weight(
            shape=(3,), initializer=_constant(127.5), trainable=False, name="deviation"
        )

    def call(self, pixels):
        """Scales (batch, height, width, 3)."""
        return (pixels - self.mean) / self.deviation


def _constant(value: float) -> keras.Initializer:
    return keras.initializers.Constant(value)


def set_pixel_statistics(model: keras.Model, mean: np.ndarray, deviation: np.ndarray) -> None:
    """Tells a network that was built with `pixels="dataset"` about its data.

    Args:
        model: of `build_model`.
        mean: (3,) of RGB, 0 to 255.
        deviation: (3,).
    """
    layer = model.get_layer("backbone").get_layer("standardize")
    layer.mean.assign(mean)
    layer.deviation.assign(np.maximum(deviation, 1.0))  # of pictures of one color it is 0


@keras.saving.register_keras_serializable("workshop")
class BalanceGradients(layers.Layer):
    """Hands the shared features to every task, and makes their gradients equally long.

    It is what GradNorm (Chen et al. 2018, with alpha = 0) trains task weights for: gradients of
    the same norm for all tasks. Here they are scaled to the mean of their norms at every step, at
    the shared features, where a task's gradient costs nothing extra (Sener & Koltun 2018). Loss
    and predictions do not change.

    Args:
        tasks: their number.
    """

    def __init__(self, tasks: int, **kwargs):
        super().__init__(**kwargs)
        self.tasks = tasks

    def call(self, features, training=False):
        """Returns `features` once for each task."""
        if not training:  # no gradients: an export stays plain
            return [tf.identity(features) for _ in range(self.tasks)]
        return list(_equally_long(features, self.tasks))

    def compute_output_spec(self, features, training=False):
        """Says the shapes without tracing."""
        return [keras.KerasTensor(features.shape, features.dtype) for _ in range(self.tasks)]

    def get_config(self) -> dict:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "tasks": self.tasks}


def _equally_long(features, tasks: int):
    @tf.custom_gradient
    def copies(x):
        def gradient(*upstream):
            # norms over the whole batch; a task without a label in it has none
            norms = [tf.norm(part) for part in upstream]
            mean = tf.add_n(norms) / tf.maximum(tf.math.count_nonzero(norms, dtype=x.dtype), 1)
            scaled = [g * tf.math.divide_no_nan(mean, n) for g, n in zip(upstream, norms)]
            return tf.add_n(scaled)

        return tuple(tf.identity(x) for _ in range(tasks)), gradient

    return copies(features)


@keras.saving.register_keras_serializable("workshop")
class TaskUncertainty(layers.Layer):
    """Holds one trained log-variance for each task (Kendall, Gal & Cipolla 2018).

    It passes its input on unchanged. It stands in the network only so that the variances are
    trained, saved and resumed together with the other weights.
    """

    def __init__(self, tasks: int, **kwargs):
        super().__init__(**kwargs)
        self.tasks = tasks
        self.log_variance = self.add_weight(
            shape=(tasks,), initializer="zeros", name="log_variance"
        )

    def call(self, features):
        """Returns `features`."""
        return features

    def get_config(self) -> dict:
        """Returns what rebuilds the layer."""
        return {**super().get_config(), "tasks": self.tasks}


def _take_backbone_weights(backbone: keras.Model, path: Path) -> None:
    if not path.is_file():
        raise WorkshopError(
            f"expected --weights to be none, imagenet or a saved .keras model, found no file {path}"
        )
    try:
        source = load_model(path).get_layer("backbone")
    except ValueError as error:
        raise WorkshopError(
            f"expected {path} to be a model of helpers.train, found no backbone in it."
        ) from error
    if [w.shape for w in source.weights] != [w.shape for w in backbone.weights]:
        raise WorkshopError(
            f"expected {path} to hold the backbone that you ask for, found another one. "
            "Use the --backbone that it was trained with."
        )
    backbone.set_weights(source.get_weights())


def load_model(path: Path) -> keras.Model:
    """Loads a model that a run saved.

    Raises:
        WorkshopError: there is no such file, or it is no Keras model.
    """
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, OSError) as error:
        raise WorkshopError(
            f"expected a saved Keras model, found none at {path}: {error}"
        ) from error


def pool(features: keras.KerasTensor, pooling: str = DEFAULT_POOLING):
    """Turns a map of features into one vector.

    "average" tells how much of a feature there is, "max" whether it is anywhere, "stripes" the
    average in each of `STRIPES` horizontal bands: where a garment is tells which one it is
    (Part-based Convolutional Baseline, Sun et al. 2018), "flat" every place by itself: what is in
    the middle of a picture, such as a sign, has its parts at the same places in all of them.

    Args:
        features: (batch, rows, columns, channels).
        pooling: any of the four, joined by "+".

    Returns:
        (batch, features).
    """
    ways = pooling.split("+")
    unknown = set(ways) - {"average", "max", "stripes", "flat"}
    if unknown:
        raise WorkshopError(
            f"expected pooling of average, max, stripes, flat, joined by +, found {sorted(unknown)}"
        )
    vectors = []
    if "flat" in ways:
        vectors.append(layers.Flatten(name="flat")(features))
    if "average" in ways:
        vectors.append(layers.GlobalAveragePooling2D(name="average")(features))
    if "max" in ways:
        vectors.append(layers.GlobalMaxPooling2D(name="max")(features))
    if "stripes" in ways:
        rows = features.shape[1]
        for i in range(STRIPES):
            top, bottom = i * rows // STRIPES, -(-(i + 1) * rows // STRIPES)
            stripe = layers.Cropping2D(((top, rows - bottom), (0, 0)), name=f"crop_{i}")(features)
            vectors.append(layers.GlobalAveragePooling2D(name=f"stripe_{i}")(stripe))
    return layers.Concatenate(name="features")(vectors) if len(vectors) > 1 else vectors[0]
