"""What an --out may replace, whatever stands there; and drafts that a kill left behind."""

import gc
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import helpers.common.files as files
import helpers.manifest.__main__ as manifest_command
from data.generate.people import generate_people
from data.generate.people import main as people_main
from data.generate.streets import main as streets_main
from helpers.common import Output, WorkshopError, check_file, check_out, sweep, whole_folder
from tests.conftest import make_people
from tests.hostile import PROJECT, files_below

THING = Output("a thing", "mark", r"mark|part-\d\.bin")


def make_thing(folder: Path) -> Path:
    with whole_folder(folder, THING) as draft:
        (draft / "mark").write_text("")
        (draft / "part-1.bin").write_text("1")
    return folder


# What is replaced


def test_new_empty_and_own_folders_may_be_written(tmp_path: Path) -> None:
    assert not check_out(tmp_path / "new" / "one", THING)
    (tmp_path / "empty").mkdir()
    assert not check_out(tmp_path / "empty", THING) and (tmp_path / "empty").is_dir()
    assert check_out(make_thing(tmp_path / "thing"), THING)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20),
    below=st.booleans(),
)
def test_any_other_file_keeps_its_folder(
    tmp_path_factory: pytest.TempPathFactory, name: str, below: bool
) -> None:
    folder = make_thing(tmp_path_factory.mktemp("any") / "thing")
    if name in (".", "..", "mark", "part-1.bin"):
        return
    place = folder / "deep" / name if below else folder / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("years of work")
    before = files_below(folder)
    with pytest.raises(WorkshopError, match="other files"), whole_folder(folder, THING):
        pass
    assert files_below(folder) == before


@pytest.mark.parametrize("kind", ["link", "dangling", "file", "below a file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    real, place = make_thing(tmp_path / "real"), tmp_path / "place"
    if kind == "link":
        place.symlink_to(real)
    elif kind == "dangling":
        place.symlink_to(tmp_path / "gone")
    else:
        place.write_text("mine")
    with pytest.raises(WorkshopError):
        check_out(place / "out" if kind == "below a file" else place, THING)
    assert len(files_below(real)) == 2 and os.path.lexists(place)


def test_a_mount_point_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(self: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rmdir", busy)
    (tmp_path / "mnt").mkdir()
    with pytest.raises(WorkshopError, match="mount point"):
        check_out(tmp_path / "mnt", THING)


def test_input_home_and_current_folder_are_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thing = make_thing(tmp_path / "a" / "thing")
    for inputs in ([thing], [thing / "part-1.bin"], [thing / "deep" / "not there"]):
        with pytest.raises(WorkshopError, match="a folder of its own"):
            check_out(thing, THING, inputs)
    monkeypatch.setenv("HOME", str(thing))
    with pytest.raises(WorkshopError, match="a folder of its own"):
        check_out(thing, THING)
    monkeypatch.setenv("HOME", str(tmp_path / "a"))
    assert check_out(thing, THING)
    monkeypatch.chdir(thing)
    for place in (Path(), thing, tmp_path, Path("/"), PROJECT, PROJECT.parent):
        with pytest.raises(WorkshopError):
            check_out(place, THING)


def test_a_generated_dataset_with_somebodys_image_stays(tmp_path: Path) -> None:
    out = tmp_path / "people"
    generate_people(out, 2, height=48, width=24, workers=1)
    before = files_below(out)
    generate_people(out, 2, height=48, width=24, workers=1)
    assert files_below(out) == before
    (out / "images" / "00099.jpg").write_text("mine")
    with pytest.raises(WorkshopError, match=r"images/00099\.jpg"):
        generate_people(out, 2, height=48, width=24, workers=1)
    assert (out / "images" / "00099.jpg").read_text() == "mine"


def test_somebodys_own_dataset_is_no_generated_one(tmp_path: Path, command: Callable) -> None:
    folder = make_people(tmp_path / "people").parent
    before = files_below(folder)
    for main in (people_main, streets_main):
        code, _, error = command(main, "--out", folder, "--count", 1)
        assert code == 2 and "choose another --out" in error
    assert files_below(folder) == before


def test_the_current_folder_is_refused_before_anything_is_drawn(
    tmp_path: Path, command: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    code, _, error = command(streets_main, "--out", ".", "--count", 99_999)
    assert code == 2 and "a folder of its own" in error and time.monotonic() - began < 5


# Files


@pytest.mark.parametrize("flag", ["--report", "--out"])
@pytest.mark.parametrize(
    "name", ["manifest.csv", "labels.json", "images/001.png", "images", "link"]
)
def test_manifest_never_writes_over_its_input(
    people_csv: Path, command: Callable, flag: str, name: str
) -> None:
    (people_csv.parent / "link").symlink_to(people_csv)
    before = files_below(people_csv.parent)
    split = ("--split", "0.6,0.2,0.2") if flag == "--out" else ()
    place = people_csv.parent / name
    code, _, error = command(manifest_command.main, people_csv, flag, place, *split)
    assert code == 2 and str(place) in error
    assert files_below(people_csv.parent) == before


def test_report_and_out_are_two_files(people_csv: Path, command: Callable) -> None:
    one = people_csv.parent / "new" / "labels.json"
    split = ("--split", "0.6,0.2,0.2", "--out", one.parent / "split.csv")
    assert command(manifest_command.main, people_csv, "--report", one, *split)[0] == 2
    both = one.parent / "split.csv"
    assert command(manifest_command.main, people_csv, "--report", both, *split)[0] == 2
    check_file(both, [one])


def test_fewer_tasks_do_not_replace_the_labels_of_the_input(
    people_csv: Path, command: Callable
) -> None:
    labels = (people_csv.parent / "labels.json").read_bytes()
    (people_csv.parent / "split.csv").write_text("of before")
    split = ("--split", "0.6,0.2,0.2", "--out", people_csv.parent / "split.csv")
    assert command(manifest_command.main, people_csv, "--tasks", "gender", *split)[0] == 2
    assert (people_csv.parent / "labels.json").read_bytes() == labels


# Drafts

KILLED = """
import sys, time
from pathlib import Path
from helpers.common import whole_file, whole_folder
place = Path(sys.argv[1])
with whole_folder(place / "run") as folder, whole_file(place / "a.csv") as file:
    (folder / "part").write_bytes(bytes(2_000_000)); file.write_bytes(bytes(1_000_000))
    print("ready", flush=True)
    time.sleep(60)
"""


def drafts(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(files.DRAFT)]


def test_a_killed_process_leaves_drafts_to_sweep_and_a_living_one_none(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=PROJECT, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        assert len(drafts(tmp_path)) == 2
        sweep(tmp_path / "run")
        assert len(drafts(tmp_path)) == 2 and capsys.readouterr().out == ""
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    sweep(tmp_path / "run")
    said = capsys.readouterr().out
    assert drafts(tmp_path) == [] and said.count("that no running process holds\n") == 2


def test_a_draft_of_this_process_is_held_too(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "one") as draft:
        sweep(tmp_path / "one")
        assert draft.is_dir()


def test_a_kill_between_two_moves_loses_neither_folder(tmp_path: Path) -> None:
    thing = make_thing(tmp_path / "thing")
    draft = files.Draft(tmp_path, ".thing-")
    draft.close.detach()  # as a kill would; the lock is taken away below
    make_thing(draft.path / "thing")
    (draft.path / "thing" / "part-2.bin").write_text("2")
    draft.old.mkdir()
    thing.replace(draft.old / "thing")
    (draft.old.parent / files.LOCK).unlink()
    for path in (draft.old, draft.path, *draft.old.parent.rglob("*"), draft.old.parent):
        os.utime(path, (1, 1))
    assert check_out(thing, THING) and (thing / "part-2.bin").exists() and not drafts(tmp_path)


def older(folder: Path, name: str, *names: str, age: float = 2 * files.DAY) -> Path:
    draft = folder / name
    draft.mkdir(parents=True)
    for file in names:
        (draft / file).write_text("half")
    for path in (*draft.iterdir(), draft):
        os.utime(path, (time.time() - age,) * 2)
    return draft


def test_drafts_without_a_lock_go_when_they_are_old_and_nothing_else_does(tmp_path: Path) -> None:
    thing = make_thing(tmp_path / "thing")
    gone = [
        older(thing, ".part-1.bin-ab12cd_9.draft", "new"),
        older(tmp_path, ".thing-ab12cd_9.draft", "new", "unlocked"),
    ]
    kept = [
        older(thing, ".part-2.bin-ab12cd_9.draft", "new", age=60),
        older(tmp_path, ".thing-backup_1", "part-1.bin", "mark"),  # somebody's copy
        older(tmp_path, ".mozilla-profiles", "mozilla"),
        older(tmp_path, ".mine-ab12cd_9.draft", "letter.txt"),
    ]
    assert check_out(thing, THING)
    assert not any(map(os.path.lexists, gone)) and all(map(os.path.lexists, kept))


def test_temporary_drafts_are_swept_and_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = older(tmp_path, "workshop-source-ab12cd_9.draft", "new")
    mine = older(tmp_path, "workshop-source-checkout", "setup.py")
    first = files.temporary_draft("source")
    second = files.temporary_draft("source")
    assert not left.exists() and first.path.is_dir() and second.path.is_dir()
    del first
    assert len([*tmp_path.iterdir()]) == 2 and mine.exists()


def test_no_folder_can_be_made(command: Callable) -> None:
    def main() -> None:
        with whole_folder(Path("/proc/x")):
            pass

    code, _, error = command(main)
    assert code == 2 and "/proc" in error and "choose another --out" in error


def test_every_folder_that_is_replaced_says_what_it_may_replace() -> None:
    calls = [
        (path.name, line.strip())
        for top in ("helpers", "data", "benchmarks")
        for path in (PROJECT / top).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r" +with (common\.)?whole_folder\(", line) and path.name != "files.py"
    ]
    assert len(calls) >= 12
    assert [call for call in calls if call[1].count(", ") == 0] == []


def test_a_full_disk_is_said_in_one_line(tmp_path: Path, command: Callable) -> None:
    def main() -> None:
        with whole_folder(tmp_path / "out"):
            raise RuntimeError("write failed; No space left on device")

    code, _, error = command(main)
    assert code == 2 and error.count("\n") == 1 and "Free some space" in error
    assert not any(tmp_path.iterdir())


def test_weights_that_do_not_fit_on_the_disk_end_in_an_error_alone(
    trained, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    from helpers.model import load_model
    from helpers.train import State

    model = load_model(trained.best_path)
    state = State(replace(trained, folder=tmp_path))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            state.save_epoch(model, {"epoch": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    gc.collect()
    assert "h5py" not in capfd.readouterr().err
    assert not drafts(tmp_path / "state")


@pytest.mark.parametrize("named", [False, True])
def test_sources_never_write_over_the_table_that_they_read(
    people_csv: Path, command: Callable, named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from data.sources.__main__ import main

    monkeypatch.chdir(people_csv.parent)
    before = files_below(people_csv.parent)
    flags = ("--csv", "manifest.csv") if named else ()
    for root, out in ((".", "manifest.csv"), (people_csv.parent, people_csv)):
        code, _, error = command(main, "csv", "--root", root, "--out", out, *flags)
        assert code == 2 and "belongs to the input" in error
    code, _, error = command(main, "csv", "--root", ".", "--out", "images/001.png", *flags)
    assert code == 2 and "belongs to the input" in error
    assert files_below(people_csv.parent) == before
