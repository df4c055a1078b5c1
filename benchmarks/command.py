"""What the benchmarks' commands share: flags, and tables as Markdown."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.common import WorkshopError, number_flag, write_text


def seeds(text: str) -> list[int]:
    """Reads "0,1,2"."""
    if not all(re.fullmatch(r"[0-9]{1,9}", seed) for seed in text.split(",")):
        raise WorkshopError(f"expected --seeds such as 0,1,2, found {text!r}.")
    return [int(seed) for seed in text.split(",")]


SHARED = {
    "manifest": {"type": Path, "required": True, "help": "the manifest CSV"},
    "tasks": {"type": lambda text: text.split(","), "help": "only these, joined by a comma"},
    "minutes": number_flag("of each training", 0.0, 10_000.0, 0.0),
    "epochs": number_flag("of each training", 0, 100_000, 0),
    "seeds": {"type": seeds, "default": [0, 1, 2], "help": "of the trainings (default 0,1,2)"},
    "out": {"type": Path, "help": "folder of what is written (default below artifacts/)"},
}


def shared(*names: str, **defaults: Any) -> dict[str, dict[str, Any]]:
    """Returns some of `SHARED`; those with a default of their own are named with it."""
    own = {name: {"default": value} for name, value in defaults.items()}
    return {f"--{name}": SHARED[name] | own.get(name, {}) for name in (*names, *defaults)}


def rounded(value: float) -> str:
    """Returns a number of any size with about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def markdown(table: pd.DataFrame, shown: str | Callable[[float], str] = rounded) -> str:
    """Returns a table as Markdown without its index, its floats by a format or a function."""
    write = shown if callable(shown) else lambda value: format(value, shown)
    cells = table.map(lambda value: write(value) if isinstance(value, float) else str(value))
    rows = [list(table.columns), ["---"] * len(table.columns), *cells.to_numpy().tolist()]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def publish(page: str, path: Path) -> None:
    """Writes a page, and prints it."""
    write_text(path, page)
    print(f"{page}\nwrote {path}")
