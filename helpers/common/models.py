"""Settings that are declared, each with its type and its bounds, and checked when they are made."""

from typing import Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from helpers.common.errors import WorkshopError, expected

_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "string": "text"}


class Declared(BaseModel):
    """Frozen values; WorkshopError says what bounds, choices or the validator's ValueError want."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _explained(type(self), error.errors()[0]) from None

    def replace(self, **changes: Any) -> Self:
        """Returns the same with some values changed, and checked."""
        return type(self)(**{**vars(self), **changes})


def _explained(model: type[Declared], error: Any) -> WorkshopError:
    name = str(error["loc"][0])
    where, found = name.replace("_", " "), repr(error["input"])
    if error["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields)
        return expected(f"one of {known}", repr(name), "Correct that name.", where)
    if error["type"] == "missing":
        found = "nothing"
    what = _what_was_expected(model.model_fields[name], error)
    return expected(what, found, "Change that value.", where)


def _what_was_expected(field: FieldInfo, error: Any) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if get_origin(field.annotation) is Literal:
        return " or ".join(map(str, get_args(field.annotation)))
    bounds = describe_bounds(field)
    kind, _, problem = error["type"].partition("_")
    if problem and kind in _KINDS:  # another type
        return ", ".join(filter(None, (_KINDS[kind], bounds)))
    return bounds or error["msg"].removeprefix("Input should be ")


def describe_bounds(field: FieldInfo) -> str:
    """Returns what a field declares of a number, such as "1 to 8"; else nothing."""
    names = ("ge", "gt", "le", "lt", "min_length")
    found = {n: getattr(item, n) for item in field.metadata for n in names if hasattr(item, n)}
    low = found.get("ge", found.get("min_length"))
    high = f"below {found['lt']}" if "lt" in found else found.get("le")
    if "gt" in found:
        return f"above {found['gt']}" + ("" if high is None else f" and {high}")
    if low is None:
        return "" if high is None else f"{high}"
    return f"at least {low}" if high is None else f"{low} to {high}"
