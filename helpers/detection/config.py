"""What a detection run does, as one YAML file that is read, checked, and kept beside the model.

    label_map: records/label_map.pbtxt
    train: records/*_train.record-*
    val: records/*_val.record-*
    num_steps: 20                  # a short test; everything else has a default

Paths in the file are relative to it.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from helpers.common import WorkshopError, write_text
from helpers.detection.label_map import LabelMap
from helpers.manifest import did_you_mean

CONFIG_FILE = "config.yaml"
SMALL = "small"  # the backbone for two cores
STRIDES = (8, 16, 32)  # of the pyramid's levels
BACKBONES = (SMALL, "ResNet50", "ResNet101")
LOSSES = ("objectness", "proposal_box", "class", "box")
MOST_BYTES = 1_000_000
PATHS = ("label_map", "train", "val", "checkpoint")


@dataclass(frozen=True)
class Config:
    """What a run does.

    Attributes:
        label_map: path of the label map, which gives the number of classes.
        train: globs of records to train on.
        val: globs of records to score on.
        num_classes: may be given; then it must agree with the label map.
        image_size: (height, width) of the network's picture, multiples of 32. Pictures are fitted
            into it without being stretched.
        backbone: of `BACKBONES`.
        weights: "imagenet", for a ResNet where the network allows the download, or None.
        checkpoint: a checkpoint of another run to start from, or that run's folder, or None.
        anchor_sizes: side of the square anchor of each level of the pyramid, in pixels.
        anchor_ratios: heights by widths of the anchors; the area stays.
        batch_size: pictures in a step.
        num_steps: steps of the whole run.
        minutes: train by the clock instead, so many minutes; None counts steps.
        learning_rate: the highest of a one-cycle schedule.
        weight_decay: of AdamW.
        flip: mirror half of the pictures.
        zoom: change the size of pictures by up to this factor, both ways; 1 changes nothing.
        color: change brightness, contrast and saturation by up to this share.
        checkpoint_every: steps between two checkpoints; each is scored on `val`.
        keep: the newest checkpoints that are kept.
        loss_weights: weight of each of the four losses.
        seed: of initial weights, order and augmentation.
    """

    label_map: str
    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    num_classes: int | None = None
    image_size: tuple[int, int] = (192, 320)
    backbone: str = SMALL
    weights: str | None = None
    checkpoint: str | None = None
    anchor_sizes: tuple[float, ...] = (28.0, 56.0, 112.0)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    batch_size: int = 8
    num_steps: int = 1000
    minutes: float | None = None
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    flip: bool = True
    zoom: float = 1.25
    color: float = 0.2
    checkpoint_every: int = 250
    keep: int = 3
    loss_weights: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LOSSES, 1.0))
    seed: int = 0

    def __post_init__(self):
        for name in ("train", "val", "image_size", "anchor_sizes", "anchor_ratios"):
            value = getattr(self, name)
            many = value if isinstance(value, list | tuple) else (value,)
            object.__setattr__(self, name, tuple(many))
        for name, (is_right, expected) in _RULES.items():
            value = getattr(self, name)
            try:
                right = bool(is_right(value))
            except (TypeError, ValueError, AttributeError):
                right = False
            if not right:
                raise WorkshopError(f"{name}: expected {expected}, found {value!r}.")
        if self.weights == "imagenet" and self.backbone == SMALL:
            raise WorkshopError(
                f"weights: expected null for the backbone {SMALL!r}, found 'imagenet': there are "
                "none of it. Choose ResNet50, or leave weights out."
            )

    @classmethod
    def read(cls, path: Path | str) -> "Config":
        """Reads a YAML file; relative paths in it become absolute.

        Raises:
            WorkshopError: no such file, no YAML, an unknown name or a value out of its range.
        """
        path = Path(path)
        try:
            if path.stat().st_size > MOST_BYTES:
                raise yaml.YAMLError(f"{path.stat().st_size:,} bytes")
            value = yaml.safe_load(path.read_text("utf-8"))
        except OSError as error:
            raise WorkshopError(
                f"{path}: expected a config in YAML, found no file that can be read "
                f"({error.strerror}). Check --config."
            ) from None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise WorkshopError(f"{path}: expected YAML, found {error}. Mend the file.") from None
        try:
            return cls.from_dict(value, path.parent.resolve())
        except WorkshopError as error:
            raise WorkshopError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, value: Any, folder: Path = Path()) -> "Config":
        """Makes a config of what a YAML file holds; paths are relative to `folder`."""
        known = {item.name for item in dataclasses.fields(cls)}
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise WorkshopError("expected names and values, such as num_steps: 20.")
        for name in value:
            if name not in known:
                raise WorkshopError(
                    f"no setting {name!r}. {did_you_mean(name, known)}"
                    f"The settings are: {', '.join(sorted(known))}."
                )
        for name in ("label_map", "train"):
            if not value.get(name):
                raise WorkshopError(f"expected {name!r} to be given, found nothing. Add the line.")
        paths = {name: _absolute(value[name], folder) for name in PATHS if value.get(name)}
        return cls(**{**value, **paths})

    def absolute(self) -> "Config":
        """Returns the config with absolute paths; relative ones are those of this process."""
        paths = {name: _absolute(getattr(self, name), Path.cwd()) for name in PATHS}
        return dataclasses.replace(self, **paths)

    def write(self, path: Path | str) -> None:
        """Writes the config as YAML, whole, with absolute paths."""
        value = dataclasses.asdict(self.absolute())
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
        write_text(Path(path), yaml.safe_dump(plain, sort_keys=False))

    def read_label_map(self) -> LabelMap:
        """Reads the label map.

        Raises:
            WorkshopError: there is none, or it has another number of classes than `num_classes`.
        """
        label_map = LabelMap.read(self.label_map)
        if self.num_classes is not None and self.num_classes != label_map.classes:
            raise WorkshopError(
                f"num_classes: expected {label_map.classes}, as {self.label_map} has, found "
                f"{self.num_classes}. Correct it, or leave the line out."
            )
        return label_map


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, list | tuple):
        return [_absolute(one, folder) for one in value]
    if not isinstance(value, str) or "://" in value:  # a bucket is no place on this disk
        return value
    return str(folder / value)


def _whole(least: int, most: int = 10**9) -> tuple[Callable[[Any], bool], str]:
    return (
        lambda v: isinstance(v, int) and not isinstance(v, bool) and least <= v <= most,
        f"a whole number from {least:,}" + (f" to {most:,}" if most < 10**9 else " on"),
    )


def _number(least: float, most: float) -> tuple[Callable[[Any], bool], str]:
    return (
        lambda v: not isinstance(v, bool | str) and least <= v <= most,
        f"a number from {least:g} to {most:g}",
    )


def _texts(v: Any) -> bool:
    return all(isinstance(one, str) and one for one in v)


def _sizes(v: Any) -> bool:
    return len(v) == 2 and all(
        isinstance(side, int) and side % STRIDES[-1] == 0 and 64 <= side <= 2048 for side in v
    )


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "label_map": (lambda v: isinstance(v, str) and v, "the path of a label map"),
    "train": (lambda v: v and _texts(v), "a glob of records, or a list of them"),
    "val": (_texts, "a glob of records, or a list of them"),
    "num_classes": (lambda v: v is None or _whole(1)[0](v), "a whole number from 1 on"),
    "image_size": (_sizes, "[height, width], multiples of 32 from 64 to 2048"),
    "backbone": (lambda v: v in BACKBONES, f"one of {', '.join(BACKBONES)}"),
    "weights": (lambda v: v in (None, "imagenet"), "null or imagenet"),
    "checkpoint": (lambda v: v is None or isinstance(v, str), "a path, or null"),
    "anchor_sizes": (
        lambda v: len(v) == len(STRIDES) and all(4 <= size <= 2048 for size in v),
        f"{len(STRIDES)} sizes in pixels from 4 to 2048, one for each of the strides {STRIDES}",
    ),
    "anchor_ratios": (
        lambda v: 1 <= len(v) <= 9 and all(0.1 <= ratio <= 10 for ratio in v),
        "1 to 9 heights by widths from 0.1 to 10",
    ),
    "batch_size": _whole(1, 1024),
    "num_steps": _whole(1),
    "minutes": (lambda v: v is None or _number(0.01, 1e5)[0](v), "minutes above 0, or null"),
    "learning_rate": _number(1e-7, 1),
    "weight_decay": _number(0, 1),
    "flip": (lambda v: isinstance(v, bool), "true or false"),
    "zoom": _number(1, 4),
    "color": _number(0, 0.9),
    "checkpoint_every": _whole(1),
    "keep": _whole(1, 1000),
    "loss_weights": (
        lambda v: set(v) == set(LOSSES) and all(0 <= w <= 1000 for w in v.values()),
        f"a number from 0 to 1000 for each of {', '.join(LOSSES)}",
    ),
    "seed": _whole(0, 2**31 - 1),
}
