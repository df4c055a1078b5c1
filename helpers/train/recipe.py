"""The recipe of a training run: plain data that is read, edited, saved and compared."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from helpers.common import WorkshopError
from helpers.pipeline import AUGMENTATIONS, MIXES

SCHEDULES = ("one-cycle", "cosine", "plateau", "constant", "cyclic")
NORMALIZATIONS = ("batch", "group")
INITIALIZATIONS = ("glorot_uniform", "he_normal", "lecun_normal", "orthogonal")
PIXELS = ("fixed", "dataset")


@dataclass(frozen=True)
class Stage:
    """A part of a run with one picture size, one learning rate plan and one set of trained layers.

    Attributes:
        epochs: how often as many pictures are seen as there are to train on, at most.
        minutes: train by the clock instead: `epochs` does not count, and the schedule ends after
            so many minutes of wall time, validation and saving included. 0 counts epochs.
        image_size: (height, width) in pixels.
        batch_size: pictures in a step.
        learning_rate: the highest of the schedule.
        schedule: "one-cycle" (up, then down to almost 0; Smith & Topin 2018), "cyclic" (up and
            down four times, each time half as high; Smith 2017), "cosine" (down), "plateau"
            (times .7 after 3 epochs without progress) or "constant".
        augmentation: "none", "flip", "standard", "strong" or another name in
            `helpers.pipeline.AUGMENTATIONS`.
        freeze_backbone: train towers and heads only.
        early_stopping: end the stage after so many epochs without progress; 0 never.
        accumulate: batches whose mean gradient makes one step: as large a step as one of
            `accumulate` times `batch_size` pictures, in the memory of one batch. (Batch
            normalization still sees one batch.)
        mix: "none", "mixup" or "cutmix": two pictures in one, see `helpers.pipeline.mix`.
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
    accumulate: int = 1
    mix: str = "none"

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
        _check(_is_whole(self.accumulate, 1), "accumulate", "at least 1 batch", self.accumulate)
        _check(self.mix in MIXES, "mix", " or ".join(MIXES), self.mix)


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
        class_weights: "none" or "balanced", see `helpers.model.losses.balanced_class_weights`.
        task_weights: "uncertainty", "gradients" (each task pulls at the shared features equally
            hard, see `helpers.model.BalanceGradients`), or weights such as "gender=1,*=0.5", where
            * is every other task; "" for all 1.
        seed: of initial weights, order and augmentation.
        focal: how much less a picture counts the surer the network is of its label, an exponent;
            0 for not at all (Lin et al. 2017).
        logit_adjustment: how much of a class's share is taken out of its score while training, 0
            to 1 (Menon et al. 2021).
        sampling: "groups", draw pictures so that persons with many of them come not too often;
            "", each picture once in an epoch; or draw pictures so that the classes of a task come
            equally often: its name, or "rarest" for the rarest class of each picture.
        normalization: "batch", or "group" in our own backbones (Wu & He 2018).
        initialization: of the weights of our own backbones and the towers.
        pixels: "fixed" scaling, or standardized by the "dataset": mean and deviation of the
            training split.
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
    focal: float = 0.0
    logit_adjustment: float = 0.0
    sampling: str = "groups"
    normalization: str = "batch"
    initialization: str = "glorot_uniform"
    pixels: str = "fixed"

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
        _check(0 <= self.focal < 10, "focal", "0 to below 10", self.focal)
        share = self.logit_adjustment
        _check(0 <= share <= 2, "logit adjustment", "0 to 2", share)
        for what, names in (
            ("normalization", NORMALIZATIONS),
            ("initialization", INITIALIZATIONS),
            ("pixels", PIXELS),
        ):
            _check(getattr(self, what) in names, what, " or ".join(names), getattr(self, what))

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
    sampling="",
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
    sampling="",
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
    sampling="",
)

# What `--recipe` knows by name.
RECIPES = {"street": Recipe(), "signs": SIGNS, "lenet": LENET, "published": PUBLISHED}
