"""A package's front door that opens a module only when a name in it is first used."""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from helpers.common.errors import expected


def front_door(package: str, file: str) -> tuple[Callable, Callable, list[str]]:
    """Returns `__getattr__`, `__dir__` and `__all__` of a package (PEP 562).

    The names are those that `file` imports from its own modules under `if TYPE_CHECKING:`. Commands
    that need no TensorFlow must not wait seconds for its import.
    """
    where = {
        name.name: node.module
        for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module.startswith(f"{package}.")
        for name in node.names
    }

    def get(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(where[name]), name)
        except ModuleNotFoundError as error:
            if not error.name or error.name.partition(".")[0] == "helpers":
                raise
            what, fix = f"the package {error.name}", "Type: make install-all"
            raise expected(what, "that it is not installed", fix, package) from error

    return get, lambda: sorted(where), sorted(where)
