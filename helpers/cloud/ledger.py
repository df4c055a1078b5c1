"""What was created in the cloud, written down before it is made, so that nothing is forgotten.

The ledger is a file: it outlives a closed notebook and a killed kernel.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

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
    """The list of what was made and is not deleted yet, in a file."""

    def __init__(self, path: Path):
        self.path = Path(path)

    @classmethod
    def of(cls, world: str) -> "Ledger":
        """Returns the ledger of the world "rehearsal" or "aws"."""
        return cls(artifacts_folder("cloud") / f"ledger-{world}.json")

    @property
    def entries(self) -> list[Entry]:
        """What is in it, in the order of deletion."""
        if not self.path.exists():
            return []
        found = [Entry(**entry) for entry in read_json(self.path)]
        return sorted(found, key=lambda entry: KINDS.index(entry.kind))

    def add(self, kind: str, name: str, region: str) -> None:
        """Writes something down; call it before the thing is made."""
        if kind not in KINDS:
            raise ValueError(f"no kind {kind!r}")
        kept = [entry for entry in self.entries if entry[:2] != (kind, name)]
        made = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.path, [e._asdict() for e in [*kept, Entry(kind, name, region, made)]])

    def remove(self, kind: str, name: str) -> None:
        """Strikes something out, after it is deleted."""
        kept = [entry._asdict() for entry in self.entries if entry[:2] != (kind, name)]
        if kept:
            write_json(self.path, kept)
        else:
            self.path.unlink(missing_ok=True)
