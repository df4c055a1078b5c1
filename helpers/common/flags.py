"""Flags whose bounds are declared with them: argparse refuses what is outside, --help names them.

Each function returns the options of `add_argument`, or is a `type` for it.
"""

import argparse
import re
from typing import Any


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
