"""The recipe of a training run: plain data that is read, edited, saved and compared."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from helpers.common import Declared
from helpers.pipeline import AUGMENTATIONS

PLANNED = ("image_size", "batch_size", "repeats")  # what `helpers.train.planning` can choose
MOST_REPEATS = 100_000
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
