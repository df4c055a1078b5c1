"""The multi-task network: builds it of backbone, pooling, towers and heads; opens a saved one."""

import inspect
import re
import zipfile
from pathlib import Path

from helpers.common import expected, keras, layers, open_input, reading
from helpers.manifest import Labels, did_you_mean
from helpers.model.backbones import (
    GLOROT,
    dense_features,
    lenet_features,
    residual_features,
    sign_features,
    street_features,
)
from helpers.model.layers import ScalePixels, StandardizePixels, TaskUncertainty
from helpers.model.lite0 import lite0_features, set_imagenet_weights

DEFAULT_BACKBONE = "street"
DEFAULT_IMAGE_SIZE = (160, 64)  # height, width in pixels
DEFAULT_POOLING = "average+max+stripes"
OWN_BACKBONES = ("street", "residual", "dense", "sign", "lenet")
PRETRAINED = "lite0"  # for fine-tuning: without weights, and a normalization, it learns nothing
STRIPES = 4  # head, chest, legs, feet: each lies at about the same height in every street crop

PARTS = ["config.json", "metadata.json", "model.weights.h5"]
MOST_TIMES = 4  # the size of a file, unpacked: Keras packs nothing, and weights hardly shrink
AGAIN = "Restore it, or train again; --resume of the training makes best.keras from epochs/ anew."

# How keras.applications expects its pixels, where it does not scale them itself.
_SCALING = {
    "caffe": ("ResNet50", "ResNet101", "ResNet152", "VGG16", "VGG19"),
    "torch": ("DenseNet121", "DenseNet169", "DenseNet201"),
    "tf": (
        "ResNet50V2", "ResNet101V2", "ResNet152V2", "MobileNet", "MobileNetV2", "Xception",
        "InceptionV3", "InceptionResNetV2", "NASNetMobile", "NASNetLarge",
    ),
}  # fmt: skip


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
    initialization: str = GLOROT,
    pixels: str = "fixed",
) -> keras.Model:
    """Builds a network with one backbone and a tower and a softmax head for each task.

    It goes from "image", float (batch, height, width, 3), RGB 0 to 255, to a dict from task to
    float32 (batch, classes), probabilities. `helpers.train.Recipe` describes the options.
    WorkshopError for an option, weights or a task's name that cannot be used.
    """
    for task in labels.tasks:  # TensorFlow refuses it too, only much later and at length
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", task):
            what = "a task's name of plain letters, digits, _, . and -, as layers have"
            raise expected(what, repr(task), "Rename that column.")
    image = keras.Input((*image_size, 3), name="image")
    features = build_backbone(image_size, backbone, weights, initialization, pixels)(image)
    vector = pool(features, pooling)
    if task_uncertainty:
        vector = TaskUncertainty(len(labels.tasks), name="task_uncertainty")(vector)
    heads = {}
    for task, classes in labels.tasks.items():
        hidden = _tower(vector, task, tower, initialization) if tower else vector
        hidden = layers.Dropout(dropout, name=f"{task}_dropout")(hidden)
        # float32 even under mixed precision: probabilities near 1 need it
        head = layers.Dense(len(classes), activation="softmax", dtype="float32", name=task)
        heads[task] = head(hidden)
    with reading("tasks", "names that no layer has", "Rename the task."):
        return keras.Model(image, heads, name="multi_task")


def _tower(vector: keras.KerasTensor, task: str, units: int, initialization: str):
    how = {"use_bias": False, "kernel_initializer": initialization, "name": f"{task}_tower"}
    hidden = layers.Dense(units, **how)(vector)
    hidden = layers.BatchNormalization(momentum=0.9, name=f"{task}_norm")(hidden)
    return layers.Activation("relu", name=f"{task}_relu")(hidden)


def backbone_names() -> list[str]:
    """Returns the names that `build_model` takes: our own, lite0, those of keras.applications."""
    networks = [name for name, _ in inspect.getmembers(keras.applications, inspect.isfunction)]
    return [*OWN_BACKBONES, PRETRAINED, *(name for name in networks if name[0].isupper())]


def build_backbone(
    image_size: tuple[int, int],
    name: str = DEFAULT_BACKBONE,
    weights: str | None = None,
    initialization: str = GLOROT,
    pixels: str = "fixed",
) -> keras.Model:
    """Builds the part that all tasks share: RGB 0 to 255 to (batch, rows, columns, channels).

    `name` is one of `backbone_names()`, in any case. `weights` are None for random ones, "imagenet"
    (downloads them, not for lite0), or the path of a model that `helpers.train` saved, whose
    backbone is taken. WorkshopError for an unknown name, and weights that cannot be loaded.
    """
    known = {known.lower(): known for known in backbone_names()}
    if name.lower() not in known:
        what = f"a backbone of keras.applications or {', '.join((*OWN_BACKBONES, PRETRAINED))}"
        raise expected(what, repr(name), did_you_mean(name, known.values()))
    name = known[name.lower()]
    _check_backbone(name, weights, initialization, pixels)
    image = keras.Input((*image_size, 3), name="pixels")
    if name in OWN_BACKBONES:
        features = _own_features(image, name, initialization, pixels)
    elif name == PRETRAINED:
        features = lite0_features(image)
    else:
        features = _published_features(image, name, weights, pixels)
    backbone = keras.Model(image, features, name="backbone")
    if weights and weights != "imagenet":
        with reading(weights, "a model of helpers.train with this --backbone", "Name another one."):
            saved = load_model(Path(weights)).get_layer("backbone")
            backbone.set_weights(saved.get_weights())
    elif name == PRETRAINED:
        set_imagenet_weights(backbone)
    return backbone


def _check_backbone(name: str, weights: str | None, initialization: str, pixels: str) -> None:
    fix = "Change that, or --backbone."
    if name in OWN_BACKBONES and weights == "imagenet":
        what = f"weights none or a saved model for {name!r}"
        raise expected(what, "imagenet: there are none of it", fix)
    if name == PRETRAINED and (weights is None or pixels != "fixed"):
        found = f"--weights {weights or 'none'}, --pixels {pixels}"
        raise expected("lite0 with --weights imagenet and --pixels fixed", found, fix)
    if name not in (*OWN_BACKBONES, PRETRAINED) and initialization != GLOROT:
        raise expected(f"the initialization of {name} as it was published", initialization, fix)
    if name == "sign" and pixels == "dataset":
        found = "dataset: it evens out the light of each image by itself"
        raise expected("--pixels fixed for the backbone sign", found, fix)


def _own_features(image: keras.KerasTensor, name: str, initialization: str, pixels: str):
    if name == "sign":
        return sign_features(image, initialization=initialization)
    if pixels == "dataset":
        scaled = StandardizePixels(name="standardize")(image)
    else:
        scaled = layers.Rescaling(1 / 127.5, offset=-1)(image)
    if name == "lenet":
        return lenet_features(scaled)
    own = {"street": street_features, "residual": residual_features, "dense": dense_features}
    return own[name](scaled, initialization=initialization)


def _published_features(image: keras.KerasTensor, name: str, weights: str | None, pixels: str):
    network = getattr(keras.applications, name)
    mode = next((mode for mode, names in _SCALING.items() if name in names), None)
    scaled = ScalePixels(mode)(image) if mode else image
    options = {"weights": "imagenet" if weights == "imagenet" else None}
    if pixels == "dataset":
        scaled = StandardizePixels(name="standardize")(image)
        if "include_preprocessing" in inspect.signature(network).parameters:
            options["include_preprocessing"] = False
        elif not mode:
            what, found = "a network whose scaling can be left out", f"{name}, which scales inside"
            raise expected(what, found, "Use --pixels fixed, or another --backbone.")
    fix = "Use a larger --image-size; or --weights none, where the network allows no download."
    with reading(name, "images that it takes, and weights that can be had", fix):
        return network(include_top=False, input_shape=image.shape[1:], **options)(scaled)


def pool(features: keras.KerasTensor, pooling: str = DEFAULT_POOLING):
    """Turns a map of features (batch, rows, columns, channels) into one vector (batch, features).

    `pooling` joins any of these by "+": "average", "max", "stripes" (the average in each of
    `STRIPES` horizontal bands: Sun et al. 2018), "flat" (for things always at the same place).
    """
    ways = pooling.split("+")
    if unknown := set(ways) - {"average", "max", "stripes", "flat"}:
        what = "--pooling of average, max, stripes, flat, joined by +"
        raise expected(what, ", ".join(sorted(unknown)), "Correct it.")
    poolings = {
        "flat": layers.Flatten,
        "average": layers.GlobalAveragePooling2D,
        "max": layers.GlobalMaxPooling2D,
    }
    vectors = [layer(name=way)(features) for way, layer in poolings.items() if way in ways]
    if "stripes" in ways:
        rows = features.shape[1]
        for i in range(STRIPES):
            top, bottom = i * rows // STRIPES, -(-(i + 1) * rows // STRIPES)
            stripe = layers.Cropping2D(((top, rows - bottom), (0, 0)), name=f"crop_{i}")(features)
            vectors.append(layers.GlobalAveragePooling2D(name=f"stripe_{i}")(stripe))
    return layers.Concatenate(name="features")(vectors) if len(vectors) > 1 else vectors[0]


def with_mirror(model: keras.Model) -> keras.Model:
    """Returns a network that averages a network's answers for an image and its mirror image."""
    image = keras.Input(model.input_shape[1:], name="image")
    answers, mirrored = model(image), model(keras.ops.flip(image, axis=2))
    heads = {x: layers.Average(name=x)([answers[x], mirrored[x]]) for x in answers}
    return keras.Model(image, heads, name="mirrored")


def load_model(path: Path) -> keras.Model:
    """Loads a model that a run saved, of layers of Keras and of ours, without code of its own.

    WorkshopError where there is none, it is damaged, or holds something else, such as a lambda.
    """
    with reading(path, "a saved Keras model", AGAIN):
        with open_input(path) as file, zipfile.ZipFile(file) as archive:
            _check_archive(archive, Path(path).stat().st_size)
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def _check_archive(archive: zipfile.ZipFile, size: int) -> None:
    names = sorted(archive.namelist())
    if names != PARTS:  # and so nothing that leads out of a folder
        raise ValueError(f"it holds {', '.join(names[:5]) or 'nothing'}")
    unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > MOST_TIMES * size:
        raise ValueError(f"its {size:,} bytes would become {unpacked:,}")
    if broken := archive.testzip():
        raise ValueError(f"{broken} is damaged")
