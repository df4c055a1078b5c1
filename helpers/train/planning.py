"""Fits a recipe to the images at hand, and to what its minutes on this machine allow."""

import math
import time
from collections.abc import Sequence

import numpy as np

from helpers.common import expected
from helpers.manifest import Manifest, open_image
from helpers.train.recipe import MOST_REPEATS, PLANNED, Recipe, Stage
from helpers.train.stages import build_stage_model

MEASURED = 200  # images whose size is looked at
SAME_SHAPE = 1.3  # a ratio between shapes that is no reason for another size
GRID, LEAST_SIDE = 16, 48  # pixels: sides are multiples of the backbone's stride
MOST = 4.0  # times the recipe's pixels
ENOUGH_EPOCHS = 10  # where there is time for more, images become larger instead
LEAST_STEPS = 300  # where there are fewer, batches become smaller,
LEAST_BATCH = 16  # but not smaller than this
VALIDATIONS = 20  # of a stage at most: each also saves a model
TRAINING_WORK = 2.6  # times that of predicting, measured with "fine-tune"


def fitted(recipe: Recipe, training: Manifest) -> Recipe:
    """Chooses what the recipe leaves `planned`.

    Images get the shape that most have. A stage of many epochs (by its minutes) has larger images,
    up to their own size, and validates less often; one of few steps has smaller batches.
    """
    if unknown := set(filter(None, recipe.planned.split(","))) - {*PLANNED}:
        what = f"--planned with some of {', '.join(PLANNED)}, joined by a comma"
        raise expected(what, ", ".join(sorted(unknown)), "Change that value.")
    if not recipe.planned:
        return recipe
    return as_before(recipe, [_planned(recipe, stage, training) for stage in recipe.stages])


def as_before(recipe: Recipe, chosen: Sequence[Stage]) -> Recipe:
    """Returns the recipe with its `planned` fields as some stages, such as those of a run, have."""
    names, stages = [name for name in PLANNED if name in recipe.planned], list(recipe.stages)
    for number, own in enumerate(chosen[: len(stages)]):
        stages[number] = stages[number].replace(**{name: getattr(own, name) for name in names})
    return recipe.replace(stages=tuple(stages))


def _planned(recipe: Recipe, stage: Stage, training: Manifest) -> Stage:
    epochs, size, growth = float(stage.epochs), stage.image_size, 1.0
    if stage.minutes:
        seen = 60 * stage.minutes * _images_per_second(recipe, stage, training)
        epochs = seen / len(training)
        growth = min(max(epochs / ENOUGH_EPOCHS, 1.0), MOST)
    if "image_size" in recipe.planned:
        size = _image_size(stage.image_size, training, growth)
    if stage.minutes:
        epochs *= math.prod(stage.image_size) / math.prod(size)
    batch, images = stage.batch_size, len(training)
    while batch >= 2 * LEAST_BATCH and batch > min(epochs * images / LEAST_STEPS, images / 4):
        batch //= 2
    repeats = min(math.ceil(epochs / VALIDATIONS), MOST_REPEATS) if stage.minutes else 1
    return stage.replace(image_size=size, batch_size=batch, repeats=repeats)


def _images_per_second(recipe: Recipe, stage: Stage, training: Manifest) -> float:
    """Returns about how many images this machine trains in a second."""
    backbone = build_stage_model(training.labels, recipe, stage).get_layer("backbone")
    images, seconds = np.zeros((32, *stage.image_size, 3), np.float32), []
    for _ in range(3):  # the first fills buffers
        began = time.perf_counter()
        backbone(images, training=False).numpy()
        seconds.append(time.perf_counter() - began)
    return len(images) / min(seconds) / TRAINING_WORK


def _image_size(size: tuple[int, int], training: Manifest, growth: float) -> tuple[int, int]:
    """Returns the size of the images' shape, with the pixels of `size`, or `growth` times them."""
    rows = np.linspace(0, len(training) - 1, min(len(training), MEASURED)).astype(int)
    headers = [open_image(training.path(row))[0] for row in rows]
    widths, heights = np.array([(header.width, header.height) for header in headers]).T
    area, own = math.prod(size), size[0] / size[1]
    area = max(area, min(area * growth, float(np.median(widths * heights))))
    ratio = float(np.median(heights / widths))
    if 1 / SAME_SHAPE < ratio / own < SAME_SHAPE:
        ratio = own
    sides = math.sqrt(area * ratio), math.sqrt(area / ratio)
    height, width = (max(LEAST_SIDE, GRID * round(side / GRID)) for side in sides)
    return height, width
