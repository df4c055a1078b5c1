"""Fits a recipe to the images at hand, and to what some minutes on this machine allow."""

import contextlib
import math
import time

import numpy as np
from PIL import Image

from helpers.common import expected
from helpers.manifest import EXIF_ORIENTATION, EXIF_SIDEWAYS, Manifest
from helpers.train.recipe import PLANNED, Recipe
from helpers.train.stages import build_stage_model

MEASURED = 200  # images whose shape is looked at
SAME_SHAPE = 1.3  # a ratio of shapes that is no reason for another size
GRID = 16  # pixels: sides are multiples of the backbone's stride
LEAST_SIDE = 48  # pixels
MOST = 4.0  # times the pixels of the recipe, where minutes and images allow it
ENOUGH_EPOCHS = 10  # with time for more, images become larger instead
LEAST_STEPS = 300  # with fewer, the batch becomes smaller
LEAST_BATCH = 16
VALIDATIONS = 20  # of a run at most: each also saves a model
TRAINING_WORK = 2.6  # a step of the recipe "fine-tune" takes as long as so many predictions
TIMED = 32  # images that are predicted to time the machine


def fitted(recipe: Recipe, training: Manifest) -> Recipe:
    """Chooses what the recipe leaves `planned`: image size, batch size, repeats of an epoch.

    The shape is that of most images. A stage of so many minutes has room for some epochs: where
    they are many, images grow, but not beyond their own size, and validations become rarer; where
    steps are few, batches shrink.
    """
    if not recipe.planned:
        return recipe
    if unknown := sorted(set(recipe.planned.split(",")) - set(PLANNED)):
        what = f"planned to be of {', '.join(PLANNED)}, joined by a comma"
        raise expected(what, ", ".join(unknown), "Change that value.")
    stages, is_timed = [], any(stage.minutes for stage in recipe.stages)
    speed = _images_per_second(recipe, training) if is_timed else 0.0
    for stage in recipe.stages:
        pixels = math.prod(stage.image_size)
        epochs = 60 * stage.minutes * speed / len(training) if stage.minutes else stage.epochs
        size = stage.image_size
        if "image_size" in recipe.planned:
            growth = epochs / ENOUGH_EPOCHS if stage.minutes else 1.0
            size = _image_size(size, *_shape(training), min(growth, MOST))
        epochs *= pixels / math.prod(size) if stage.minutes else 1.0
        values = {"image_size": size, "batch_size": _batch_size(stage.batch_size, epochs, training)}
        values["repeats"] = math.ceil(epochs / VALIDATIONS) if stage.minutes else 1
        chosen = {name: values[name] for name in PLANNED if name in recipe.planned}
        stages.append(stage.replace(**chosen))
    return recipe.replace(stages=tuple(stages))


def as_planned(recipe: Recipe, before: Recipe) -> Recipe:
    """Returns the recipe with what was chosen when the run of the recipe `before` began."""
    if recipe.planned != before.planned or len(recipe.stages) != len(before.stages):
        return recipe
    names = [name for name in PLANNED if name in recipe.planned]
    stages = [
        stage.replace(**{name: getattr(old, name) for name in names})
        for stage, old in zip(recipe.stages, before.stages)
    ]
    return recipe.replace(stages=tuple(stages))


def _images_per_second(recipe: Recipe, training: Manifest) -> float:
    """Returns about how many images of the first stage's size this machine trains in a second."""
    size = recipe.stages[0].image_size
    backbone = build_stage_model(training.labels, recipe, recipe.stages[0]).get_layer("backbone")
    images, seconds = np.zeros((TIMED, *size, 3), np.float32), []
    for _ in range(3):  # the first fills buffers
        began = time.perf_counter()
        backbone(images, training=False).numpy()
        seconds.append(time.perf_counter() - began)
    return TIMED / min(seconds) / TRAINING_WORK


def _shape(training: Manifest) -> tuple[float, float]:
    """Returns the median of height / width, upright, and of the pixels of some images."""
    rows = np.linspace(0, len(training) - 1, min(len(training), MEASURED)).astype(int)
    ratios, pixels = [], []
    for path in np.array(training.paths, object)[rows]:
        with contextlib.suppress(OSError), Image.open(path) as image:  # told when all are decoded
            width, height = image.size
            if image.getexif().get(EXIF_ORIENTATION) in EXIF_SIDEWAYS:
                width, height = height, width
            ratios.append(height / width)
            pixels.append(width * height)
    return (float(np.median(ratios)), float(np.median(pixels))) if ratios else (1.0, 0.0)


def _image_size(
    size: tuple[int, int], ratio: float, pixels: float, growth: float
) -> tuple[int, int]:
    area = math.prod(size)
    area = max(area, min(area * growth, pixels))
    own = size[0] / size[1]
    if 1 / SAME_SHAPE < ratio / own < SAME_SHAPE:
        ratio = own
    width = math.sqrt(area / ratio)
    height, width = (max(LEAST_SIDE, GRID * round(n / GRID)) for n in (width * ratio, width))
    return height, width


def _batch_size(most: int, epochs: float, training: Manifest) -> int:
    size, images = most, len(training)
    while size >= 2 * LEAST_BATCH and (epochs * images / size < LEAST_STEPS or images < 4 * size):
        size //= 2
    return size
