"""The manifest: reading, writing, finding every problem at once, splitting by group."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers.common import WorkshopError, run_command
from helpers.manifest import (
    Labels,
    Manifest,
    ManifestError,
    check_split,
    read_manifest,
    split_by_group,
    validate,
)
from helpers.manifest.__main__ import main

ROWS = """image_path,gender,age,group,split
a.jpg,male,16-30,p1,train
b.jpg,female,,p2,train
c.jpg,male,31-45,p3,validation
d.jpg,female,16-30,p4,validation
e.jpg,female,31-45,p1,train
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with five images and a good manifest.csv."""
    for number, name in enumerate("abcde"):
        Image.new("RGB", (10, 24), (number * 50, 100, 0)).save(tmp_path / f"{name}.jpg")
    (tmp_path / "manifest.csv").write_text(ROWS)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "other.csv"
    path.write_text(text)
    return path


def made(groups: np.ndarray, **tasks: np.ndarray) -> Manifest:
    """A manifest in memory; its images do not exist."""
    columns = {"image_path": [f"{i}.jpg" for i in range(len(groups))], **tasks}
    frame = pd.DataFrame(columns).assign(group=groups).astype(str)
    labels = Labels({task: tuple(sorted(set(frame[task]) - {""})) for task in tasks})
    return Manifest(frame, labels, Path("/nowhere"))


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["helpers.manifest", *map(str, arguments)])
    try:
        run_command(main)
    except SystemExit as stop:
        return stop.code
    return 0


# Reading and writing


def test_reads_tasks_targets_groups_and_paths(folder: Path) -> None:
    manifest = read_manifest(folder / "manifest.csv")
    assert len(manifest) == 5
    assert manifest.labels.tasks == {"gender": ("female", "male"), "age": ("16-30", "31-45")}
    assert manifest.targets("gender").tolist() == [1, 0, 1, 0, 0]
    assert manifest.targets("age").tolist() == [0, -1, 1, 0, 1]
    assert manifest.targets("age").dtype == np.int32
    assert manifest.groups.tolist() == ["p1", "p2", "p3", "p4", "p1"]
    assert manifest.paths[0] == str(folder / "a.jpg")


def test_the_path_of_one_row_is_that_of_all_rows(folder: Path) -> None:
    manifest = read_manifest(folder / "manifest.csv")
    assert [manifest.path(row) for row in range(len(manifest))] == manifest.paths
    assert manifest.rows([2, 0]).path(0) == manifest.paths[2]


def test_labels_file_fixes_tasks_and_class_order(folder: Path) -> None:
    labels = Labels({"gender": ("male", "female", "unknown")}, {"gender": {"male": "Mann"}})
    labels.write(folder / "labels.json")
    manifest = read_manifest(folder / "manifest.csv")
    assert manifest.tasks == ["gender"]
    assert manifest.targets("gender").tolist() == [0, 1, 0, 1, 1]
    assert manifest.labels == labels
    assert manifest.labels.display_name("gender", "male") == "Mann"
    assert manifest.labels.display_name("gender", "female") == "female"


def test_none_is_a_class_and_an_empty_cell_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, "image_path,bag\na.jpg,None\nb.jpg,NA\nc.jpg,\n")
    manifest = read_manifest(path)
    assert manifest.labels.tasks["bag"] == ("NA", "None")
    assert manifest.targets("bag").tolist() == [1, 0, -1]


def test_rows_without_a_group_are_their_own(tmp_path: Path) -> None:
    path = write(tmp_path, "image_path,t,group\na.jpg,x,\nb.jpg,y,p\nc.jpg,y,p\n")
    assert read_manifest(path).groups.tolist() == ["a.jpg", "p", "p"]


def test_subset_and_rows_keep_their_lines(folder: Path) -> None:
    manifest = read_manifest(folder / "manifest.csv")
    train = manifest.subset("train")
    assert train.frame["image_path"].tolist() == ["a.jpg", "b.jpg", "e.jpg"]
    assert [train.row_number(i) for i in range(3)] == [2, 3, 6]
    assert manifest.rows([3, 0]).frame["image_path"].tolist() == ["d.jpg", "a.jpg"]
    assert manifest.rows(np.array([False] * 4 + [True])).frame["image_path"].tolist() == ["e.jpg"]
    with pytest.raises(WorkshopError, match="expected rows with split 'test', found none"):
        manifest.subset("test")


def test_a_manifest_in_memory_counts_lines_as_its_csv_will() -> None:
    manifest = made(np.arange(3), t=np.array(list("xyx")))
    assert manifest.row_number(0) == 2
    assert manifest.rows([2]).row_number(0) == 4


def test_written_manifest_reads_back_and_never_climbs_out(folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(folder / "manifest.csv")
    inside, outside = folder / "copy.csv", folder / "deep" / "copy.csv"
    manifest.write(inside)
    manifest.write(outside)
    assert inside.read_text() == ROWS
    moved = read_manifest(outside)
    assert moved.paths == manifest.paths
    assert moved.labels == manifest.labels
    assert not moved.frame["image_path"].str.contains(r"\.\.").any()


def test_a_path_that_climbs_out_is_read_and_written_absolute(folder: Path) -> None:
    (folder / "deep").mkdir()
    manifest = read_manifest(write(folder / "deep", "image_path,t\n../a.jpg,x\n../b.jpg,y\n"))
    validate(manifest, progress=False)
    manifest.write(folder / "deep" / "new.csv")
    assert read_manifest(folder / "deep" / "new.csv").frame["image_path"][0] == str(
        folder / "a.jpg"
    )


def test_write_refuses_the_labels_of_another_manifest(folder: Path) -> None:
    manifest = read_manifest(folder / "manifest.csv")
    Labels({"color": ("red", "blue")}).write(folder / "labels.json")
    before = sorted(folder.iterdir())
    with pytest.raises(WorkshopError, match="belongs to another manifest"):
        manifest.write(folder / "new.csv")
    assert sorted(folder.iterdir()) == before


def test_write_refuses_names_that_are_no_csv(folder: Path) -> None:
    manifest = read_manifest(folder / "manifest.csv")
    for path in (folder, folder / "labels.json"):
        with pytest.raises(WorkshopError, match="expected the name of the CSV to write"):
            manifest.write(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        ("image_path,t\n", "a manifest without images"),
        ("imagepath,t\na.jpg,x\n", "found 'imagepath'. Did you mean 'image_path'"),
        ("image,t\na.jpg,x\n", "found 'image'. Did you mean 'image_path'"),
        ("file,t\na.jpg,x\n", "found 'file'. Did you mean 'image_path'"),
        ("image_path,t,groups\na.jpg,x,p\n", "found 'groups'. Did you mean 'group'"),
        ("image_path,t,Splits\na.jpg,x,p\n", "found 'Splits'. Did you mean 'split'"),
        ("image_path,t,t\na.jpg,x,p\n", "each once"),
        ("image_path;t\na.jpg;x\n", "expected commas"),
        ("image_path,t\na.jpg,x\n\nb.jpg\n", "row 4: expected 2 cells as in the header, found 1"),
        ("image_path\na.jpg\n", "expected a column per task"),
    ],
)
def test_unreadable_manifests_say_what_to_mend(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(WorkshopError, match=message):
        read_manifest(write(tmp_path, text))


def test_a_file_that_is_no_csv(folder: Path) -> None:
    with pytest.raises(WorkshopError, match="expected a CSV in UTF-8"):
        read_manifest(folder / "a.jpg")
    with pytest.raises(WorkshopError, match="found no such file"):
        read_manifest(folder / "absent.csv")
    with pytest.raises(WorkshopError, match="found a folder"):
        read_manifest(folder)


def test_unknown_task_names_the_nearest(folder: Path) -> None:
    with pytest.raises(WorkshopError, match=r"No task 'gendre'\. Did you mean 'gender'"):
        read_manifest(folder / "manifest.csv", tasks=["gendre"])
    assert read_manifest(folder / "manifest.csv", tasks=["age"]).tasks == ["age"]


def test_classes_that_the_labels_do_not_know_are_told_with_their_row(folder: Path) -> None:
    labels = Labels({"gender": ("male", "femal"), "age": ("16-30",)})
    with pytest.raises(ManifestError) as caught:
        read_manifest(folder / "manifest.csv", labels=labels)
    found = [(p.row, p.file, p.found) for p in caught.value.problems]
    assert found == [
        (3, "column gender", "'female' (3 rows, this one first)"),
        (4, "column age", "'31-45' (2 rows, this one first)"),
    ]
    assert "Did you mean 'femal'" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "another form"),
        ({"tasks": {}}, "another form"),
        ({"tasks": {"t": "xy"}}, "another form"),
        ({"tasks": {"split": ["x", "y"]}}, "cannot be a task's name"),
        ({"tasks": {"t": ["x", "x"]}}, "twice x"),
        ({"tasks": {"t": ["x", ""]}}, "an empty one"),
        (
            {"tasks": {"t": ["x"]}, "display": {"t": {"z": "Z"}}},
            "a class of 't' in `display`, found 'z'",
        ),
        ({"tasks": {"color": ["x"]}}, "expected a column for the task 'color'"),
    ],
)
def test_wrong_labels_files(folder: Path, value: object, message: str) -> None:
    (folder / "labels.json").write_text(json.dumps(value))
    with pytest.raises(WorkshopError, match=message):
        read_manifest(folder / "manifest.csv")


# Problems


def test_misspelt_classes_stand_in_one_list_with_all_other_problems(folder: Path) -> None:
    labels = Labels({"gender": ("male", "female"), "age": ("16-30", "31-45")})
    text = ROWS.replace("b.jpg,female", "b.jpg,femail").replace("c.jpg,", "absent.jpg,")
    manifest = read_manifest(write(folder, text), labels=labels, check_classes=False)
    with pytest.raises(ManifestError, match="Did you mean 'female'") as caught:
        validate(manifest, progress=False)
    errors = [(p.kind, p.row) for p in caught.value.problems if p.severity == "error"]
    assert errors == [("missing file", 4), ("unknown class", 3)]
    assert not any("femail" in p.found for p in caught.value.problems if p.severity == "warning")


def test_a_good_manifest_has_no_problems(folder: Path) -> None:
    manifest = read_manifest(folder / "manifest.csv", tasks=["gender"])
    assert validate(manifest, progress=False) == []


def test_all_problems_are_found_at_once_each_with_its_row(folder: Path) -> None:
    (folder / "f.jpg").write_bytes((folder / "a.jpg").read_bytes())
    (folder / "g.jpg").write_text("no image")
    (folder / "h.jpg").touch()
    (folder / "i.jpg").write_bytes((folder / "b.jpg").read_bytes()[:-40])
    path = write(
        folder,
        "image_path,gender,constant,note,group,split\n"
        "a.jpg,male,x,n1,p1,train\n"
        "./a.jpg,male,x,n2,p1,train\n"
        "f.jpg,female,x,n3,p2,test\n"
        "g.jpg,male,x,n4,p1,validation\n"
        "h.jpg,,x,n5,p3,train\n"
        "i.jpg,,x,n6,p4,Test\n"
        "absent.jpg,,x,n7,p5,\n"
        ",,x,n8,p6,train\n",
    )
    with pytest.raises(ManifestError) as caught:
        validate(read_manifest(path), progress=False)
    problems = caught.value.problems
    assert sorted((p.severity, p.kind, p.row) for p in problems if p.row) == [
        ("error", "duplicate row", 3),
        ("error", "empty path", 9),
        ("error", "group on two sides", 5),
        ("error", "missing file", 8),
        ("error", "same image in two splits", 4),
        ("error", "split value", 7),
        ("error", "split value", 8),
        ("error", "unreadable image", 5),
        ("error", "unreadable image", 6),
        ("error", "unreadable image", 7),
        ("warning", "a class with one example", 4),
    ]
    assert sorted((p.kind, p.file) for p in problems if not p.row) == [
        ("a class without examples", "column gender"),  # female is in test only
        ("fewer than two classes", "column constant"),
        ("no classes", "column note"),
    ]


def test_validate_lists_every_kind_and_counts_the_rest(folder: Path) -> None:
    lines = "".join(f"no{i}.jpg,{'xy'[i % 2]}\n" for i in range(300))
    manifest = read_manifest(write(folder, f"image_path,t\n{lines}a.jpg,x\na.jpg,x\n"))
    report = folder / "report.csv"
    with pytest.raises(ManifestError) as caught:
        validate(manifest, progress=False, report=report)
    message = str(caught.value)
    assert "301 problems" in message
    assert "missing file (300)" in message
    assert "... and 290 more" in message
    assert "row 303, a.jpg: found the same image as in row 302" in message
    assert len(message.splitlines()) < 25
    assert len(pd.read_csv(report)) == len(caught.value.problems) == 301


def test_labels_that_nobody_gave_are_a_warning(folder: Path) -> None:
    labels = Labels({"gender": ("male", "female"), "mood": ("good", "bad")})
    frame = read_manifest(folder / "manifest.csv").frame.assign(mood="")
    warnings = validate(Manifest(frame, labels, folder), progress=False)
    assert [(w.severity, w.kind, w.file) for w in warnings] == [
        ("warning", "no labels", "column mood")
    ]


def test_spellings_of_one_class_are_a_warning(folder: Path) -> None:
    text = "image_path,t\na.jpg,Male\nb.jpg,Male\nc.jpg,male \nd.jpg,male \n"
    warnings = validate(read_manifest(write(folder, text)), progress=False)
    assert [w.found for w in warnings] == ["the classes 'Male' and 'male '"]


def test_check_split_refuses_a_group_on_both_sides(folder: Path) -> None:
    manifest = read_manifest(folder / "manifest.csv")
    check_split(manifest)
    bad = read_manifest(write(folder, ROWS.replace("d.jpg,female,16-30,p4", "d.jpg,female,,p1")))
    with pytest.raises(ManifestError, match=r"group 'p1' in train \(row 2\) and validation"):
        check_split(bad)
    with pytest.raises(WorkshopError, match="expected a column 'split'"):
        check_split(read_manifest(write(folder, "image_path,t\na.jpg,x\nb.jpg,y\n")))


# Splitting


@pytest.fixture(scope="module")
def people() -> Manifest:
    """2,000 people with 1 to 9 images; two tasks of very uneven classes."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(2000), rng.integers(1, 10, 2000))
    looks = rng.choice(list("abcdef"), 2000, p=[0.5, 0.3, 0.1, 0.07, 0.02, 0.01])
    moods = rng.choice(["x", "y", ""], len(groups), p=[0.8, 0.15, 0.05])
    return made(groups, look=looks[groups], mood=moods)


def test_split_keeps_groups_whole_and_shares_alike(people: Manifest) -> None:
    split = split_by_group(people)
    check_split(split, ("train", "validation", "test"))
    assert split.frame.groupby("group")["split"].nunique().max() == 1
    shares = split.frame["split"].value_counts(normalize=True)
    np.testing.assert_allclose(
        shares[["train", "validation", "test"]], [0.7, 0.15, 0.15], atol=5e-3
    )
    for task in people.tasks:
        table = pd.crosstab(split.frame[task], split.frame["split"], normalize="columns")
        assert (table.max(axis=1) - table.min(axis=1)).max() < 0.01
    assert split.frame.drop(columns="split").equals(people.frame)


def test_split_is_the_same_for_a_seed_and_another_for_another(people: Manifest) -> None:
    first, again, other = (split_by_group(people, seed=seed) for seed in (0, 0, 1))
    assert first.frame.equals(again.frame)
    assert not first.frame.equals(other.frame)


def test_split_with_other_shares(people: Manifest) -> None:
    split = split_by_group(people, {"train": 0.5, "validation": 0.5})
    counts = pd.crosstab(split.frame["look"], split.frame["split"])
    assert list(counts) == ["train", "validation"]
    assert (abs(counts["train"] - counts["validation"]) <= 9).all()  # one person at most


def test_every_class_is_in_train() -> None:
    groups = np.arange(60)
    rare = np.array(["common"] * 50 + [f"rare{i}" for i in range(10)])
    split = split_by_group(made(groups, t=rare), {"train": 0.2, "validation": 0.4, "test": 0.4})
    assert set(split.subset("train").frame["t"]) == set(rare)


def test_split_refuses_too_few_groups_and_wrong_shares(people: Manifest) -> None:
    two = made(np.array([0, 0, 1, 1]), t=np.array(list("xyxy")))
    with pytest.raises(
        WorkshopError, match="groups for 3 splits, and every class in train, found 2"
    ):
        split_by_group(two)
    for shares in ({"train": 0.7, "test": 0.2}, {"train": 1.5, "test": -0.5}, {"dev": 1.0}):
        with pytest.raises(WorkshopError, match="expected fractions above 0 that add up to 1"):
            split_by_group(people, shares)


def test_a_hundred_thousand_rows_split_in_seconds() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 30_000, 100_000)
    big = made(groups, a=rng.choice(list("abcd"), 100_000), b=rng.choice(list("xyz"), 100_000))
    start = time.process_time()
    split_by_group(big)
    assert time.process_time() - start < 3


# The command


def test_command_checks_and_splits(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = folder / "new" / "split.csv"
    arguments = ["--tasks", "gender", "--split", "0.5,0.25,0.25", "--out", out]
    assert run_main(monkeypatch, folder / "manifest.csv", *arguments) == 0
    printed = capsys.readouterr().out
    assert "5 images, 4 groups" in printed
    assert "gender  female 3, male 2" in printed
    assert f"wrote {out}" in printed
    check_split(read_manifest(out), ("train", "validation", "test"))


def test_command_ends_with_2_and_writes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (folder / "a.jpg").unlink()
    before = sorted(folder.rglob("*"))
    arguments = [folder / "manifest.csv", "--split", "0.5,0.25,0.25", "--out", folder / "s.csv"]
    assert run_main(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert "error: " in error
    assert "row 2, a.jpg: found no such file" in error
    assert "Traceback" not in error
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("shares", ["0.7,0.3", "a,b,c", "0.9,0.9,0.9"])
def test_command_refuses_wrong_shares(
    folder: Path, shares: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    arguments = [folder / "manifest.csv", "--split", shares, "--out", folder / "s.csv"]
    assert run_main(monkeypatch, *arguments) == 2
    assert "xpected" in capsys.readouterr().err
    assert not (folder / "s.csv").exists()
