"""A package's front door that opens a module only when somebody asks for what is in it."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def front_door(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns `__getattr__`, `__dir__` and `__all__` of a package (PEP 562).

    TensorFlow takes seconds to import: a command that finds a mistake in its input, or predicts
    without TensorFlow, must not pay for it. (lazy_loader does the same, but would be one more
    package to install in every training job.) `modules` says what each module gives to others.
    """
    where = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{where[name]}"), name)

    return get, lambda: sorted(where), sorted(where)
