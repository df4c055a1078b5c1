"""Shards: what goes in comes out, the bytes are the same, and no archive writes elsewhere."""

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helpers.cloud import write_shards
from helpers.cloud.script.shards import find_shards, read_shards, write_joined
from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest, read_manifest
from tests.conftest import make_people


@pytest.fixture
def shards(people: Manifest, tmp_path: Path) -> list[Path]:
    return write_shards(people, tmp_path / "shards", 4)


def joined(folder: Path, into: Path) -> Manifest:
    return read_manifest(write_joined(read_shards(folder, into), into))


def contents(manifest: Manifest) -> dict[bytes, tuple[str, ...]]:
    """Every image's bytes with its labels, group and split, whatever its name."""
    rows = manifest.frame.drop(columns="image_path").itertuples(index=False, name=None)
    return {Path(path).read_bytes(): row for path, row in zip(manifest.paths, rows)}


def tar(path: Path, members: dict[str, bytes], **changes: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in changes.items() if name not in GOOD else ():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(content))


LABELS = b'{"tasks": {"gender": ["male", "female"]}}'
ROWS = b"image_path,gender\nimages/0000000.png,male\n"
GOOD = {"labels.json": LABELS, "manifest.csv": ROWS, "images/0000000.png": b"a"}


def test_everything_comes_back(people: Manifest, shards: list[Path], tmp_path: Path) -> None:
    assert [path.name for path in shards] == [f"shard-{i:05d}-of-00004.tar" for i in range(4)]
    assert find_shards(tmp_path / "shards") == shards
    manifest = joined(tmp_path / "shards", tmp_path / "out")
    assert manifest.labels == people.labels
    assert contents(manifest) == contents(people) and len(manifest) == len(people)
    assert not any(Path(path).is_absolute() for path in manifest.frame["image_path"])


def test_each_shard_stands_for_itself(people: Manifest, shards: list[Path], tmp_path: Path) -> None:
    """A host gets some of the objects below a prefix: each of them has to be a shard."""
    assert sorted(shards[0].parent.iterdir()) == shards
    counts = []
    for number, shard in enumerate(shards):
        (folder := tmp_path / f"host{number}").mkdir()
        shutil.copy(shard, folder)
        part = joined(folder, folder / "out")
        assert part.labels == people.labels
        counts.append(len(part))
    assert sum(counts) == len(people) and max(counts) - min(counts) <= 1


def test_the_bytes_depend_on_the_content_alone(people: Manifest, tmp_path: Path) -> None:
    first = write_shards(people, tmp_path / "first", 3)
    copy = shutil.copytree(people.folder, tmp_path / "elsewhere", copy_function=shutil.copy)
    for number, path in enumerate(sorted(copy.rglob("*"))):
        os.utime(path, (number, number))
    second = write_shards(read_manifest(copy / "manifest.csv"), tmp_path / "second", 3)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert len({p.read_bytes() for p in first}) == 3


def test_neighboring_rows_are_dealt_out(people: Manifest, tmp_path: Path) -> None:
    train = people.rows(np.arange(40))
    for shard in write_shards(train, tmp_path / "shards", 2):
        with tarfile.open(shard) as archive:
            rows = [int(Path(m.name).stem) for m in archive if m.name.startswith("images/")]
        assert 5 <= sum(row < 20 for row in rows) <= 15


def test_older_shards_are_replaced_and_nothing_else(people: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    write_shards(people, folder, 4)
    assert find_shards(folder) != write_shards(people, folder, 2) == find_shards(folder)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(WorkshopError, match=r"older shards, found .*thesis\.txt"):
        write_shards(people, folder, 2)
    assert (folder / "thesis.txt").exists() and len(find_shards(folder)) == 2


@pytest.mark.parametrize("count", [0, 44])
def test_a_number_of_shards_that_cannot_be(people: Manifest, tmp_path: Path, count: int) -> None:
    with pytest.raises(WorkshopError, match=f"expected 1 to 43 shards .* found {count}"):
        write_shards(people, tmp_path / "shards", count)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    manifest = read_manifest(make_people(tmp_path / "people"))
    (tmp_path / "people/images/003.png").unlink()
    with pytest.raises(WorkshopError, match=r"row 5: expected an image at .*003\.png"):
        write_shards(manifest, tmp_path / "shards", 2)
    assert not (tmp_path / "shards").exists()


def test_what_is_unpacked_may_be_unpacked_again(shards: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = contents(joined(tmp_path / "shards", out))
    (out / shards[0].stem / "shard.json").write_text("{}")  # older versions wrote it
    assert contents(joined(tmp_path / "shards", out)) == first


def test_no_shards(tmp_path: Path) -> None:
    with pytest.raises(WorkshopError, match=r"shards such as .* found neither"):
        read_shards(tmp_path, tmp_path / "out")


def test_shards_of_other_labels(people: Manifest, shards: list[Path], tmp_path: Path) -> None:
    labels = Labels({**people.labels.tasks, "gender": ("female", "male")})
    other = Manifest(people.frame, labels, people.folder)
    first, _ = write_shards(other, tmp_path / "other", 2)
    shutil.copy(first, tmp_path / "shards" / "zebra-00000-of-00002.tar")
    with pytest.raises(WorkshopError, match=r"zebra-00000-of-00002.*: expected the tasks"):
        joined(tmp_path / "shards", tmp_path / "out")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:600],
        lambda data: b"",
        lambda data: b"I am a text",
        lambda data: data[:-12000],  # without the last image
    ],
)
def test_a_broken_shard_is_named(shards: list[Path], tmp_path: Path, spoil: Callable) -> None:
    shards[2].write_bytes(spoil(shards[2].read_bytes()))
    with pytest.raises(WorkshopError, match=r"00002-of-00004\.tar: expected a whole shard.*again"):
        read_shards(tmp_path / "shards", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*00002-of*"))


SHARD = "shard-00000-of-00001.tar"


@pytest.mark.parametrize(
    ("members", "changes", "message"),
    [
        (GOOD | {"../evil.png": b"x"}, {}, "evil.png"),
        (GOOD | {"images/../../evil.png": b"x"}, {}, "evil.png"),
        (GOOD | {"/tmp/evil-workshop.png": b"x"}, {}, "evil-workshop.png"),
        (GOOD | {"images/0000001.png": b""}, {"type": tarfile.SYMTYPE, "linkname": "/etc"}, "001"),
        (GOOD | {"images/0000001.png": b""}, {"type": tarfile.LNKTYPE, "linkname": "x"}, "001"),
        (GOOD | {"images/0000001.png": b""}, {"type": tarfile.CHRTYPE}, "001"),
        (
            GOOD | {"images/0000001.png": b"x"},
            {},
            r"an image for each row, found .images/0000001\.png",
        ),
        (
            GOOD | {"manifest.csv": ROWS + b"images/0000001.png,male\n"},
            {},
            "an image for each row, found",
        ),
        (
            GOOD | {"manifest.csv": ROWS + b"../../secret.png,male\n"},
            {},
            "an image for each row, found",
        ),
        (GOOD | {"manifest.csv": ROWS + b"/etc/passwd,male\n"}, {}, "an image for each row, found"),
        (GOOD | {"manifest.csv": b"nothing"}, {}, "image_path"),
        (GOOD | {"labels.json": b"[]"}, {}, "another form"),
        (
            {"manifest.csv": ROWS, "images/0000000.png": b"a"},
            {},
            r"labels\.json: expected tasks and their classes",
        ),
    ],
)
def test_a_shard_from_outside(
    tmp_path: Path, members: dict[str, bytes], changes: dict, message: str
) -> None:
    tar(tmp_path / "in" / SHARD, members, **changes)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WorkshopError, match=f"(?s){SHARD}: expected a whole shard.*{message}"):
        read_shards(tmp_path / "in", tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) in (before, sorted([*before, tmp_path / "out"]))
    assert not Path("/tmp/evil-workshop.png").exists()


def test_the_plain_shard_of_these_tests_is_good(tmp_path: Path) -> None:
    tar(tmp_path / "in" / SHARD, GOOD)
    assert len(joined(tmp_path / "in", tmp_path / "out")) == 1
