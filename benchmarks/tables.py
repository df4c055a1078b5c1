"""Tables as Markdown, for a page and for the terminal."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from helpers.common import write_text


def rounded(value: float) -> str:
    """Returns a number of any size with about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def markdown(table: pd.DataFrame, shown: str | Callable[[float], str] = rounded) -> str:
    """Returns a table as Markdown, its index left out.

    Args:
        table: any values.
        shown: how floats are written: a format such as ".3f", or a function.
    """
    write = shown if callable(shown) else lambda value: format(value, shown)
    cells = table.map(lambda value: write(value) if isinstance(value, float) else str(value))
    rows = [list(table.columns), ["---"] * len(table.columns), *cells.to_numpy().tolist()]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def publish(page: str, path: Path) -> None:
    """Writes a page, and prints it."""
    write_text(path, page)
    print(f"{page}\nwrote {path}")
