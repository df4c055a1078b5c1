"""Files that are written whole or not at all."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.common.inputs import read_input

MOST_BYTES = 100_000_000  # of a JSON file; a million class names take 20 MB


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path of the same suffix, which replaces `path` only if all went well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        draft = Path(folder) / path.name
        yield draft
        draft.replace(path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary folder next to `path`, which replaces `path` only if all went well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    old = draft.with_name(f"{draft.name}-old")
    try:
        draft.chmod(0o755)  # mkdtemp makes it private; a learner's other tools must read it too
        yield draft
        if path.exists():  # moved aside first: a removal that is interrupted leaves half a folder
            path.replace(old)
        draft.replace(path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path` whole."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON to `path`, whole."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file; OSError or ValueError says why it cannot be read."""
    try:
        return json.loads(read_input(path, MOST_BYTES).decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("lists within lists, too deep to read") from None
