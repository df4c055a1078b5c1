"""The recipe of a training run: plain data that is read, edited, saved and compared."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from helpers.augmentation import AUGMENTATIONS
from helpers.errors import WorkshopError

SCHEDULES = ("one-cycle", "cosine", "plateau", "constant")


@dataclass(frozen=True)
class Stage:
    """A part of a run with one picture size, one learning rate plan and one set of trained layers.

    Attributes:
        epochs: how often every training picture is seen, at most.
        minutes: train by the clock instead: `epochs` does not count, and the schedule ends after
            so many minutes of wall time, validation and saving included. 0 counts epochs.
        image_size: (height, width) in pixels.
        batch_size: pictures in a step.
        learning_rate: the highest of the schedule.
        schedule: "one-cycle" (up, then down to almost 0; Smith & Topin 2018), "cosine" (down),
            "plateau" (times .7 after 3 epochs without progress) or "constant".
        augmentation: "none", "flip", "standard", "strong" or "signs", see
            `helpers.augmentation.AUGMENTATIONS`.
        freeze_backbone: train towers and heads only.
        early_stopping: end the stage after so many epochs without progress; 0 never.
    """

    epochs: int
    image_size: tuple[int, int] = (160, 64)
    batch_size: int = 32
    learning_rate: float = 3e-3
    schedule: str = "one-cycle"
    augmentation: str = "standard"
    freeze_backbone: bool = False
    early_stopping: int = 0
    minutes: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "image_size", tuple(self.image_size))
        _check(_is_whole(self.epochs, 1), "epochs", "at least 1", self.epochs)
        _check(_is_whole(self.batch_size, 2), "batch size", "at least 2", self.batch_size)
        _check(
            _is_whole(self.early_stopping, 0),
            "early stopping",
            "0 or more epochs",
            self.early_stopping,
        )
        _check(0 <= self.minutes < 1e5, "minutes", "above 0", self.minutes)
        _check(min(self.image_size) >= 16, "image size", "at least 16 pixels", self.image_size)
        _check(0 < self.learning_rate < 10, "learning rate", "above 0", self.learning_rate)
        _check(self.schedule in SCHEDULES, "schedule", " or ".join(SCHEDULES), self.schedule)
        names = " or ".join(AUGMENTATIONS)
        _check(self.augmentation in AUGMENTATIONS, "augmentation", names, self.augmentation)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run ends with, apart from its data.

    Attributes:
        stages: one after the other; each starts from the best weights of the one before.
        backbone: see `helpers.model.build_model`, as are the next four.
        weights: None, "imagenet" or a saved model.
        pooling: ways of pooling, joined by "+".
        tower: units of the hidden layer before each head.
        dropout: share of units dropped before each head.
        weight_decay: of AdamW (Loshchilov & Hutter 2019).
        ema: momentum of the moving average of the weights that is validated and saved; 0 for none.
        label_smoothing: share of a label that is spread over all classes.
        class_weights: "none" or "balanced", see `helpers.losses.balanced_class_weights`.
        task_weights: "uncertainty", or weights such as "gender=1,*=0.5", where * is every other
            task; "" for all 1.
        seed: of initial weights, order and augmentation.
    """

    stages: tuple[Stage, ...] = field(default_factory=lambda: (Stage(epochs=10),))
    backbone: str = "street"
    weights: str | None = None
    pooling: str = "average+max+stripes"
    tower: int = 128
    dropout: float = 0.2
    weight_decay: float = 1e-2
    ema: float = 0.0
    label_smoothing: float = 0.0
    class_weights: str = "none"
    task_weights: str = ""
    seed: int = 0

    def __post_init__(self):
        _check(len(self.stages) >= 1, "stages", "at least one", self.stages)
        _check(_is_whole(self.tower, 0), "tower", "0 or more units", self.tower)
        _check(0 <= self.dropout < 1, "dropout", "0 to below 1", self.dropout)
        _check(0 <= self.weight_decay < 10, "weight decay", "at least 0", self.weight_decay)
        _check(0 <= self.ema < 1, "ema", "0 to below 1", self.ema)
        _check(_is_whole(self.seed, 0) and self.seed < 2**31, "seed", "0 to 2147483647", self.seed)
        _check(
            0 <= self.label_smoothing < 1, "label smoothing", "0 to below 1", self.label_smoothing
        )
        weights = ("none", "balanced")
        _check(
            self.class_weights in weights, "class weights", " or ".join(weights), self.class_weights
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the recipe as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Recipe":
        """Builds the recipe from what `to_json` gave."""
        stages = tuple(Stage(**stage) for stage in value["stages"])
        return cls(**{**value, "stages": stages})


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and value >= least


def _check(right: bool, what: str, expected: str, found: Any) -> None:
    if not right:
        raise WorkshopError(f"{what}: expected {expected}, found {found!r}. Change that value.")


# The published recipe of the pedestrian attributes, from random weights: a benchmark's peer.
PUBLISHED = Recipe(
    stages=(
        Stage(
            epochs=3,
            image_size=(240, 100),
            batch_size=64,
            learning_rate=1e-4,
            schedule="constant",
            augmentation="flip",
        ),
    ),
    backbone="ResNet50V2",
    pooling="average",
    tower=0,
    dropout=0.0,
    weight_decay=0.0,
)

# Small pictures of traffic signs, on two cores.
SIGNS = Recipe(
    stages=(
        Stage(
            epochs=10,
            image_size=(32, 32),
            batch_size=64,
            learning_rate=5e-3,
            augmentation="signs",
        ),
    ),
    backbone="sign",
    pooling="flat",
    dropout=0.3,
)

# The published recipe of the traffic signs: LeNet on 32x32 with Adam, nothing changed at random.
LENET = Recipe(
    stages=(
        Stage(
            epochs=10,
            image_size=(32, 32),
            batch_size=64,
            learning_rate=1e-3,
            schedule="constant",
            augmentation="none",
        ),
    ),
    backbone="lenet",
    pooling="average",
    tower=0,
    dropout=0.0,
    weight_decay=0.0,
)

# What `--recipe` knows by name.
RECIPES = {"street": Recipe(), "signs": SIGNS, "lenet": LENET, "published": PUBLISHED}
