"""The recipe of a training run: plain data that is read, changed, saved and compared."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from helpers.common import Declared, read_json, reading
from helpers.manifest import did_you_mean
from helpers.pipeline import AUGMENTATIONS

PLANNED = ("image_size", "batch_size", "repeats")  # what `helpers.train.planning` can choose
MOST_REPEATS = 100_000
FROZEN_WORK = 1 / 3  # of a step: no way back through the backbone, which costs twice the way there
# Fields of files of before, of ideas that did not help: they are left out when a file is read.
RETIRED = ("mix", "focal", "logit_adjustment", "normalization")


class Stage(Declared):
    """A part of a run with one image size, one schedule and one set of trained layers."""

    epochs: int = Field(ge=1, le=100_000, description="of each stage, at most")
    image_size: tuple[int, int] = Field((160, 64), strict=False, description="height x width")
    batch_size: int = Field(32, ge=2, le=65_536, description="images in a step")
    learning_rate: float = Field(3e-3, gt=0, lt=10, description="the highest of the schedule")
    schedule: Literal["one-cycle", "cosine", "plateau", "constant", "cyclic"] = Field(
        "one-cycle",
        description="one-cycle (up, then down to almost 0; Smith & Topin 2018), cosine (down), "
        "plateau (times .7 after 3 epochs without progress), constant, or cyclic (up and down four "
        "times, each time half as high; Smith 2017)",
    )
    augmentation: Literal[*AUGMENTATIONS] = Field("standard", description=", ".join(AUGMENTATIONS))
    freeze_backbone: bool = Field(False, description="train towers and heads only")
    # of a pretrained backbone, whose first layers serve everywhere
    frozen_until: str = Field("", description="last of the backbone's layers that is not trained")
    early_stopping: int = Field(
        0, ge=0, le=100_000, description="epochs without progress to end at; 0 never"
    )
    # validation and saving included
    minutes: float = Field(
        0.0, ge=0, lt=100_000, description="end all stages after so many; 0 counts epochs"
    )
    # as large a step in the memory of one batch; but batch normalization still sees one batch
    accumulate: int = Field(
        1, ge=1, le=10_000, description="batches whose mean gradient makes one step"
    )

    # few images would otherwise be validated and saved more than they are trained
    repeats: int = Field(
        1, ge=1, le=MOST_REPEATS, description="how often all images come in an epoch"
    )

    @field_validator("image_size")
    @classmethod
    def _covers_a_network(cls, size: tuple[int, int]) -> tuple[int, int]:
        if not 16 <= min(size) <= max(size) <= 4096:
            raise ValueError("at least 16 and at most 4096 pixels")
        return size


class Recipe(Declared):
    """Everything but the data that decides what a run ends with."""

    # one after the other; each starts from the best weights of the one before
    stages: tuple[Stage, ...] = Field((Stage(epochs=10),), strict=False, min_length=1)
    backbone: str = Field(
        "street",
        description="street, residual, dense, sign, lenet, lite0, or one of keras.applications",
    )
    weights: str | None = Field(None, description="none, imagenet, or a saved .keras model")
    pooling: str = Field(
        "average+max+stripes", description="average, max, stripes, flat, joined by +"
    )
    tower: int = Field(
        128, ge=0, le=65_536, description="units of the hidden layer before each head"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="fraction of units dropped before a head")
    weight_decay: float = Field(1e-2, ge=0, lt=10, description="of AdamW (Loshchilov & Hutter)")
    backbone_rate: float = Field(
        1.0, gt=0, le=1, description="rate of the backbone, without decay, as a fraction of others"
    )
    # the averages are validated and saved
    ema: float = Field(0.0, ge=0, lt=1, description="momentum of averaged weights; 0 for none")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="fraction spread over all classes")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="none, or balanced: every class of a task counts alike in the loss"
    )
    task_weights: str = Field(
        "", description="uncertainty (learned), or such as gender=1,*=0.5 (* all others)"
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of weights, order and augmentation")
    sampling: str = Field(
        "groups",
        description="groups (people with many images come less often), none (each image once), or "
        "a task, whose classes then come equally often",
    )
    initialization: Literal["glorot_uniform", "he_normal", "lecun_normal", "orthogonal"] = Field(
        "glorot_uniform", description="glorot_uniform, he_normal, lecun_normal, orthogonal"
    )
    planned: str = Field(
        "", description=f"what images and minutes decide, joined by a comma: {', '.join(PLANNED)}"
    )
    views: Literal["one", "mirrored"] = Field(
        "one",
        description="one, or mirrored: scores and exports average the answers for an image and "
        "its mirror image, at twice the work",
    )
    pixels: Literal["fixed", "dataset"] = Field(
        "fixed", description="fixed scaling, or dataset: by mean and std of the training split"
    )

    def to_json(self) -> dict[str, Any]:
        """Returns the recipe as plain data."""
        return self.model_dump()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Recipe":
        """Builds the recipe from what `to_json` gave, now or before some fields were retired."""
        stages = tuple(Stage(**_without_retired(stage)) for stage in value["stages"])
        return cls(**{**_without_retired(value), "stages": stages})


def _without_retired(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in {**value}.items() if name not in RETIRED}


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
    in_stage = {name: changes.pop(name) for name in Stage.model_fields if name in changes}
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
