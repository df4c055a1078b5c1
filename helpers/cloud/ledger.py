"""What was created in the cloud, written down before it is made, so that nothing is forgotten.

The ledger is on the disk: it outlives a closed notebook and a killed kernel.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from helpers.common import artifacts_folder, read_json, write_json

# The order of deletion: what uses something goes before what is used.
KINDS = ("training job", "endpoint", "endpoint config", "model", "log", "s3 prefix", "bucket")


class Entry(NamedTuple):
    """Something that was made."""

    kind: str  # of KINDS
    name: str  # of an S3 prefix its address, of a log its group, "|", and its stream
    region: str
    made: str  # when it was written down, in UTC


class Ledger:
    """The list of what was made and is not deleted yet: a file for each, so that many may write.

    Older versions wrote one file, `path`; what is in it counts as well. What is damaged is left
    where it is, and does not hide the rest.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.folder = self.path.with_suffix(".entries")

    @classmethod
    def of(cls, world: str) -> "Ledger":
        """Returns the ledger of the world "rehearsal" or "aws"."""
        return cls(artifacts_folder("cloud") / f"ledger-{world}.json")

    @property
    def entries(self) -> list[Entry]:
        """What is in it, in the order of deletion."""
        found = {entry[:2]: entry for _, entry in self._read() if entry}
        return sorted(found.values(), key=lambda entry: KINDS.index(entry.kind))

    @property
    def damaged(self) -> list[Path]:
        """The files in which something cannot be read."""
        return sorted({path for path, entry in self._read() if not entry})

    def add(self, kind: str, name: str, region: str) -> None:
        """Writes something down; call it before the thing is made."""
        if kind not in KINDS:
            raise ValueError(f"no kind {kind!r}")
        made = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self._place(kind, name), Entry(kind, name, region, made)._asdict())

    def remove(self, kind: str, name: str) -> None:
        """Strikes something out, after it is deleted."""
        self._place(kind, name).unlink(missing_ok=True)
        old = _values(self.path)
        kept = [value for value in old if (_entry(value) or ())[:2] != (kind, name)]
        if len(kept) < len(old):
            write_json(self.path, kept)
        if old and not kept:
            self.path.unlink(missing_ok=True)

    def _place(self, kind: str, name: str) -> Path:
        code = hashlib.sha256(f"{kind} {name}".encode()).hexdigest()
        return self.folder / f"{code[:20]}.json"

    def _read(self) -> Iterator[tuple[Path, Entry | None]]:
        """Yields each entry, or None for a damaged one, with its file."""
        for path in [self.path, *sorted(self.folder.glob("*.json"))]:
            for entry in map(_entry, _values(path)):
                moved = entry and path != self.path and path != self._place(*entry[:2])
                yield path, None if moved else entry  # not what it was when it got its name


def _values(path: Path) -> list[Any]:
    """Returns what is in a file, not looked at yet; [None] for what is no JSON."""
    try:
        found = read_json(path)
    except FileNotFoundError:  # struck out meanwhile
        return []
    except (OSError, ValueError, RecursionError):
        return [None]
    return found if isinstance(found, list) else [found]


def _entry(value: Any) -> Entry | None:
    if not isinstance(value, dict) or value.keys() != set(Entry._fields):
        return None
    are_texts = all(isinstance(text, str) and text for text in value.values())
    return Entry(**value) if are_texts and value["kind"] in KINDS else None
