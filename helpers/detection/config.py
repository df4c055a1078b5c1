"""The two files that say what a detection run does.

`label_map.pbtxt` is that of TensorFlow's Object Detection API: class names and their numbers, from
1 on, in items such as item { id: 1 name: "person" }; 0 is the background. Paths in the YAML file
are relative to it:

label_map: records/label_map.pbtxt
train: records/*_train.record-*
num_steps: 20                  # a short test; everything else has a default
"""

import reprlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_origin

import yaml
from google.protobuf import descriptor_pb2, message_factory, text_format
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from helpers import common
from helpers.common import WorkshopError, expected
from helpers.manifest import did_you_mean, printable

CONFIG_FILE = "config.yaml"
SMALL = "small"  # the backbone for two cores
STRIDES = (8, 16, 32)  # of the pyramid's levels
BACKBONES = (SMALL, "ResNet50", "ResNet101")
LOSSES = ("objectness", "proposal_box", "class", "box")
MOST_BYTES, LONGEST_VALUE = 100_000, 4_000  # PyYAML takes a second or two; paths are no longer
PATHS = ("label_map", "train", "val", "checkpoint")
GLOBS = "a glob of records, or a list of them"
Number = int | float  # 1 in a file is written back as 1, not as 1.0
Text = Annotated[str, Field(min_length=1)]
Side = Annotated[int, Field(ge=64, le=2048, multiple_of=STRIDES[-1])]
Size = Annotated[Number, Field(ge=4, le=2048)]
Ratio = Annotated[Number, Field(ge=0.1, le=10)]
Weight = Annotated[Number, Field(ge=0, le=1000)]
LABEL_MAP_FILE = "label_map.pbtxt"
MOST_LABEL_BYTES = 5_000_000  # a thousand classes take 50 KB
# The API's message StringIntLabelMap, with the fields that matter here.
FORM = """
name: "workshop_label_map.proto" package: "workshop"
message_type {
  name: "Item"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "id" number: 2 type: TYPE_INT32 label: LABEL_OPTIONAL }
}
message_type {
  name: "LabelMap"
  field { name: "item" number: 1 type_name: ".workshop.Item" label: LABEL_REPEATED }
}
"""
_FILE = text_format.Parse(FORM, descriptor_pb2.FileDescriptorProto())
_Message = message_factory.GetMessages([_FILE])["workshop.LabelMap"]


@dataclass(frozen=True)
class LabelMap:
    """Class name to its number, 1 or more, in the order of the numbers."""

    ids: dict[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, by number."""
        return tuple(self.ids)

    @property
    def classes(self) -> int:
        """How many classes there are, without the background."""
        return len(self.ids)

    @classmethod
    def read(cls, path: Path | str) -> "LabelMap":
        """Reads a label map; raises WorkshopError if it is malformed or has duplicates."""
        fix = "Fix the file, or let helpers.detection.records write one."
        with common.reading(Path(path), 'a label map, such as item { id: 1 name: "person" }', fix):
            text, message = common.read_input(path, MOST_LABEL_BYTES).decode(), _Message()
            text_format.Parse(text, message, allow_unknown_field=True)
            if not (items := [(item.id, item.name) for item in message.item]):
                raise ValueError("no item")
            numbers, names = zip(*items)
            if min(numbers) < 1:
                raise ValueError(f"the id {min(numbers)}; 0 is the background")
            for values, what in ((numbers, "id"), (names, "name")):
                value, count = Counter(values).most_common(1)[0]
                if count > 1 or "" in values:
                    raise ValueError(f"the {what} {value!r} twice, or an empty {what}")
            return cls({name: number for number, name in sorted(items)})

    def write(self, path: Path | str) -> None:
        """Writes the label map."""
        message = _Message(item=[{"id": i, "name": name} for name, i in self.ids.items()])
        common.write_text(Path(path), text_format.MessageToString(message, as_utf8=True))


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases, of which a few lines make billions of values, and a name given twice."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError("an alias (*name); write the value out")
        if len(getattr(event, "value", "")) > LONGEST_VALUE:
            raise yaml.YAMLError(f"a value of more than {LONGEST_VALUE:,} characters")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        value = super().construct_mapping(node, deep)
        if len(value) < len(node.value):
            raise yaml.YAMLError(f"a name twice among {', '.join(map(str, value))}")
        return value


class Config(common.Declared):
    """The settings of a run; paths become absolute, relative ones are those of this process."""

    label_map: Text = Field(description="the path of a label map")
    train: tuple[Text, ...] = Field(min_length=1, description=GLOBS)
    val: tuple[Text, ...] = Field((), description=GLOBS)
    num_classes: int | None = Field(None, ge=1, le=100_000, description="classes, or null")
    # of the network's image, into which images are fitted without being stretched
    image_size: tuple[Side, Side] = Field(
        (192, 320), description="[height, width], multiples of 32 from 64 to 2048"
    )
    backbone: Literal[*BACKBONES] = Field(SMALL, description=f"one of {', '.join(BACKBONES)}")
    weights: Literal["imagenet"] | None = Field(None, description="null; for a ResNet imagenet")
    checkpoint: str | None = Field(None, description="of another run, or that run's folder")
    anchor_sizes: tuple[Size, Size, Size] = Field(
        (28.0, 56.0, 112.0), description=f"pixels from 4 to 2048 for each of the strides {STRIDES}"
    )
    # the area of an anchor stays that of the square
    anchor_ratios: tuple[Ratio, ...] = Field(
        (0.5, 1.0, 2.0), max_length=9, min_length=1, description="heights by widths from 0.1 to 10"
    )
    batch_size: int = Field(8, ge=1, le=1024, description="images in a step")
    num_steps: int = Field(1000, ge=1, le=100_000_000, description="steps of the whole run")
    minutes: Number | None = Field(None, ge=0.01, le=1e5, description="instead of num_steps")
    learning_rate: Number = Field(2e-3, ge=1e-7, le=1, description="the highest of one cycle")
    weight_decay: Number = Field(1e-3, ge=0, le=1, description="of AdamW")
    flip: bool = Field(True, description="true or false")  # mirror half of the images
    zoom: Number = Field(1.25, ge=1, le=4, description="resize by up to this factor, both ways")
    color: Number = Field(0.2, ge=0, le=0.9, description="change colors by up to this fraction")
    checkpoint_every: int = Field(250, ge=1, le=100_000_000, description="steps between them")
    keep: int = Field(3, ge=1, le=1000, description="the newest checkpoints that are kept")
    loss_weights: dict[Literal[*LOSSES], Weight] = Field(
        dict.fromkeys(LOSSES, 1.0),
        min_length=len(LOSSES),
        description=f"a number from 0 to 1000 for each of {', '.join(LOSSES)}",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of weights, order and augmentation")

    @field_validator("*", mode="wrap")
    @classmethod
    def _checked(cls, value: Any, check: Callable[[Any], Any], info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name]
        if info.field_name in PATHS:
            value = _absolute(value, Path.cwd())
        if get_origin(field.annotation) is tuple:
            value = tuple(value) if isinstance(value, list | tuple) else (value,)
        try:
            return check(value)
        except ValidationError:
            what = f"{field.description} ({common.describe_bounds(field)})".replace(" ()", "")
            found = reprlib.repr(value)
            raise WorkshopError(f"{info.field_name}: expected {what}, found {found}.") from None

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.weights == "imagenet" and self.backbone == SMALL:
            what, found = f"null for the backbone {SMALL!r}", "'imagenet': there are none of it"
            raise expected(what, found, "Choose ResNet50, or leave weights out.", "weights")
        return self

    @classmethod
    def read(cls, path: Path | str) -> "Config":
        """Reads a YAML file; relative paths in it become absolute."""
        path = Path(path)
        try:
            value = yaml.load(common.read_input(path, MOST_BYTES).decode("utf-8-sig"), _PlainLoader)
        except Exception as error:  # PyYAML raises all kinds where a value is none of its tag
            raise expected(
                "YAML", str(error) or "lists too deep", "Check --config.", path
            ) from None
        try:
            return cls.from_dict(value, path.parent.resolve())
        except WorkshopError as error:
            raise WorkshopError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, value: Any, folder: Path = Path()) -> "Config":
        """Makes a config of a YAML file's value; paths are relative to `folder`."""
        known = cls.model_fields
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise WorkshopError("expected names and values, such as num_steps: 20.")
        if unknown := next((name for name in value if name not in known), ""):
            fix = f"{did_you_mean(unknown, known)}Correct that name."
            raise expected(f"names of {', '.join(sorted(known))}", repr(unknown), fix)
        for name in ("label_map", "train"):
            if not value.get(name):
                raise WorkshopError(f"expected {name!r} to be given, found nothing. Add the line.")
        paths = {name: _absolute(value[name], folder) for name in PATHS if value.get(name)}
        return cls(**{**value, **paths})

    def write(self, path: Path | str) -> None:
        """Writes the config as YAML with absolute paths."""
        common.write_text(Path(path), yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))

    def read_label_map(self) -> LabelMap:
        """Reads the label map, which must have `num_classes` where that is given."""
        label_map = LabelMap.read(self.label_map)
        if self.num_classes is not None and self.num_classes != label_map.classes:
            what = f"{label_map.classes}, as {self.label_map} has"
            fix = "Correct it, or leave the line out."
            raise expected(what, self.num_classes, fix, "num_classes")
        return label_map


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, list | tuple):
        return [_absolute(one, folder) for one in value]
    if not isinstance(value, str) or not value or "://" in value:  # a bucket, not on this disk
        return value
    if "\0" in value or printable(value) != value:
        raise expected("a path", ascii(value[:80]), "Correct it.")
    return str(folder / value)
