"""Class names and their numbers, as `label_map.pbtxt` of TensorFlow's Object Detection API.

Its items are such as item { id: 1 name: "person" }. Numbers begin with 1; 0 is the background.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import descriptor_pb2, message_factory, text_format

from helpers.common import read_input, reading, write_text

LABEL_MAP_FILE = "label_map.pbtxt"
MOST_BYTES = 5_000_000  # a thousand classes take 50 KB
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
        with reading(Path(path), 'a label map, such as item { id: 1 name: "person" }', fix):
            text, message = read_input(path, MOST_BYTES).decode(), _Message()
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
        write_text(Path(path), text_format.MessageToString(message, as_utf8=True))
