"""Files that are whole or not there."""

import os
from pathlib import Path

import pytest

from helpers.common import read_json, whole_file, whole_folder, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_with_its_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "grün")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "grün".encode()
    assert names(tmp_path / "a" / "b") == ["c.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as draft:
        draft.write_text("half of the n")
        assert draft.suffix == ".csv" and path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old" and names(tmp_path) == ["file.csv"]


def test_an_interrupt_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "new") as draft:
        draft.write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_text(tmp_path / "whole", "")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.mkdir()
    (path / "old").write_text("")
    with whole_folder(path) as draft:
        (draft / "new").write_text("")
        assert names(path) == ["old"]
    assert names(path) == ["new"] and names(tmp_path) == ["export"]
    assert path.stat().st_mode & 0o777 == 0o755


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.mkdir()
    (path / "old").write_text("")
    with pytest.raises(OSError, match="full"), whole_folder(path) as draft:
        (draft / "new").write_text("")
        raise OSError("full")
    assert names(path) == ["old"] and names(tmp_path) == ["export"]


def test_a_folder_is_never_removed_before_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "export"
    path.mkdir()
    (path / "old").write_text("")
    seen = []
    remove = os.unlink

    def watched(name, *arguments, **options):
        seen.append(names(path))
        return remove(name, *arguments, **options)

    with whole_folder(path) as draft:
        (draft / "new").write_text("")
        monkeypatch.setattr(os, "unlink", watched)
    assert seen and all(there == ["new"] for there in seen)


def test_json_keeps_text_as_it_is(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"größe": [1, None]})
    assert "größe" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a.json") == {"größe": [1, None]}
