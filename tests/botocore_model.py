"""A request beside AWS's own description of it, which botocore brings: patterns, lengths, enums.

botocore itself checks only names, types and lower bounds before it sends something.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape

JAVA = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s"}  # what Python's patterns do not have
SIZES = {"string": len, "list": len, "map": len, "integer": int, "long": int, "float": float}


def violations(service: str, operation: str, params: Any) -> list[str]:
    """Returns what a request says that AWS would not take, each with its place."""
    return list(_walk(_model(service).operation_model(operation).input_shape, params, operation))


@functools.cache
def _model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def _walk(shape: Shape, value: Any, where: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        missing = set(shape.required_members) - set(value)
        yield from (f"{where}: {name} is missing" for name in sorted(missing))
        for name, item in value.items():
            if name in shape.members:
                yield from _walk(shape.members[name], item, f"{where}.{name}")
            else:
                yield f"{where}: there is no {name}"
    elif kind == "list":
        for number, item in enumerate(value):
            yield from _walk(shape.member, item, f"{where}[{number}]")
    elif kind == "map":
        for key, item in value.items():
            yield from _walk(shape.key, key, f"{where} key {key!r}")
            yield from _walk(shape.value, item, f"{where}[{key!r}]")
    yield from _limits(shape, value, where)


def _limits(shape: Shape, value: Any, where: str) -> Iterator[str]:
    rules, size = shape.metadata, SIZES.get(shape.type_name)
    if "enum" in rules and value not in rules["enum"]:
        yield f"{where}: {value!r} is none of {rules['enum']}"
    if "pattern" in rules and not re.fullmatch(_python(rules["pattern"]), value):
        yield f"{where}: {value!r} does not match {rules['pattern']}"
    if size and not rules.get("min", -1e99) <= size(value) <= rules.get("max", 1e99):
        yield f"{where}: {value!r} is not between {rules.get('min')} and {rules.get('max')}"


def _python(pattern: str) -> str:
    for java, python in JAVA.items():
        pattern = pattern.replace(java, python)
    return pattern
