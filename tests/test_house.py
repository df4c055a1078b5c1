"""The house: what may import what, so that the path of the data reads from left to right."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each floor may import those before it. What stands on one floor does not import its neighbors.
FLOORS = (
    {"common"},
    {"manifest"},
    {"pipeline", "scores"},
    {"model", "plots"},
    {"train", "predict"},
    {"evaluate", "workshop"},
    {"cloud"},
    {"detection"},
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
TOPS = ("helpers", "data", "benchmarks")
ALLOWED = {"helpers": {"helpers"}, "data": {"data", "helpers"}, "benchmarks": set(TOPS)}
DATA_MAY_USE = {"common", "manifest"}


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the project, by its dotted name."""
    paths = [path for top in TOPS for path in (ROOT / top).rglob("*.py")]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return {
        name.removesuffix(".__init__"): ast.parse(path.read_text(encoding="utf-8"))
        for name, path in zip(names, paths)
        if "generated" not in path.parts
    }


@cache  # by the tree itself, which nobody changes
def imports(module: ast.Module) -> list[str]:
    """What a module imports, also inside functions: `a.b` for `from a import b`, too."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Import):
            found += [name.name for name in node.names]
    return found


def room_of(name: str) -> str:
    """The room of `helpers.room.module`, or the name of another top-level folder."""
    top, _, rest = name.partition(".")
    return rest.partition(".")[0] if top == "helpers" else top


def floor_of(name: str) -> int:
    """The floor of a module; a room's command may use what stands beside the room."""
    floor = FLOOR_OF.get(room_of(name), -1)
    return floor + 1 if name.endswith(".__main__") else floor


def wrong_imports(modules: dict[str, ast.Module]) -> list[str]:
    """Imports that point back, cross a floor, or go past a front door."""
    wrong = []
    for name, module in modules.items():
        top, room = name.partition(".")[0], room_of(name)
        for found in imports(module):
            if found.partition(".")[0] not in TOPS:
                continue
            other = room_of(found)
            if found.partition(".")[0] not in ALLOWED[top]:
                wrong.append(f"{name} imports {found}: {top} must not know it")
            elif not found.startswith("helpers.") or other == room:
                continue
            elif top == "data" and other not in DATA_MAY_USE:
                wrong.append(f"{name} imports {found}: data ends in a manifest")
            elif top == "helpers" and FLOOR_OF[other] >= floor_of(name):
                wrong.append(f"{name} imports {found}: an arrow that points back")
            elif found.count(".") > 2 and ".".join(found.split(".")[:3]) in modules:
                wrong.append(f"{name} imports {found}: past the front door of helpers.{other}")
    return wrong


def circles(modules: dict[str, ast.Module]) -> list[str]:
    """The modules that reach themselves through imports."""
    known = {  # `from a import b` is the module a.b where there is one, and else a
        name: {found if found in modules else found.rpartition(".")[0] for found in imports(module)}
        & modules.keys() - {name}
        for name, module in modules.items()
    }

    def reached(start: str) -> set[str]:
        seen, ahead = set(), [start]
        while ahead:
            new = known[ahead.pop()] - seen
            seen |= new
            ahead += new
        return seen

    return sorted(name for name in modules if name in reached(name))


def test_the_rooms_are_those_of_the_plan():
    entries = {path.stem for path in (ROOT / "helpers").iterdir() if path.name[0] not in "_."}
    assert entries == set(FLOOR_OF)


def test_nothing_points_back():
    assert wrong_imports(sources()) == []


def test_no_circles():
    assert circles(sources()) == []


@pytest.mark.parametrize(
    ("name", "line", "complaint"),
    [
        ("helpers.manifest.turned", "from helpers.train import train", "points back"),
        ("helpers.train.turned", "from helpers.predict import export_run", "points back"),
        ("helpers.common.turned", "def f():\n    import data.sources", "must not know"),
        ("helpers.cloud.turned", "from benchmarks import speed", "must not know"),
        ("data.sources.turned", "from helpers.train import Recipe", "ends in a manifest"),
        ("helpers.train.turned", "from helpers.manifest.table import Manifest", "front door"),
    ],
)
def test_an_import_that_is_turned_round_is_found(name: str, line: str, complaint: str):
    (wrong,) = wrong_imports({**sources(), name: ast.parse(line)})
    assert name in wrong and complaint in wrong


def test_a_circle_is_found():
    modules = {
        "helpers.manifest.a": ast.parse("from helpers.manifest.b import x"),
        "helpers.manifest.b": ast.parse("def f():\n    from helpers.manifest import a"),
    }
    assert circles(modules) == ["helpers.manifest.a", "helpers.manifest.b"]


def test_tensorflow_comes_through_one_place():
    """It chooses oneDNN and keeps TensorFlow quiet, which must happen before the first import."""
    own = {name: module for name, module in sources().items() if name != "helpers.common.backend"}
    libraries = [(n, i) for n, module in own.items() for i in imports(module)]
    assert [(n, i) for n, i in libraries if i.partition(".")[0] in ("tensorflow", "keras")] == []
