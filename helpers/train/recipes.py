"""Recipes with a name, and what one does with a recipe: change it, shorten it."""

from pathlib import Path

import numpy as np

from helpers.common import read_json, reading
from helpers.manifest import did_you_mean
from helpers.train.recipe import PLANNED, Recipe, Stage

FROZEN_WORK = 1 / 3  # of a step: no way back through the backbone, which costs twice the way there
COLUMNS = list(Stage.model_fields)

# What the published recipes have in common, beside a backbone without a tower.
_BARE = {"pooling": "average", "tower": 0, "dropout": 0.0, "weight_decay": 0.0, "sampling": ""}

# The published recipe of the pedestrian attributes, from random weights: a benchmark's peer.
_FLIPPED = Stage(epochs=3, image_size=(240, 100), batch_size=64, augmentation="flip")
PUBLISHED = Recipe(
    stages=(_FLIPPED.replace(learning_rate=1e-4, schedule="constant"),),
    backbone="ResNet50V2",
    **_BARE,
)

# Small images of traffic signs, on two cores.
_SIGNS = Stage(
    epochs=10, image_size=(32, 32), batch_size=64, learning_rate=5e-3, augmentation="signs"
)
SIGNS = Recipe(stages=(_SIGNS,), backbone="sign", pooling="flat", dropout=0.3, sampling="")

# The published recipe of the traffic signs: LeNet on 32x32 with Adam, nothing changed at random.
LENET = Recipe(
    stages=(_SIGNS.replace(learning_rate=1e-3, schedule="constant", augmentation="none"),),
    backbone="lenet",
    **_BARE,
)

# Of the published person attributes: a stage ends after 8 epochs without 1e-3 more, its rate falls
# by .7 after 3, and rectangles of .01 to .2 of the area are erased. Only the third stage's rate is
# published: the others have Adam's default, and 50 epochs that early stopping cuts short.
_SMALL = Stage(
    epochs=50, image_size=(100, 100), batch_size=64, learning_rate=1e-3, schedule="plateau",
    augmentation="erasing", early_stopping=8,
)  # fmt: skip
_LARGE = _SMALL.replace(image_size=(200, 200))
PUBLISHED_ATTRIBUTES = Recipe(
    stages=(
        _SMALL,
        _SMALL.replace(freeze_backbone=True),
        _SMALL.replace(augmentation="strong erasing", learning_rate=1e-4),
        _LARGE,
        _LARGE.replace(freeze_backbone=True),
    ),
    backbone="DenseNet121",
    pooling="average",
    dropout=0.3,
    weight_decay=0.0,
    pixels="dataset",
    sampling="",
)

# One's own images: ImageNet's features, whose first blocks stay, change a little; new heads learn.
_TUNED = Stage(epochs=8, batch_size=64, frozen_until="block_4_project")
FINE_TUNE = Recipe(
    stages=(_TUNED,),
    backbone="lite0",
    weights="imagenet",
    backbone_rate=1 / 3,
    planned=",".join(PLANNED),
    views="mirrored",
)

# What `--recipe` knows by name.
RECIPES = {
    "street": Recipe(),
    "fine-tune": FINE_TUNE,
    "signs": SIGNS,
    "lenet": LENET,
    "published": PUBLISHED,
    "published-attributes": PUBLISHED_ATTRIBUTES,
}


def find_recipe(name: str) -> Recipe:
    """Returns a recipe by its name in `RECIPES`, or from a JSON file."""
    if name in RECIPES:
        return RECIPES[name]
    known = f"a recipe of {', '.join(RECIPES)}, or one in JSON, as run.json holds one"
    hint = "" if name.endswith(".json") else did_you_mean(name, RECIPES)
    with reading(name, known, f"{hint}Copy the recipe of a run and change that."):
        return Recipe.from_json(read_json(Path(name)))


def change(recipe: Recipe, **changes) -> Recipe:
    """Changes fields of the recipe and of every stage; `minutes` are those of all stages."""
    in_stage = {name: changes.pop(name) for name in COLUMNS if name in changes}
    minutes = in_stage.pop("minutes", None)
    stages = tuple(stage.replace(**in_stage) for stage in recipe.stages)
    recipe = recipe.replace(**{"stages": stages, **changes})
    return recipe if minutes is None else in_minutes(recipe, minutes)


def in_minutes(recipe: Recipe, minutes: float) -> Recipe:
    """Shortens every stage so that all end within some minutes, each with its `shares_of_work`."""
    counted = tuple(stage.replace(minutes=0.0) for stage in recipe.stages)
    shares = shares_of_work(recipe.replace(stages=counted)) * minutes
    stages = tuple(stage.replace(minutes=float(own)) for stage, own in zip(counted, shares))
    return recipe.replace(stages=stages)


def shares_of_work(recipe: Recipe) -> np.ndarray:
    """Returns the fraction of the work that each stage is, (stages,), which sum to 1.

    By the minutes where all stages have them, otherwise by epochs, pixels and frozen layers.
    """
    work = np.array([stage.minutes for stage in recipe.stages])
    if not work.all():
        steps = np.array([FROZEN_WORK if stage.freeze_backbone else 1 for stage in recipe.stages])
        work = steps * [stage.epochs * np.prod(stage.image_size) for stage in recipe.stages]
    return work / work.sum()


def describe_stage(recipe: Recipe, number: int) -> str:
    """Returns a line that says what a stage does."""
    stage = recipe.stages[number]
    height, width = stage.image_size
    layers = "towers and heads only" if stage.freeze_backbone else "all layers"
    if stage.frozen_until:
        layers = f"layers after {stage.frozen_until}"
    time = f"{stage.minutes:.1f} minutes" if stage.minutes else f"at most {stage.epochs} epochs"
    return (
        f"stage {number + 1} of {len(recipe.stages)}: {height}x{width}, {layers}, augmentation "
        f"{stage.augmentation}, batches of {stage.batch_size}, rate {stage.learning_rate:g} "
        f"({stage.schedule}), {time}"
    )
