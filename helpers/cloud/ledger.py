"""What was created in the cloud, written down before: on the disk, it outlives a killed kernel."""

import contextlib
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from helpers.common import ROOT, Declared, WorkshopError, write_json

# In the order of deletion: what uses something goes before what is used.
Kind = Literal["training job", "endpoint", "endpoint config", "model", "s3 prefix", "log"]
KINDS = get_args(Kind)


class Entry(Declared):
    """Something that was made."""

    kind: Kind
    name: str = Field(min_length=1)  # of an S3 prefix its address, of a log "group|stream"
    region: str = Field(min_length=1)
    made: str = Field(min_length=1)  # when it was written down, in UTC


class Ledger:
    """The list of what was made and is not deleted yet: a file for each, so that many may write.

    What is damaged is left where it is, and does not hide the rest.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    @classmethod
    def of(cls, account: str) -> "Ledger":
        """Returns the ledger of an account, or of the "rehearsal"; `make clean` keeps it."""
        return cls(ROOT / "ledger" / account)

    @property
    def entries(self) -> list[Entry]:
        """What is in it, in the order of deletion."""
        found = [entry for _, entry in self._read() if entry]
        return sorted(found, key=lambda entry: KINDS.index(entry.kind))

    @property
    def damaged(self) -> list[Path]:
        """The files that cannot be read."""
        return [path for path, entry in self._read() if not entry]

    def other_accounts(self) -> list[str]:
        """Returns the other accounts in which something was made that is not deleted yet."""
        folders = (path.parent for path in self.folder.parent.glob("*/*.json"))
        return sorted({f.name for f in folders if f.name.isdecimal() and f != self.folder})

    def add(self, kind: str, name: str, region: str) -> None:
        """Writes something down; call it before the thing is made."""
        made = datetime.now(UTC).isoformat(timespec="seconds")
        entry = Entry(kind=kind, name=name, region=region, made=made)
        write_json(self._place(kind, name), entry.model_dump())

    def remove(self, kind: str, name: str) -> None:
        """Strikes something out, after it is deleted."""
        self._place(kind, name).unlink(missing_ok=True)

    def _place(self, kind: str, name: str) -> Path:
        code = hashlib.sha256(f"{kind} {name}".encode()).hexdigest()
        return self.folder / f"{code[:20]}.json"

    def _read(self) -> Iterator[tuple[Path, Entry | None]]:
        """Yields the files, each with its entry, or None where it is not what it was."""
        for path in sorted(self.folder.glob("*.json")):
            entry = None
            with contextlib.suppress(OSError, ValueError, WorkshopError):
                entry = Entry.model_validate_json(path.read_bytes())
            whole = entry and path == self._place(entry.kind, entry.name)
            if path.exists():  # not struck out meanwhile
                yield path, entry if whole else None
