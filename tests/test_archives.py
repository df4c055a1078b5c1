"""Archives: what is plain comes out, what is not is refused, and nothing outside changes."""

import random
from pathlib import Path

import pytest

from helpers.common import WorkshopError, extract
from tests.hostile import Tally, archives


@pytest.mark.parametrize("name", archives.builders(Path("/")))
def test_what_each_archive_comes_to(tmp_path: Path, name: str):
    (tmp_path / "outside").mkdir()
    (tmp_path / archives.OUTSIDE).write_text("precious")
    (tmp_path / name).write_bytes(archives.builders(tmp_path)[name]())
    assert archives.attempt(tmp_path / name, tmp_path) == (
        "ok" if name.startswith("good") else "refused"
    )
    assert name.startswith("good") or not (tmp_path / "out").exists()


def test_damaged_archives(monkeypatch: pytest.MonkeyPatch):
    kinds = archives.builders
    small = ("good.zip", "good.tar.gz", "parent.tar", "symlink.tar", "pax_path.tar", "twice.zip")
    monkeypatch.setattr(archives, "builders", lambda where: {k: kinds(where)[k] for k in small})
    tally = Tally()
    archives.run(tally, 60, seed=1)
    assert tally.bad == 0, tally.found


def test_the_names_of_the_files_are_returned(tmp_path: Path):
    (tmp_path / "a.tar").write_bytes(archives.named("./code/b.py"))
    assert extract(tmp_path / "a.tar", tmp_path / "out") == ["1/saved_model.pb", "code/b.py"]


def test_rights_and_times_are_not_taken(tmp_path: Path):
    member = archives.info("x")
    member.mode, member.mtime = 0o6777, 1
    (tmp_path / "a.tar").write_bytes(archives.tar((member, b"x")))
    extract(tmp_path / "a.tar", tmp_path / "out")
    found = (tmp_path / "out" / "x").stat()
    assert found.st_mode & 0o7111 == 0 and found.st_mtime > 1


def test_a_file_with_a_wrong_checksum_does_not_stay(tmp_path: Path):
    """It has the right size: the next call would take it for whole."""
    data = bytearray(archives.zipped(("x", random.Random(0).randbytes(3000))))
    data[1000] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    for _ in range(2):
        with pytest.raises(WorkshopError, match=r"a\.zip: expected a whole archive"):
            extract(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out" / "x").exists()


def test_what_is_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "a.tar").write_bytes(archives.named("code/b.py"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "code").write_text("a file")
    with pytest.raises(OSError, match=r"Not a directory: .*code|File exists: .*code"):
        extract(tmp_path / "a.tar", tmp_path / "out")


def test_nothing_else_in_the_project_unpacks(request: pytest.FixtureRequest):
    """tarfile's own `extractall` is only as safe as the patch version of Python."""
    root = request.config.rootpath
    paths = [path for top in ("helpers", "data/sources") for path in (root / top).rglob("*.py")]
    texts = {path: path.read_text() for path in paths}
    assert not [p for p, text in texts.items() if "extractall" in text or "unpack_archive" in text]
