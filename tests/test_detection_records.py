"""Annotations to records and back; every bad file is named and none ends in a crash."""

import hashlib
import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers.common import WorkshopError, tf
from helpers.detection import LabelMap, images, read_annotations, records
from tests import hostile
from tests.detection_data import SIZE, make_records, make_voc, voc_xml
from tests.hostile import files_below


def spoil(folder, xml: str | bytes, name: str = "000"):
    """Replaces one annotation; returns what reading says of it."""
    data = xml.encode() if isinstance(xml, str) else xml
    (folder / f"annotations/{name}.xml").write_bytes(data)
    found, problems = read_annotations(folder)
    kept = {one.source.stem for one in found}
    return name in kept, [p for p in problems if p.file.endswith(f"{name}.xml")]


def examples(written, split="train"):
    for file in records.shard_files(written.pattern(split)):
        for raw in tf.data.TFRecordDataset(file).as_numpy_iterator():
            yield tf.train.Example.FromString(raw).features.feature


def test_records_have_the_names_and_values_of_the_api(tmp_path):
    voc = make_voc(tmp_path / "voc", 1)
    (voc / "annotations/000.xml").write_text(
        voc_xml("C:\\photos\\000.jpg", [("cup", 24, 16, 48, 64, 1)])
    )
    written = records.write_records(voc, tmp_path / "out", name="n", shards=1, val_share=0)
    assert (tmp_path / "out/n_train.record-00000-of-00001").exists()
    (one,) = examples(written)
    assert one["image/format"].bytes_list.value == [b"jpeg"]
    assert one["image/filename"].bytes_list.value == [b"000.jpg"]
    assert (one["image/width"].int64_list.value, one["image/height"].int64_list.value) == (
        [SIZE[0]],
        [SIZE[1]],
    )
    data = one["image/encoded"].bytes_list.value[0]
    assert data == (voc / "images/000.jpg").read_bytes()
    assert one["image/key/sha256"].bytes_list.value[0].decode() == hashlib.sha256(data).hexdigest()
    edges = {e: one[f"image/object/bbox/{e}"].float_list.value[0] for e in ("xmin", "ymax")}
    assert edges == {"xmin": 0.25, "ymax": 1.0}
    assert one["image/object/class/text"].bytes_list.value == [b"cup"]
    assert one["image/object/class/label"].int64_list.value == [1]
    assert one["image/object/difficult"].int64_list.value == [1]
    assert one["image/object/truncated"].int64_list.value == [1]
    assert one["image/object/view"].bytes_list.value == [b"Left"]


def test_same_bytes_every_time_and_groups_stay_whole(tmp_path):
    voc = make_voc(tmp_path / "voc", 24)
    groups = {f"{i:03d}": f"g{i // 4}" for i in range(24)}
    first, second = (
        records.write_records(voc, tmp_path / name, name="n", shards=2, groups=groups)
        for name in ("a", "b")
    )
    for path in sorted(first.folder.iterdir()):
        assert path.read_bytes() == (second.folder / path.name).read_bytes()
    sides = {
        split: {
            groups[one["image/filename"].bytes_list.value[0].decode()[:3]]
            for one in examples(first, split)
        }
        for split in records.SPLITS
    }
    assert sides["train"] and sides["val"] and not sides["train"] & sides["val"]
    assert sum(first.images.values()) == 24


def test_read_back_what_was_written_and_what_others_write(tmp_path):
    written = make_records(tmp_path)
    files = records.shard_files([written.pattern("train"), written.pattern("val")])
    assert sum(records.require_whole(files).values()) == 12
    found = {
        one["name"].decode(): one
        for one in records.read_records(files, written.label_map).as_numpy_iterator()
    }
    truth, _ = read_annotations(tmp_path / "voc")
    for one in truth:
        back = found[one.image.name]
        scale = [one.height, one.width] * 2
        wanted = [[b.ymin, b.xmin, b.ymax, b.xmax] for b in one.boxes]
        np.testing.assert_allclose(back["boxes"] * scale, wanted, atol=1e-3)
        assert [written.label_map.ids[b.name] for b in one.boxes] == list(back["labels"])


def test_whoever_lets_go_of_records_need_not_wait_for_a_tuner(tmp_path):
    written = make_records(tmp_path)
    files = records.shard_files(written.pattern("train"))
    scenes = images.batches_in_order(files, written.label_map, (32, 32))
    assert scenes.options().autotune.enabled is False


def test_sparse_records_of_others_are_read(tmp_path):
    """No sha256, no size, no text in one, no label in the other, another order of numbers."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    path = str(tmp_path / "theirs.record")
    with tf.io.TFRecordWriter(path) as writer:
        for extra in ({"label": [7, 9]}, {"text": [b"lamp", b"boat"]}):
            values = {"image/encoded": [file.getvalue()], "image/source_id": [b"7"]}
            values |= {f"image/object/bbox/{e}": [0.1, 0.2] for e in ("xmin", "ymin")}
            values |= {f"image/object/bbox/{e}": [0.5, 1.7] for e in ("xmax", "ymax")}
            values |= {f"image/object/class/{name}": value for name, value in extra.items()}
            features = {key: records._feature(value) for key, value in values.items()}
            one = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(one.SerializeToString())
    label_map = LabelMap({"cup": 3, "lamp": 7})  # numbers with gaps
    by_number, by_name = records.read_records([path], label_map).as_numpy_iterator()
    assert list(by_number["labels"]) == [2, 0] and list(by_name["labels"]) == [2, 0]
    assert by_name["boxes"].max() == 1.0 and by_name["name"] == b"7"
    assert list(by_name["difficult"]) == [False, False]


def test_broken_shard_is_named(tmp_path):
    written = make_records(tmp_path)
    bad, other = records.shard_files(written.pattern("train"))
    data = bytearray(Path(bad).read_bytes())
    data[len(data) // 2] ^= 0xFF
    Path(bad).write_bytes(data)
    with pytest.raises(WorkshopError, match="1 broken files of 2") as caught:
        records.require_whole([bad, other])
    assert bad in str(caught.value) and other not in str(caught.value)


@pytest.mark.parametrize(
    ("xml", "kind"),
    [
        (voc_xml("000.jpg", [("cup", 1, 1, 400, 30)]), "box outside"),
        (voc_xml("000.jpg", [("cup", 30, 1, 30, 30)]), "degenerate box"),
        (voc_xml("000.jpg", [("", 1, 1, 20, 30)]), "unknown class"),
        (voc_xml("000.jpg", [("cup", "nan", 1, 20, 30)]), "bad number"),
        (voc_xml("000.jpg", [("cup", 1, 1, "1e999", 30)]), "bad number"),
        (voc_xml("000.jpg", [], size=(64, 96)), "size disagrees"),
        (voc_xml("../../../etc/passwd", []).replace("passwd", "absent"), None),
        ("<annotation><filename>000.jpg</filename>", "unreadable annotation"),
        ("<html></html>", "unreadable annotation"),
        ("", "unreadable annotation"),
        (
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + voc_xml("&x;", []),
            "unreadable annotation",
        ),
    ],
)
def test_bad_annotation_is_reported_and_left_out(tmp_path, xml, kind):
    kept, problems = spoil(make_voc(tmp_path, 2), xml)
    if kind is None:  # a name that leads elsewhere counts for nothing; the annotation's own does
        assert kept and not problems
    else:
        assert not kept and [p.kind for p in problems] == [kind]


def test_missing_files_clipping_and_unknown_size(tmp_path):
    folder = make_voc(tmp_path, 5)
    (folder / "images/001.jpg").unlink()
    (folder / "annotations/002.xml").unlink()
    (folder / "annotations/003.xml").write_text(voc_xml("003.jpg", [("cup", -1, 2, 97, 64)]))
    (folder / "annotations/004.xml").write_text(voc_xml("004.jpg", [], size=(0, 0)))
    found, problems = read_annotations(folder)
    assert {p.kind: p.severity for p in problems} == {
        "missing image": "error",
        "missing annotation": "warning",
    }
    clipped = next(one for one in found if one.source.stem == "003").boxes[0]
    assert (clipped.xmin, clipped.xmax) == (0, 96) and len(found) == 3


def test_grey_rgba_and_turned_images_become_upright_rgb(tmp_path):
    folder = make_voc(tmp_path, 3)
    (folder / "images/000.jpg").unlink()
    Image.new("RGBA", SIZE, (200, 10, 10, 128)).save(folder / "images/000.png")
    Image.new("L", SIZE, 90).save(folder / "images/001.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", SIZE[::-1], (9, 9, 9)).save(folder / "images/002.jpg", exif=exif)
    found, problems = read_annotations(folder)
    assert len(found) == 3 and not problems
    for one, kind in zip(found, ("png", "jpeg", "jpeg")):
        data, written = records.rgb_file(one.image)
        assert written == kind
        assert tf.io.decode_image(data).shape == (SIZE[1], SIZE[0], 3)


def test_penn_fudan_and_pets(tmp_path):
    penn = tmp_path / "penn"
    for name in ("Annotation", "PNGImages", "PedMasks"):
        (penn / name).mkdir(parents=True)
    Image.new("RGB", SIZE).save(penn / "PNGImages/P1.png")
    Image.new("L", SIZE).save(penn / "PedMasks/P1_mask.png")
    (penn / "Annotation/P1.txt").write_text(
        '# Compatible with PASCAL Annotation Version 1.00\nImage filename : "PNGImages/P1.png"\n'
        "Image size (X x Y x C) : 96 x 64 x 3\n"
        'Objects with ground truth : 1 { "PASpersonWalking" }\n'
        'Bounding box for object 1 "PASpersonWalking" (Xmin, Ymin) - (Xmax, Ymax) : '
        "(16, 8) - (30, 43)\n"
    )
    ((one,), problems) = read_annotations(penn)
    assert not problems
    assert one.boxes[0].name == "PASpersonWalking" and one.boxes[0].ymax == 43
    pets = tmp_path / "pets"
    for name in ("annotations/xmls", "annotations/trimaps", "images"):
        (pets / name).mkdir(parents=True)
    for place in ("annotations/trimaps/Great_Dane_7.png", "images/Great_Dane_7.jpg"):
        Image.new("RGB", SIZE).save(pets / place)
    xml = voc_xml("Great_Dane_7.jpg", [("dog", 1, 1, 20, 20)])
    (pets / "annotations/xmls/Great_Dane_7.xml").write_text(xml)
    for way, name in (("annotation", "dog"), ("file", "Great_Dane")):
        ((one,), problems) = read_annotations(pets, class_from=way)
        assert one.boxes[0].name == name and not problems


def test_label_map_round_trip_and_mistakes(tmp_path):
    path = tmp_path / "label_map.pbtxt"
    LabelMap({"traffic light": 3, 'it\'s "x"': 1}).write(path)
    assert LabelMap.read(path).ids == {'it\'s "x"': 1, "traffic light": 3}
    path.write_text("# theirs\nitem {\n  name: 'cup'\n  id: 2\n  display_name: 'Cup'\n}\n")
    assert LabelMap.read(path).ids == {"cup": 2}
    for text, match in (
        ("item { id: 0 name: 'a' }", "background"),
        ("item { id: 1 name: 'a' } item { id: 1 name: 'b' }", "twice"),
        ("item { id: one }", "expected a label map"),
        ("", "no item"),
    ):
        path.write_text(text)
        with pytest.raises(WorkshopError, match=match):
            LabelMap.read(path)


def test_command(tmp_path, command):
    voc = make_voc(tmp_path / "voc")
    (voc / "annotations/000.xml").write_text(voc_xml("000.jpg", [("cap", 1, 1, 20, 30)]))
    LabelMap({"cup": 1, "lamp": 2}).write(tmp_path / "map.pbtxt")
    code, out, _ = command(
        records.main, "--voc", voc, "--out", tmp_path / "out", "--shards", 2,
        "--label-map", tmp_path / "map.pbtxt",
    )  # fmt: skip
    assert code == 0 and "left out: 1 files" in out and "Did you mean 'cup'?" in out
    report = pd.read_csv(tmp_path / "out" / records.REPORT_FILE)
    assert list(report["kind"]) == ["unknown class"]
    code, out, _ = command(records.main, "--check", tmp_path / "out")
    assert code == 0 and out.count("records") >= 4
    code, _, err = command(records.main, "--voc", tmp_path / "no", "--out", tmp_path / "out")
    assert code == 2 and "Check --voc" in err
    code, _, err = command(records.main, "--voc", voc, "--out", voc)
    assert code == 2 and "choose another --out" in err


def test_two_hundred_damaged_inputs_end_in_a_report(tmp_path):
    """Truncated, swapped, flipped bits, hostile entities, absurd sizes; XML and images."""
    folder, rng = make_voc(tmp_path, 200), np.random.default_rng(3)
    bomb = "<!DOCTYPE a [<!ENTITY a 'x'>" + "".join(
        f"<!ENTITY {chr(98 + i)} '{('&' + chr(97 + i) + ';') * 20}'>" for i in range(8)
    )
    hostile = [
        bomb + "]><annotation>&i;</annotation>",
        "<annotation>" + "<object>" * 50_000,
        voc_xml("001.jpg", [("cup", 1, 1, 2, 2)], size=("9" * 400, "-5")),
        voc_xml("x" * 5000, [("cup", 0, 0, 10**30, 5)]),
        "\0" * 1000,
        '<?xml version="1.0" encoding="utf-99"?><annotation/>',
    ]
    for i in range(200):
        xml, image = folder / f"annotations/{i:03d}.xml", folder / f"images/{i:03d}.jpg"
        way = i % 5
        if way == 0:
            xml.write_text(hostile[i // 5 % len(hostile)])
        elif way == 1:
            xml.write_bytes(xml.read_bytes()[: int(rng.integers(0, 150))])
        elif way == 2:
            image.write_bytes(image.read_bytes()[: int(rng.integers(0, 900))])
        elif way == 3:
            data, other = xml.read_bytes(), image.read_bytes()
            xml.write_bytes(other), image.write_bytes(data)
        else:
            image.write_bytes(rng.integers(0, 256, 500).astype(np.uint8).tobytes())
    found, problems = read_annotations(folder)
    assert found == []
    assert len({p.file for p in problems if p.severity == "error"}) == 200


def test_records_never_replace_what_they_did_not_write(tmp_path, command):
    voc = make_voc(tmp_path / "voc")
    LabelMap({"cup": 1, "lamp": 2}).write(voc / "label_map.pbtxt")
    before = files_below(tmp_path)
    code, _, error = command(records.main, "--voc", voc, "--out", voc)
    assert code == 2 and "choose another --out" in error and files_below(tmp_path) == before
    run = tmp_path / "run"  # of a detector: it has a label map as well
    shutil.copytree(make_records(tmp_path / "other").folder, run)
    (run / "config.yaml").write_text("train: x")
    code, _, error = command(records.main, "--voc", voc, "--out", run)
    assert code == 2 and "config.yaml" in error and (run / "config.yaml").exists()


def test_records_of_before_are_replaced_where_they_are_whole(tmp_path):
    voc = make_voc(tmp_path / "voc")
    out = records.write_records(voc, tmp_path / "out", shards=2).folder
    (out / records.SHARDS_FILE).unlink()
    assert records.write_records(voc, out, shards=3).folder == out
    assert len([*out.glob("*-of-00003")]) == 6 and not any(out.glob("*-of-00002"))
    (out / records.SHARDS_FILE).unlink()
    (out / "theirs_train.record-00000-of-00001").write_bytes(b"")
    with pytest.raises(WorkshopError, match="one dataset"):
        records.write_records(voc, out)


@pytest.mark.parametrize("name", ["../../x", "a/b", "/x", "..", ".", "a\nb", "x" * 250, "a\0b"])
def test_the_name_of_records_stays_in_the_folder(tmp_path, name):
    voc = make_voc(tmp_path / "voc")
    before = files_below(tmp_path)
    with pytest.raises(WorkshopError, match="--name"):
        records.write_records(voc, tmp_path / "out", name=name)
    assert files_below(tmp_path) == before and not (tmp_path / "out").exists()


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    "harm", ["missing", "extra", "cut at a record", "cut in a record", "empty"]
)
def test_check_notices_a_shard_that_is_not_as_it_was_written(tmp_path, command, harm, old):
    if old and harm in ("cut at a record", "empty"):
        pytest.skip("only shards.json says how many records there were")
    out = records.write_records(make_voc(tmp_path / "voc"), tmp_path / "out", shards=2).folder
    assert command(records.main, "--check", out)[0] == 0
    if old:
        (out / records.SHARDS_FILE).unlink()
        assert command(records.main, "--check", out)[0] == 0
    shard = sorted(out.glob("*_train.record-*"))[0]
    data = shard.read_bytes()
    first = 16 + int.from_bytes(data[:8], "little")  # length, its checksum, data, its checksum
    assert len(data) > first
    if harm == "missing":
        shard.unlink()
    elif harm == "extra":
        shutil.copy(shard, shard.with_name(shard.name.replace("00000-of", "00007-of")))
    else:
        shard.write_bytes(data[: {"cut at a record": first, "empty": 0}.get(harm, first - 5)])
    places = [out] if harm == "extra" and not old else [out, f"{out}/*_train.record-*"]
    for place in places:
        code, _, error = command(records.main, "--check", place)
        assert code == 2 and shard.name[:-14] in error


def test_records_are_the_same_bytes_in_another_process(tmp_path):
    voc = make_voc(tmp_path / "voc")
    here = records.write_records(voc, tmp_path / "here", shards=2).folder
    arguments = ["--voc", voc, "--out", tmp_path / "there", "--shards", 2]
    done = hostile.command("helpers.detection.records", arguments, 600, PYTHONHASHSEED="1")
    assert done == "ok"
    first, second = (files_below(folder) for folder in (here, tmp_path / "there"))
    assert [*first.values()] == [*second.values()] and len(first) == 6


def test_check_says_that_the_table_of_shards_is_damaged(tmp_path, command):
    out = make_records(tmp_path).folder
    for text in ("", "{", "[]", "7"):
        (out / records.SHARDS_FILE).write_text(text)
        code, _, error = command(records.main, "--check", out)
        assert code == 2 and "shards.json: expected" in error
    with pytest.raises(WorkshopError, match="other files"):
        records.write_records(tmp_path / "voc", out)


def test_the_features_of_a_record_are_written_in_one_order(tmp_path):
    """The fields of a map otherwise come in an order that differs between processes."""
    written = make_records(tmp_path)
    for file in records.shard_files(written.pattern("train")):
        for raw in tf.data.TFRecordDataset(file).as_numpy_iterator():
            places = [raw.index(b"image/" + key) for key in (b"encoded", b"filename", b"width")]
            assert places == sorted(places)


def test_a_full_disk_stops_records_in_one_line(tmp_path):
    voc = make_voc(tmp_path / "voc", 24)
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
    code += "from helpers.common import run_command; import helpers.detection.records as r;"
    done = subprocess.run(
        [sys.executable, "-c", code + "run_command(r.main)", "--voc", voc, "--shards", "1",
         "--out", tmp_path / "out"],
        cwd=hostile.PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "error: File too large" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["voc"]
