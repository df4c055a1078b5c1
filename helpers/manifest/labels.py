"""The tasks and the order of their classes, saved beside data and models as `labels.json`.

{"tasks": {"gender": ["male", "female"]}, "display": {"gender": {"male": "Mann"}}}
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.common import WorkshopError, expected, read_json, reading, write_json
from helpers.manifest.problems import did_you_mean, first_few, printable

IMAGE, GROUP, SPLIT = "image_path", "group", "split"  # columns of a manifest that are no tasks
SPLITS = ("train", "validation", "test")
SPLIT_AGAIN = "Split again: python -m helpers.manifest CSV --split 0.7,0.15,0.15 --out split.csv"
LABELS_FILE = "labels.json"
NOT_KNOWN = -1  # the target of an empty cell; `SparseCategoricalCrossentropy(ignore_class=-1)`


@dataclass(frozen=True)
class Labels:
    """The tasks and, in order, the class names of each: index 0 is the first output of its head."""

    tasks: dict[str, tuple[str, ...]]
    # task to (class name to the name to show), for another language
    display: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task, classes in self.tasks.items():
            _check_task(task, classes)
        for task, names in self.display.items():
            _check_text(names.values())
            known = {*self.tasks.get(task, ())}
            for name in (name for name in names if name not in known):
                fix = f"{did_you_mean(name, known)}Fix `display`."
                raise expected(f"a class of {task!r} in `display`", repr(name), fix)

    def to_json(self) -> dict[str, Any]:
        """Returns the value that `labels.json` holds."""
        value = {"tasks": {task: list(classes) for task, classes in self.tasks.items()}}
        return value | ({"display": self.display} if self.display else {})

    @classmethod
    def from_json(cls, value: Any) -> "Labels":
        """Makes labels from the value of a `labels.json`, or raises `WorkshopError`."""
        match value:
            case {"tasks": dict(tasks), **others} if tasks and _are(list, tasks.values()):
                display = others.get("display", {})
                if isinstance(display, dict) and _are(dict, display.values()):
                    return cls({task: tuple(names) for task, names in tasks.items()}, display)
        raise WorkshopError(
            'Labels of another form: expected {"tasks": {"gender": ["male", "female"]}}, and '
            'optionally "display": {"gender": {"male": "Mann"}}.'
        )

    @classmethod
    def read(cls, path: Path | str) -> "Labels":
        """Reads a `labels.json`."""
        fix = "Fix it, or delete it beside a CSV: the tasks then come from the CSV's columns."
        with reading(Path(path), "tasks and their classes", fix):
            return cls.from_json(read_json(Path(path)))

    def write(self, path: Path | str) -> None:
        """Writes a `labels.json`, whole."""
        write_json(Path(path), self.to_json())

    def select(self, tasks: Sequence[str]) -> "Labels":
        """Returns the labels of some tasks, in the order asked for; refuses none and duplicates."""
        known = f"The tasks are: {', '.join(self.tasks)}."
        for task in tasks:
            if task not in self.tasks:
                near = did_you_mean(task, self.tasks)
                raise WorkshopError(f"No task {task!r}. {near}{known}")
        if not tasks or len(set(tasks)) != len(tasks):
            found = f"found {list(tasks)}. {known}"
            raise WorkshopError(f"Expected each task once and at least one, {found}")
        display = {task: self.display[task] for task in tasks if task in self.display}
        return Labels({task: self.tasks[task] for task in tasks}, display)

    def display_name(self, task: str, cls: str) -> str:
        """Returns the name to show for a class: its own, unless `display` has another."""
        return self.display.get(task, {}).get(cls, cls)


def _are(kind: type, values: Iterable[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _check_task(task: str, classes: Sequence[str]) -> None:
    if task in (IMAGE, GROUP, SPLIT) or not task or "/" in task:
        raise WorkshopError(
            f"{task!r} cannot be a task's name: expected text without '/' (it names a Keras layer) "
            f"other than {IMAGE}, {GROUP} and {SPLIT}. Rename it."
        )
    _check_text([task, *classes])
    twice = sorted(name for name, count in Counter(classes).items() if count > 1)
    if twice or "" in classes:
        found = f"twice {first_few(twice)}" if twice else "an empty one"
        what = "each class name once and none empty"
        raise expected(what, found, "Fix labels.json.", f"Task {task!r}")


def _check_text(names: Iterable[Any]) -> None:
    if wrong := [name for name in names if printable(name) != name]:
        raise expected("names in UTF-8", printable(wrong[0]), "Rename it.", "A task or class")
