"""Every reader of what others made: it refuses with a message, or reads what stands there."""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import logging
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

import tests.hostile.annotations as hostile_annotations
from data.sources import gtsrb, hvc, market1501, peta, table
from data.sources.__main__ import main as sources
from helpers.common import WorkshopError, read_json
from helpers.detection import annotations
from helpers.detection.annotations import BadFileError, read_annotations, read_groups
from helpers.detection.config import Config, LabelMap
from helpers.manifest import (
    Labels,
    Manifest,
    read_manifest,
    read_numbers,
    read_table,
    split_by_group,
    summarize,
    validate,
)
from tests.detection_data import make_voc, voc_xml
from tests.hostile import Tally, csvs

ODD = os.fsdecode(b"caf\xe9")  # a name that is not UTF-8
odd_settings = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
anything = st.text(max_size=12)  # lone surrogates and NUL among it
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(anything, inner, max_size=4),
    max_leaves=6,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def or_refused(read: Callable, *arguments: object) -> object:
    """What a reader returns, or None where it refuses in words."""
    try:
        return read(*arguments)
    except (WorkshopError, BadFileError) as error:
        assert str(error)
        return None


# CSVs


@odd_settings
@given(data=st.binary(max_size=60) | st.text(',;"\n\r\0 abé\ufeff', max_size=60).map(str.encode))
def test_any_bytes_are_a_table_or_refused(file: Path, data: bytes):
    file.write_bytes(data)
    if (found := or_refused(read_table, file)) is None:
        return
    frame, lines = found
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    rows = [row for row in rows if any(map(str.strip, row))]
    assert [list(row) for row in frame.itertuples(index=False)] == rows[1:]
    assert len(lines) == len(frame)


@odd_settings
@given(
    rows=st.lists(st.tuples(text, text, text), min_size=1, max_size=6),
    header=st.lists(text, min_size=2, max_size=2),
)
def test_a_manifest_reads_back_as_it_was_written(file: Path, rows: list, header: list):
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened, quoting=csv.QUOTE_ALL).writerows([["image_path", *header], *rows])
    if (first := or_refused(read_manifest, file)) is None:
        return
    copy = file.with_name("copy.csv")
    file.with_name("labels.json").unlink(missing_ok=True)
    if or_refused(first.write, copy) is None and not copy.exists():
        return
    again = read_manifest(copy)
    copy.unlink()
    file.with_name("labels.json").unlink()
    assert again.labels == first.labels
    assert [os.path.normpath(p) for p in again.paths] == [os.path.normpath(p) for p in first.paths]
    names = [name for name in first.frame if name != "image_path"]
    assert again.frame[names].equals(first.frame[names])
    or_refused(validate, first, False)
    or_refused(split_by_group, first)
    summarize(first)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("p,t,u\na,x,y\nb,x,y,\n", "row 3: expected 3 cells as in the header, found 4"),
        ("p,t,u\na,x\n", "row 2: expected 3 cells as in the header, found 2"),
        ("p,t,u\na,x,y,\nb,x,y,\n", "row 2: expected 3 cells as in the header, found 4"),
        ('p,t\na,"x\ny"\nb\n', "row 4: expected 2 cells as in the header, found 1"),
        ('p,t\na,"x\nb,y\n', "unexpected end of data"),
        ('p,t\na,"x"y\n', "',' expected after"),
        ("p,t\na\0,x\n", "line 2: expected text .*, found a NUL character"),
        ("p,t,t\na,x,y\n", "each once, found t twice"),
        ("p;t\na;x\n", "expected commas between columns"),
        ("\n\n", "found an empty file"),
        ("p,t\na," + "x" * 200_000, "field larger than field limit"),
        (",".join(f"c{i}" for i in range(10_001)), "expected at most .* rows of 10,000 columns"),
    ],
)
def test_a_table_that_would_have_to_be_guessed_is_refused(file: Path, content: str, message: str):
    file.write_text(content)
    with pytest.raises(WorkshopError, match=message):
        read_table(file)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv.gz", gzip.compress(b"p,t\na,x\n" * 99, mtime=0)[:-9], "ended before the end"),
        ("a.csv.gz", gzip.compress(b"p,t\na,x\n", mtime=0)[:-8] + b"12345678", "CRC check failed"),
        ("a.csv.gz", b"p,t\na,x\n", "Not a gzipped file"),
        ("a.csv.gz", gzip.compress(b"p", mtime=0)[:10] + b"\xff" * 20, "invalid block type"),
        ("a.csv", gzip.compress(b"p,t\na,x\n", mtime=0), "expected a CSV in UTF-8 with commas"),
        ("a.csv", "p,t\na,x\n".encode("utf-16"), "expected a CSV in UTF-8 with commas"),
        ("a.csv", b"p,t\ncaf\xe9,x\n", "expected a CSV in UTF-8 with commas"),
    ],
)
def test_a_file_that_is_no_whole_csv(tmp_path: Path, name: str, data: bytes, message: str):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WorkshopError, match=message):
        read_table(tmp_path / name)


def test_a_packed_table_is_read_and_a_bomb_is_not(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbfp,t\n\na,NA\n"))
    frame, lines = read_table(path)
    assert frame.to_dict("records") == [{"p": "a", "t": "NA"}] and lines.tolist() == [3]
    monkeypatch.setattr("helpers.manifest.cells.MOST_CHARACTERS", 1000)
    path.write_bytes(gzip.compress(b",\n" * 10_000))
    with pytest.raises(WorkshopError, match="expected text of at most 1,000 characters"):
        read_table(path)
    path.write_bytes(gzip.compress(b"p,t\n" + b" " * 20_000_000))
    with pytest.raises(WorkshopError, match="10,000,000 in a line, found more"):
        read_table(path)


def test_pipes_and_devices_are_no_files(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("pipe", "zero", "loop", "absent", ".", "a\0b", "x" * 5000):
        for read in (read_table, Labels.read, LabelMap.read, Config.read):
            with pytest.raises(WorkshopError):
                read(tmp_path / name)


def test_a_log_keeps_its_numbers(file: Path):
    frame = pd.DataFrame({"epoch": [1, 2], "loss": [0.1 + 0.2, 1e-17], "note": ["a", "b"]})
    frame.to_csv(file, index=False)
    assert read_numbers(file).equals(frame)
    file.write_text("epoch,loss\n1,2,3\n")
    with pytest.raises(WorkshopError, match="expected 2 cells"):
        read_numbers(file)


# labels.json, the label map, the config


@odd_settings
@given(value=jsons | st.dictionaries(st.just("tasks"), st.dictionaries(text, st.lists(text))))
def test_any_json_is_labels_or_refused(file: Path, value: object):
    file.write_text(json.dumps(value))
    if labels := or_refused(Labels.read, file):
        labels.write(file)
        assert Labels.read(file) == labels
        assert [[*classes] for classes in labels.tasks.values()] == [*value["tasks"].values()]


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"tasks": ' * 100_000,
        '{"tasks": {"t": ["\\ud800", "b"]}}',
        '{"tasks": {"t": ["a", "b"]}, "display": {"t": {"a": 5}}}',
        '{"tasks": {"t": ["a", "b"]}, "display": {"t": {"a": "\\ud800"}}}',
        '{"tasks": ' + "9" * 5000 + "}",
        "\xff\xfe",
    ],
)
def test_labels_that_cannot_be_used(file: Path, content: str):
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(WorkshopError):
        Labels.read(file)


def test_json_of_a_spreadsheet_and_too_deep_json(file: Path):
    file.write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(file) == [1]
    file.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ValueError, match="too deep"):
        read_json(file)


@odd_settings
@given(names=st.lists(text.filter(bool), min_size=1, max_size=6, unique=True))
def test_a_label_map_reads_back(file: Path, names: list[str]):
    label_map = LabelMap({name: 3 * number for number, name in enumerate(names, 1)})
    label_map.write(file)
    assert LabelMap.read(file) == label_map


@odd_settings
@given(
    data=st.binary(max_size=60)
    | st.lists(
        st.sampled_from(
            [*'{}[]<>:"\\,0-#', "item", "id", "name", " ", "1", '"a"', "\\xff", "\\ud800"]
        )
    ).map(lambda parts: "".join(parts).encode())
)
def test_any_bytes_are_a_label_map_or_refused(file: Path, data: bytes):
    file.write_bytes(data)
    if label_map := or_refused(LabelMap.read, file):
        label_map.write(file)
        assert LabelMap.read(file) == label_map


@pytest.mark.parametrize(
    "value", [r'"\ud800"', r'"\xff"', r'"\377"', "'a", "x{" * 20_000, "{" * 9999]
)
def test_label_maps_with_odd_names(file: Path, value: str):
    file.write_text(f"item {{ id: 1 name: {value} }}")
    or_refused(LabelMap.read, file)


yamls = st.lists(
    st.sampled_from(
        [
            "label_map: ",
            "train: ",
            "a",
            "\n",
            "[",
            "]",
            "{",
            "}",
            ", ",
            "num_steps: ",
            "5",
            "'",
            '"',
        ]
        + ["&x ", "*x ", "!!int ", "!!bool ", "!!timestamp ", "!!binary ", "!!set ", "<<: ", "? "]
        + [
            "2001-13-45",
            "0b_",
            "0x_",
            "1:59",
            ".nan",
            "- ",
            "---\n",
            "%TAG ",
            "|\n ",
            "\\ud800",
            "#",
        ]
    ),
    max_size=12,
).map(lambda parts: "".join(parts).encode())


@odd_settings
@given(data=st.binary(max_size=40) | yamls | jsons.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_config_or_refused(file: Path, data: bytes):
    file.write_bytes(b"label_map: a\ntrain: b\n" + data if len(data) % 2 else data)
    if config := or_refused(Config.read, file):
        config.write(file)
        assert Config.read(file) == config


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("val: &a [x, x]\nflip: *a", "an alias"),
        ("seed: 1\nseed: 2", "a name twice among"),
        ("seed: 2001-13-45", "month must be in 1..12"),
        ("seed: !!bool maybe", "expected YAML"),
        ("seed: !!timestamp x", "expected YAML"),
        ("seed: !!int", "expected YAML"),
        ("val: " + "[" * 50_000, "expected YAML"),
        (r'val: "\ud800"', r"expected a path, found '\\ud800'"),
        (r'val: "\0"', r"expected a path, found '\\x00'"),
        ("seed: " + "9" * 5000, "expected YAML"),
        ("seed: 1" + ":59" * 5000, "expected"),
        ("anchor_ratios: [" + "x," * 9_000 + "]", "anchor_ratios: expected"),
        ("#" * 100_001, "more than 100,000 bytes"),
    ],
)
def test_configs_that_are_no_plain_values(file: Path, more: str, message: str):
    file.write_text(f"label_map: a\ntrain: b\n{more}\n")
    with pytest.raises(WorkshopError, match=message) as caught:
        Config.read(file)
    assert len(str(caught.value)) < 1000


def test_ten_thousand_aliases_take_no_time(file: Path):
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9) if i else 'x'}]" for i in range(30)]
    file.write_text("\n".join(levels))
    with pytest.raises(WorkshopError, match="an alias"):
        Config.read(file)


# Annotations


def hostile(number: int) -> bytes:
    draw = random.Random(number)
    make = draw.choice([hostile_annotations.hostile_xml, hostile_annotations.hostile_text])
    return make(draw)[:50_000]


@odd_settings
@given(data=st.binary(max_size=60) | st.integers(0, 10**6).map(hostile))
def test_any_bytes_are_an_annotation_or_refused(data: bytes):
    for read in (annotations._read_voc, annotations._read_penn_fudan):
        if found := or_refused(read, data):
            _, size, boxes = found
            assert all(isinstance(side, int) for side in size)
            assert all(isinstance(box.name, str) for box in boxes)


def test_names_that_are_not_utf_8(tmp_path: Path, command):
    from helpers.detection.records import main

    voc = make_voc(tmp_path / "voc", 4)
    (voc / "images" / "000.jpg").rename(voc / "images" / f"{ODD}.jpg")
    (voc / "annotations" / "000.xml").unlink()
    (voc / "annotations" / f"{ODD}.xml").write_text(voc_xml("", [("cup", 1, 1, 9, 9)]))
    out = tmp_path / "out"
    code, _, error = command(main, "--voc", voc, "--out", out, "--shards", 1)
    assert code == 0, error
    (problem,) = pd.read_csv(out / "report.csv").to_dict("records")
    assert problem["kind"] == "file name" and r"caf\udce9.jpg" in problem["found"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "image_path,group\na.jpg,g1\nb.jpg\n",
            "row 3: expected 2 cells as in the header, found 1",
        ),
        ("image_path,group\na.jpg,g1,\n", "row 2: expected 2 cells as in the header, found 3"),
        ("image_path,group\na.jpg,g1\nx/a.jpg,g2\n", "row 3: expected one group for 'a'"),
        (
            "image,group\na.jpg,g1\n",
            "expected the columns image_path and group, found image, group",
        ),
    ],
)
def test_groups_that_would_be_guessed(file: Path, content: str, message: str):
    file.write_text(content)
    with pytest.raises(WorkshopError, match=message):
        read_groups(file)


def test_images_without_a_group_stay_apart(file: Path):
    file.write_text("image_path,group\nx\\a.jpg,g1\nb.jpg,\nc.jpg,\n")
    assert read_groups(file) == {"a": "g1"}


# Sources


def options(**more: object) -> argparse.Namespace:
    return argparse.Namespace(**{"out": Path("none"), "images": None, "region": False, **more})


def source_folder(name: str, root: Path, data: bytes) -> Callable[[], Manifest]:
    """Puts `data` where a source expects its table; returns what reads it."""
    for place in (
        "PETA dataset/VIPeR/archive",
        "Final_Training/Images/00000",
        "bounding_box_train",
    ):
        (root / place).mkdir(parents=True, exist_ok=True)
    files = {
        "csv": ("list.csv", table, {"csv": "list.csv", "image_column": None, "group_column": None}),
        "hvc": ("hvc_annotations.csv", hvc, {"annotations": None, "allow_missing": True}),
        "gtsrb": ("Final_Training/Images/00000/GT-00000.csv", gtsrb, {}),
        "peta": ("PETA dataset/VIPeR/archive/Label.txt", peta, {}),
        "market1501": ("market_attribute.mat", market1501, {"attributes": None}),
    }
    path, module, more = files[name]
    (root / path).write_bytes(data)
    for image in ("PETA dataset/VIPeR/archive/1_1.png", "bounding_box_train/0002_c1s1_1_03.jpg"):
        (root / image).touch()
    return lambda: module.read(root, options(tasks=None, **more))


SEEDS = {
    "csv": b"file,t,u\na.jpg,x,1\nb.jpg,y,2\n",
    "hvc": ",".join(["filename", *hvc.TASKS, "image_path"]).encode()
    + "".join(
        "\n" + ",".join([f"images/Set1/{i}_0.jpg", *(c[i] for c in hvc.TASKS.values()), f"{i}.jpg"])
        for i in range(2)
    ).encode(),
    "gtsrb": b"Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    b"00000_00000.ppm;9;9;1;1;5;5;0\n",
    "peta": b"1 upperBodyBlack personalMale\n2 upperBodyRed personalFemale\n",
}


def market_file() -> bytes:
    file = io.BytesIO()
    people = {name: [1, 2] for name in market1501._columns()} | {"image_index": ["0002", "0007"]}
    savemat(file, {"market_attribute": {"train": people, "test": people}})
    return file.getvalue()


@pytest.mark.parametrize("name", ["csv", "hvc", "gtsrb", "peta", "market1501"])
@odd_settings
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 10**6),
    extra=st.binary(max_size=20)
    | st.sampled_from([b",", b";;\n", b"9" * 5000, b"\n\n", b"\0", b'"']),
)
def test_damaged_tables_of_sources(
    tmp_path: Path, name: str, changes: list, cut: int, extra: bytes
):
    data = bytearray(SEEDS.get(name) or market_file())
    for place, value in changes:
        data[place % len(data)] = value
    place = cut % len(data)
    data = data[:place] if cut % 3 == 0 else data[:place] + extra + data[place:]
    logging.disable()
    try:
        found = or_refused(source_folder(name, tmp_path, bytes(data)))
    finally:
        logging.disable(logging.NOTSET)
    if isinstance(found, Manifest):
        with tempfile.TemporaryDirectory() as folder:
            found.write(Path(folder) / "m.csv")
            again = read_manifest(Path(folder) / "m.csv")
        assert again.labels == found.labels
        for task in found.tasks:
            assert again.frame[task].tolist() == found.frame[task].tolist()


@pytest.mark.parametrize(("name", "old"), [("gtsrb", ";0\n"), ("peta", "\n2 "), ("hvc", "Set1/1_")])
def test_numbers_of_five_thousand_digits(tmp_path: Path, name: str, old: str):
    new = old.translate({ord(digit): "9" * 5000 for digit in "02"} | {ord("1"): "1" * 5000})
    assert old in SEEDS[name].decode()
    or_refused(source_folder(name, tmp_path, SEEDS[name].decode().replace(old, new).encode()))


def test_folders_whose_names_are_not_utf_8_are_refused_in_words(tmp_path: Path, command):
    for name in ("cat/1.jpg", f"dog/{ODD}.jpg"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(path)
    out = tmp_path / "out" / "m.csv"
    code, _, error = command(sources, "folders", "--root", tmp_path / "data", "--out", out)
    assert code == 2
    assert r"expected paths in UTF-8, found 1 that are not: " in error and r"\udce9" in error
    assert not list(tmp_path.glob("out/*"))
    (tmp_path / "data" / "dog").rename(tmp_path / "data" / ODD)
    code, _, error = command(sources, "folders", "--root", tmp_path / "data", "--out", out)
    assert code == 2 and "expected names in UTF-8" in error


def test_two_columns_for_one_meaning(tmp_path: Path, command):
    (tmp_path / "list.csv").write_text("file,image_path,t\na.jpg,1,x\nb.jpg,2,y\n")
    arguments = ["csv", "--root", tmp_path, "--out", tmp_path / "out" / "m.csv"]
    code, _, error = command(sources, *arguments, "--image-column", "file")
    assert code == 2 and "expected one column for 'image_path', 'file'" in error
    assert command(sources, *arguments)[0] == 0
    assert read_manifest(tmp_path / "out" / "m.csv").frame["image_path"][0].endswith("1")


def test_row_numbers_without_a_name_are_a_column_of_their_own(tmp_path: Path, command):
    (tmp_path / "list.csv").write_text(",file,t\n0,a.jpg,x\n1,b.jpg,y\n2,c.jpg,y\n")
    out = tmp_path / "out" / "m.csv"
    assert command(sources, "csv", "--root", tmp_path, "--out", out, "--tasks", "t")[0] == 0
    assert read_manifest(out).frame["t"].tolist() == ["x", "y", "y"]
    assert read_manifest(out).paths[2].endswith("c.jpg")


def test_a_comma_at_the_end_of_every_row_moves_no_column(tmp_path: Path, command):
    (tmp_path / "list.csv").write_text("file,gender,color\np.jpg,male,red,\nq.jpg,female,blue,\n")
    out = tmp_path / "out" / "m.csv"
    code, _, error = command(sources, "csv", "--root", tmp_path, "--out", out)
    assert code == 2 and "row 2: expected 3 cells as in the header, found 4" in error
    assert not out.exists()


def test_a_table_without_rows_makes_no_manifest(tmp_path: Path):
    with pytest.raises(WorkshopError, match="expected a line per image"):
        source_folder("gtsrb", tmp_path, SEEDS["gtsrb"].partition(b"\n")[0])()


# The time it takes


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    or_refused(work)
    return time.process_time() - start


def rows_of(count: int, row: Callable[[int], str]) -> str:
    return "image_path,t,group,split\n" + "".join(row(i) + "\n" for i in range(count))


SLOW = {
    "unique column": lambda n: rows_of(n, lambda i: f"{i}.jpg,c{i},,"),
    "single examples": lambda n: rows_of(n, lambda i: f"{i}.jpg,c{i or 1},,"),
    "unique split": lambda n: rows_of(n, lambda i: f"{i}.jpg,c{i % 2},g{i},s{i}"),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_manifest_of_many_values_takes_a_second(tmp_path: Path, name: str):
    path = tmp_path / "m.csv"
    path.write_text(SLOW[name](20_000))
    assert seconds(lambda: summarize(read_manifest(path))) < 2
    found = read_manifest(path)
    assert seconds(lambda: validate(found, False, False)) < 2
    assert seconds(lambda: split_by_group(found)) < 2


def test_many_unknown_classes_take_a_second(tmp_path: Path):
    labels = Labels({"t": tuple(f"known{i}" for i in range(300))})
    (tmp_path / "m.csv").write_text(rows_of(5_000, lambda i: f"{i}.jpg,knwn{i},,"))
    found = read_manifest(tmp_path / "m.csv", labels=labels, check_classes=False)
    assert seconds(lambda: validate(found, False, False)) < 3


def test_a_label_map_of_ten_thousand_takes_a_second(file: Path):
    LabelMap({f"c{i}": i for i in range(1, 10_001)}).write(file)
    assert seconds(lambda: LabelMap.read(file)) < 2


def test_repeated_headers_take_no_time():
    for line in (
        "Image size" * 100_000,
        'Bounding box for object 1 "' * 30_000,
        "Image size :" + " " * 10**6,
    ):
        assert seconds(lambda line=line: annotations._read_penn_fudan(line.encode())) < 1


def test_many_images_of_one_name_take_a_second(tmp_path: Path):
    for number in range(600):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        (folder / "a.jpg").touch()
        (folder / "a.xml").write_text(voc_xml("a.jpg", []))
    assert seconds(lambda: read_annotations(tmp_path)) < 3


# A share of the long runs


def test_a_share_of_hostile_csvs():
    tally = Tally()
    csvs.run(tally, 24, seed=7)
    assert tally.found == []


def test_a_share_of_hostile_annotations():
    tally = Tally()
    hostile_annotations.run(tally, 24, seed=7)
    assert tally.found == []
