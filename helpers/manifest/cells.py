"""Reads every CSV, so that one whose cells would shift is refused everywhere."""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from helpers.common import expected, open_input

# A million rows of a manifest have 60 million characters. A .csv.gz of a few MB can hold far more.
MOST_CHARACTERS, LONGEST_LINE = 500_000_000, 10_000_000
MOST_ROWS, MOST_COLUMNS = 5_000_000, 10_000
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def read_table(
    path: Path | str, separator: str = ",", what: str = "a CSV", fix: str = "Check the path."
) -> tuple[pd.DataFrame, np.ndarray]:
    """Returns the cells of a CSV (also .csv.gz) as text, and the line of each row (n,).

    Lines count from 1, as in an editor; blank ones are no rows. `None` and `NA` are text, too.

    Raises:
        WorkshopError: It is no plain file of UTF-8, has a row with another number of cells than the
            header, a column twice, a quote that never ends, a NUL, or more than the limits above.
    """
    path = Path(path)
    try:
        with open_input(path) as raw:
            data = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            with io.TextIOWrapper(data, "utf-8-sig", newline="") as file:
                header, rows, lines = _checked(path, separator, _lines(path, file))
    except (FileNotFoundError, IsADirectoryError) as error:
        found = "a folder" if isinstance(error, IsADirectoryError) else "no such file"
        raise expected(what, found, fix, path) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        wanted = f"a CSV in UTF-8 with {SEPARATORS[separator]}"
        found = f"something else ({getattr(error, 'strerror', None) or error})"
        raise expected(wanted, found, "Save it as 'CSV UTF-8', or restore it.", path) from None
    return pd.DataFrame(rows, columns=header, dtype=str), np.array(lines, int)


def read_numbers(path: Path | str) -> pd.DataFrame:
    """Reads a log: each column has the type that pandas finds for it, numbers as exact as saved."""
    text = read_table(path)[0].to_csv(index=False)
    return pd.read_csv(io.StringIO(text), float_precision="round_trip")


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    left = MOST_CHARACTERS
    for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE), ""), 1):
        left -= len(line)
        if "\0" in line or len(line) == LONGEST_LINE or left < 0:
            what = f"text of at most {MOST_CHARACTERS:,} characters, {LONGEST_LINE:,} in a line"
            found = "a NUL character" if "\0" in line else "more"
            raise expected(what, found, "Restore or divide it.", f"{path}, line {number}")
        yield line


def _checked(
    path: Path, separator: str, text: Iterator[str]
) -> tuple[list[str], list[list[str]], list[int]]:
    header, rows, lines, line = [], [], [], 1
    reader = csv.reader(text, delimiter=separator, strict=True)
    for row in reader:
        where, line = line, reader.line_num + 1
        if not any(map(str.strip, row)):
            continue
        if not header:
            header = [name.strip() for name in row]
        elif len(row) == len(header):
            rows.append(row)
            lines.append(where)
        else:
            fix = "Put quotes round cells that hold a comma; leave out one at the end of the row."
            wanted = f"{len(header)} cells as in the header"
            raise expected(wanted, len(row), fix, f"{path}, row {where}")
        if len(rows) > MOST_ROWS or len(header) > MOST_COLUMNS:
            most = f"at most {MOST_ROWS:,} rows of {MOST_COLUMNS:,} columns"
            raise expected(most, "more", "Divide the file.", path)
    if not header:
        raise expected("a header and lines", "an empty file", "Fill it.", path)
    if len(header) == 1 and set(SEPARATORS) & set(header[0]):
        wanted = f"{SEPARATORS[separator]} between columns"
        raise expected(wanted, repr(header[0]), "Correct the header.", path)
    if twice := [name for name, count in Counter(header).items() if name and count > 1]:
        found = f"{', '.join(twice)} twice or more"
        raise expected("columns with names, each once", found, "Correct the header.", path)
    return header, rows, lines
