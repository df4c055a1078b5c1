"""Class names and their numbers, as `label_map.pbtxt` of TensorFlow's Object Detection API.

item {
  id: 1
  name: "person"
}

Numbers begin with 1; 0 is the background.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from helpers.common import WorkshopError, write_text

LABEL_MAP_FILE = "label_map.pbtxt"
MOST_BYTES = 5_000_000  # a thousand classes take 50 KB


@dataclass(frozen=True)
class LabelMap:
    """The class names in the order of their numbers.

    Attributes:
        ids: class name to its number, 1 or more, by number.
    """

    ids: dict[str, int]

    @classmethod
    def of(cls, names: Iterable[str]) -> "LabelMap":
        """Numbers the names from 1 on, in alphabetic order."""
        return cls({name: number for number, name in enumerate(sorted(set(names)), 1)})

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, by number."""
        return tuple(self.ids)

    @property
    def classes(self) -> int:
        """How many classes there are, without the background."""
        return len(self.ids)

    def index(self, name: str) -> int:
        """Returns the place of a class among the names, from 0."""
        return self.names.index(name)

    @classmethod
    def read(cls, path: Path | str) -> "LabelMap":
        """Reads a label map.

        Raises:
            WorkshopError: there is none, or it has another form, a number or a name twice.
        """
        path = Path(path)
        message = _map_class()()
        try:
            if path.stat().st_size > MOST_BYTES:
                raise _bad(path, f"a file of {path.stat().st_size:,} bytes")
            text_format.Parse(path.read_text("utf-8"), message, allow_unknown_field=True)
        except OSError as error:
            raise _bad(path, f"no file that can be read ({error.strerror})") from None
        except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
            raise _bad(path, f"another form ({error})") from None
        return cls(_checked(path, [(item.id, item.name) for item in message.item]))

    def write(self, path: Path | str) -> None:
        """Writes the label map, whole."""
        message = _map_class()()
        for name, number in self.ids.items():
            message.item.add(id=number, name=name)
        write_text(Path(path), text_format.MessageToString(message, as_utf8=True))


def _checked(path: Path, items: list[tuple[int, str]]) -> dict[str, int]:
    numbers, names = [i for i, _ in items], [name for _, name in items]
    if not items:
        raise _bad(path, "no item")
    if min(numbers) < 1:
        raise _bad(path, f"the id {min(numbers)}; 0 is the background")
    for values, what in ((numbers, "id"), (names, "name")):
        twice = sorted({str(value) for value in values if values.count(value) > 1})
        if twice or "" in values:
            raise _bad(path, f"the {what} {twice[0]!r} twice" if twice else f"an empty {what}")
    return {name: number for number, name in sorted(items)}


def _bad(path: Path, found: str) -> WorkshopError:
    return WorkshopError(
        f'{path}: expected a label map, items such as item {{ id: 1 name: "person" }}, '
        f"found {found}. Mend the file, or let helpers.detection.records write one."
    )


@lru_cache(maxsize=1)
def _map_class() -> type:
    """Returns the API's message StringIntLabelMap, with the fields that matter here."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="workshop_label_map.proto", package="workshop")
    item = file.message_type.add(name="Item")
    item.field.add(name="name", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    item.field.add(name="id", number=2, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    whole = file.message_type.add(name="LabelMap")
    whole.field.add(
        name="item",
        number=1,
        type=field.TYPE_MESSAGE,
        type_name=".workshop.Item",
        label=field.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("workshop.LabelMap"))
