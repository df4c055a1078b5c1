"""Values with declared bounds: settings, checked when they are made, and flags, when they are read.

Each function for a flag returns the options of `add_argument`, or is a `type` for it.
"""

import argparse
import re
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from helpers.common.errors import WorkshopError, expected


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
    if name not in model.model_fields:
        known = ", ".join(model.model_fields)
        return expected(f"one of {known}", repr(name), "Correct that name.", where)
    what = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    bounds = describe_bounds(model.model_fields[name])
    if bounds and error["type"] != "value_error":
        what = f"{what}, {bounds}" if error["type"].endswith(("_type", "_parsing")) else bounds
    found = "nothing" if error["type"] == "missing" else found
    return expected(what, found, "Change that value.", where)


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


def number_flag(text: str, low: float, high: float, default: Any = None) -> dict[str, Any]:
    """Declares a number from `low` to `high`, a whole one where these are; `text` is its help."""
    kind = type(low)
    bounds = f"{low:,} to {high:,}" if kind is int else f"{low:g} to {high:g}"

    def read(given: str) -> float:
        try:
            value = kind(given)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:  # nan is not within either
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"expected {what}, {bounds}, found {given[:40]!r}")
        return value

    usual = "" if default is None else "; default %(default)s"
    return {"type": read, "default": default, "help": f"{text} ({bounds}{usual})"}


def seed_flag(text: str, default: int = 0) -> dict[str, Any]:
    """Declares what random numbers start from, as NumPy, TensorFlow and Keras take it."""
    return number_flag(text, 0, 2**31 - 1, default)


def plain_name(given: str) -> str:
    """Reads the name of something new in a folder: no path, and nothing that a shell would mind."""
    if not re.fullmatch(r"\w[\w .+-]{0,99}", given):
        what = "a name of letters, digits, spaces, _ . + and -, without a folder"
        raise argparse.ArgumentTypeError(f"expected {what}, found {given[:40]!r}")
    return given
