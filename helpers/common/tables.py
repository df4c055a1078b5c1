"""Reads every CSV, so that one that shifts its columns or hides a row is refused everywhere."""

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

from helpers.common.errors import WorkshopError, expected
from helpers.common.inputs import open_input

# A million rows of a manifest are 60 million characters. A .csv.gz of a few MB can hold far more.
MOST_CHARACTERS, MOST_ROWS, MOST_COLUMNS = 500_000_000, 5_000_000, 10_000
LONGEST_LINE = 10_000_000
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def read_table(
    path: Path | str, separator: str = ",", what: str = "a CSV", fix: str = "Check the path."
) -> tuple[pd.DataFrame, np.ndarray]:
    """Returns the cells of a CSV (also .csv.gz) as text, and the line of each row (n,).

    Lines count from 1 as in an editor; the header has the first. Blank lines are no rows. A cell
    stays as it is, `None` and `NA` too; names in the header lose the spaces around them.

    Raises:
        WorkshopError: It is no plain file of UTF-8, has a row with another number of cells than the
            header, a column twice, a quote that never ends, a NUL, or more than the limits above.
    """
    path = Path(path)
    try:
        with open_input(path) as raw:
            data = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            with io.TextIOWrapper(data, "utf-8-sig", newline="") as file:
                return _read(path, csv.reader(_lines(path, file), delimiter=separator, strict=True))
    except FileNotFoundError:
        raise expected(what, "no such file", fix, path) from None
    except IsADirectoryError:
        raise expected(what, "a folder", "Name the CSV in it.", path) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        wanted = f"a CSV in UTF-8 with {SEPARATORS[separator]}"
        found = f"something else ({getattr(error, 'strerror', None) or error})"
        fix = "Save it as 'CSV UTF-8' in your spreadsheet, or restore it."
        raise expected(wanted, found, fix, path) from None


def read_numbers(path: Path | str) -> pd.DataFrame:
    """Reads a log: each column has the type that pandas finds for it, numbers as exact as saved."""
    text = read_table(path)[0].to_csv(index=False)
    return pd.read_csv(io.StringIO(text), float_precision="round_trip")


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    left = MOST_CHARACTERS
    for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE), ""), 1):
        left -= len(line)
        if "\0" in line or len(line) == LONGEST_LINE:
            found = "a NUL character" if "\0" in line else f"{LONGEST_LINE:,} characters or more"
            raise expected("a line of text", found, "Restore the file.", f"{path}, line {number}")
        if left < 0:
            raise _too_large(path, f"{MOST_CHARACTERS:,} characters")
        yield line


def _read(path: Path, reader: Iterator[list[str]]) -> tuple[pd.DataFrame, np.ndarray]:
    header, rows, lines, line = [], [], [], 1
    for row in reader:
        if not any(map(str.strip, row)):
            pass
        elif not header:
            header = _checked([name.strip() for name in row], path, reader.dialect.delimiter)
        elif len(row) != len(header):
            wanted, where = f"{len(header)} cells as in the header", f"{path}, row {line}"
            fix = "Put quotes round cells that hold a comma; leave out one at the end of the row."
            raise expected(wanted, len(row), fix, where)
        elif len(rows) == MOST_ROWS:
            raise _too_large(path, f"{MOST_ROWS:,} rows")
        else:
            rows.append(row)
            lines.append(line)
        line = reader.line_num + 1
    if not header:
        raise expected("a header and lines", "an empty file", "Fill it.", path)
    return pd.DataFrame(rows, columns=header, dtype=str), np.array(lines, int)


def _checked(header: list[str], path: Path, separator: str) -> list[str]:
    if len(header) > MOST_COLUMNS:
        raise _too_large(path, f"{MOST_COLUMNS:,} columns")
    if len(header) == 1 and any(other in header[0] for other in SEPARATORS):
        wanted = f"{SEPARATORS[separator]} between columns"
        raise expected(wanted, repr(header[0]), "Save it with those.", path)
    if twice := [name for name, count in Counter(header).items() if name and count > 1]:
        found = f"{', '.join(twice)} twice or more"
        raise expected("columns with names, each once", found, "Rename one of them.", path)
    return header


def _too_large(path: Path, most: str) -> WorkshopError:
    return expected(f"at most {most}", "more", "Divide the file, or choose the rows.", path)
