"""Whatever an archive or a ledger says: it is taken or refused, and nothing breaks."""

import io
import json
import tarfile
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as some

from helpers.cloud.ledger import KINDS, Ledger
from helpers.common import WorkshopError, extract

few = settings(max_examples=50, derandomize=True, deadline=None)
PARTS = some.sampled_from(["a", "b", "..", ".", "", "~", "C:", "\\..", "a\\..\\..", "ü", " ", "-"])
NAMES = some.lists(PARTS, min_size=1, max_size=5).map("/".join) | some.text(min_size=1, max_size=9)
KINDS_OF_MEMBER = some.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, b"1", b"2", b"3", b"6"])


def unpacked(archive: Path) -> None:
    """Unpacks; nothing but what is below `out` may come of it, and no link."""
    folder = archive.parent
    try:
        extract(archive, folder / "out")
    except WorkshopError:
        assert not (folder / "out").exists()
    assert {path.name for path in folder.iterdir()} <= {archive.name, "out"}
    assert not any(path.is_symlink() for path in folder.rglob("*"))


@few
@given(some.lists(some.tuples(NAMES, KINDS_OF_MEMBER, NAMES, some.binary(max_size=9)), max_size=5))
def test_members_of_a_tar(members):
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(Path(folder, "a.tar"), "w") as archive:
            for name, kind, link, content in members:
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, link
                member.size = len(content) if kind == tarfile.REGTYPE else 0
                archive.addfile(member, io.BytesIO(content))
        unpacked(Path(folder, "a.tar"))


@few
@given(some.dictionaries(NAMES, some.tuples(some.binary(max_size=9), some.integers(0, 0xFFFF))))
def test_members_of_a_zip(members):
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(Path(folder, "a.zip"), "w") as archive:
            for name, (content, mode) in members.items():
                member = zipfile.ZipInfo(name)
                member.external_attr = mode << 16
                archive.writestr(member, content)
        unpacked(Path(folder, "a.zip"))


VALUES = some.none() | some.booleans() | some.integers() | some.text(max_size=5)
OTHERS = dict.fromkeys(("name", "region", "made"), VALUES)
ENTRIES = some.fixed_dictionaries({"kind": some.sampled_from([*KINDS, "planet"]), **OTHERS})
JSON = some.recursive(VALUES | ENTRIES, lambda inner: some.lists(inner, max_size=4), max_leaves=8)


@few
@given(JSON.map(json.dumps) | some.text(max_size=20))
def test_what_a_ledger_may_hold(text):
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder, "ledger"))
        ledger.add("model", "workshop-signs", "us-east-1")
        (ledger.folder / "one.json").write_text(text, encoding="utf-8")
        assert [entry.name for entry in ledger.entries] == ["workshop-signs"]
        ledger.remove("model", "workshop-signs")
        assert ledger.entries == []
