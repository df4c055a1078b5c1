"""GTSRB: both layouts, the region, tracks, broken lines, and the given test split."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.sources.__main__ import main
from data.sources.gtsrb import SIGNS, region_in_pixels
from helpers.common import WorkshopError
from helpers.manifest import Manifest, check_split, read_manifest, split_by_group, validate
from helpers.manifest.__main__ import main as manifest_main

HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
CLASSES, TRACKS, FRAMES = (0, 14), 3, 2


def image(path: Path, shade: int, size: tuple[int, int] = (32, 32)) -> None:
    """A bright square in the middle, where the region is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 3), shade, np.uint8)
    pixels[size[1] // 4 : -size[1] // 4, size[0] // 4 : -size[0] // 4] = 250
    Image.fromarray(pixels).save(path)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """Images of 32x32 whose tables speak of 64x64, as those of a resized copy do."""
    root = tmp_path / "GTSRB"
    shade = 0
    for number in CLASSES:
        folder = root / "Final_Training" / "Images" / f"{number:05d}"
        lines = [HEADER]
        for track in range(TRACKS):
            for frame in range(FRAMES):
                name = f"{track:05d}_{frame:05d}.ppm"
                image(folder / name, shade := shade + 1)
                lines.append(f"{name};64;64;16;16;47;47;{number}")
        (folder / f"GT-{number:05d}.csv").write_text("\n".join(lines) + "\n")
    test = [HEADER]
    for i in range(3):
        image(root / "Final_Test" / "Images" / f"{i:05d}.ppm", 100 + i)
        test.append(f"{i:05d}.ppm;64;64;16;16;47;47;{CLASSES[i % 2]}")
    (root / "Final_Test" / "GT-final_test.csv").write_text("\n".join(test) + "\n")
    return root


@pytest.fixture
def convert(command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    def run(root: Path, out: Path, *options: object) -> tuple[int, str, str]:
        return command(main, "gtsrb", "--root", root, "--out", out, *options)

    return run


def test_official_layout_has_tracks_as_groups_and_a_given_test_split(official, tmp_path, convert):
    out = tmp_path / "out" / "manifest.csv"
    code, printed, _ = convert(official, out)
    assert code == 0, printed
    manifest = read_manifest(out)
    assert manifest.labels.tasks == {"sign": SIGNS}
    assert len(manifest) == len(CLASSES) * TRACKS * FRAMES + 3
    train = manifest.frame[manifest.frame["split"] == ""]
    assert train["group"].nunique() == len(CLASSES) * TRACKS  # unique across classes
    assert set(train["group"].value_counts()) == {FRAMES}
    test = manifest.subset("test").frame
    assert (test["group"] == "").all()
    assert test["sign"].tolist() == [SIGNS[0], SIGNS[14], SIGNS[0]]
    for path in manifest.paths:
        with Image.open(path) as found:
            assert (found.format, found.size) == ("PNG", (32, 32))


def test_the_folder_above_is_found_too(official, tmp_path, convert):
    assert convert(official.parent, tmp_path / "out" / "manifest.csv")[0] == 0


def test_the_region_is_scaled_to_the_images_real_size(official, tmp_path, convert):
    out = tmp_path / "out" / "manifest.csv"
    assert convert(official, out, "--region")[0] == 0
    for path in read_manifest(out).paths:
        with Image.open(path) as found:
            assert found.size == (16, 16)
            assert np.asarray(found).min() == 250


def test_a_region_beyond_the_image_is_clamped():
    assert region_in_pixels((-0.1, 0.2, 1.3, 0.6), (10, 20)) == (0, 4, 10, 12)
    assert region_in_pixels((0.99, 0.99, 1.0, 1.0), (8, 8)) == (7, 7, 8, 8)


def test_a_second_run_makes_only_what_is_missing(official, tmp_path, convert):
    out = tmp_path / "out" / "manifest.csv"
    convert(official, out)
    made = sorted((tmp_path / "out" / "images").rglob("*.png"))
    made[0].unlink()
    times = {path: path.stat().st_mtime_ns for path in made[1:]}
    assert convert(official, out)[0] == 0
    assert made[0].exists()
    assert {path: path.stat().st_mtime_ns for path in made[1:]} == times


def test_training_frames_equal_to_test_images_are_left_out_and_told(official, tmp_path, convert):
    frame = official / "Final_Training" / "Images" / "00014" / "00001_00001.ppm"
    frame.write_bytes((official / "Final_Test" / "Images" / "00001.ppm").read_bytes())
    out = tmp_path / "out" / "manifest.csv"
    _, printed, _ = convert(official, out)
    assert "equal to test images, left out: 1 (00001_00001.ppm)" in printed
    manifest = read_manifest(out)
    assert len(manifest.subset("test")) == 3
    assert len(manifest) == len(CLASSES) * TRACKS * FRAMES + 3 - 1


def test_all_broken_lines_are_told_at_once(official, tmp_path, convert):
    table = official / "Final_Training" / "Images" / "00000" / "GT-00000.csv"
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace(";0", ";43")
    lines[2] = lines[2].replace(";64;64;", ";0;64;")
    lines[3] = lines[3].replace("00001_00000", "00009_00000")
    lines[4] = lines[4].replace(";16;16;47;47;", ";16;16;12;47;")
    table.write_text("\n".join(lines) + "\n")
    code, _, error = convert(official, tmp_path / "out" / "manifest.csv")
    assert code == 2
    assert "4 problems" in error
    for told in ("row 2", "'43'", "row 3", "row 4", "no image 00009_00000.ppm", "row 5"):
        assert told in error
    assert not (tmp_path / "out" / "manifest.csv").exists()


def test_an_image_that_cannot_be_read_is_named(official, tmp_path, convert):
    images = official / "Final_Test" / "Images"
    (images / "00000.ppm").write_bytes(b"P6 32 32 255 too short")
    (images / "00002.ppm").write_text("no image")
    code, _, error = convert(official, tmp_path / "out" / "manifest.csv")
    assert code == 2
    assert "00000.ppm that cannot be read" in error
    assert "00002.ppm that cannot be read" in error


def test_an_image_of_another_kind_or_far_too_large_is_not_decoded(official, tmp_path, convert):
    images = official / "Final_Test" / "Images"
    (images / "00000.ppm").write_bytes(b"P6 9000 9000 255\n" + b"x" * 99)
    (images / "00002.ppm").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    code, _, error = convert(official, tmp_path / "out" / "manifest.csv")
    assert code == 2 and "00002.ppm that cannot be read" in error
    assert "00000.ppm that cannot be read (9000 x 9000 pixels)" in error


def test_a_pipe_is_no_image(official, tmp_path, convert):
    pipe = official / "Final_Test" / "Images" / "00000.ppm"
    pipe.unlink()
    os.mkfifo(pipe)
    code, _, error = convert(official, tmp_path / "out" / "manifest.csv")
    assert code == 2 and "00000.ppm" in error


def test_kaggles_layout(tmp_path, convert):
    root = tmp_path / "kaggle"
    header = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path"
    rows, test = [header], [header]
    for number in CLASSES:
        for track in range(2):
            path = f"Train/{number}/{number:05d}_{track:05d}_00007.png"
            image(root / path, 10 * number + track, (40, 48))
            rows.append(f"40,48,10,12,29,35,{number},{path}")
        image(root / f"Test/{number:05d}.png", 200 + number, (40, 48))
        test.append(f"40,48,10,12,29,35,{number},Test/{number:05d}.png")
    (root / "Train.csv").write_text("\n".join(rows))
    (root / "Test.csv").write_text("\n".join(test))
    assert convert(root, tmp_path / "out" / "manifest.csv")[0] == 0
    whole = read_manifest(tmp_path / "out" / "manifest.csv")
    assert all(str(root) in path for path in whole.paths)  # a PNG serves as it is
    assert set(whole.groups[:4]) == {"00/00000", "00/00001", "14/00000", "14/00001"}
    assert convert(root, tmp_path / "cut" / "manifest.csv", "--region")[0] == 0
    with Image.open(read_manifest(tmp_path / "cut" / "manifest.csv").paths[0]) as found:
        assert found.size == (20, 24)


def test_elsewhere_is_refused(tmp_path, convert):
    code, _, error = convert(tmp_path, tmp_path / "out" / "manifest.csv")
    assert code == 2
    assert "expected Final_Training/Images/00000/GT-00000.csv" in error


@pytest.fixture
def read_signs(official, tmp_path, convert) -> Manifest:
    convert(official, tmp_path / "out" / "manifest.csv")
    return read_manifest(tmp_path / "out" / "manifest.csv")


def test_validation_tracks_are_split_off_and_the_given_test_stays(read_signs, tmp_path, command):
    out = tmp_path / "split" / "manifest.csv"
    code, _, error = command(manifest_main, read_signs.source, "--split", "0.7,0.3,0", "--out", out)
    assert code == 0, error
    manifest = read_manifest(out)
    check_split(manifest, ("train", "validation", "test"))
    validate(manifest, progress=False)
    given = read_signs.frame["split"] == "test"
    assert (manifest.frame["split"][given] == "test").all()
    assert (manifest.frame["split"][~given] != "test").all()
    assert set(manifest.subset("validation").frame["sign"]) == {SIGNS[0], SIGNS[14]}


def test_a_share_for_a_given_test_set_is_refused(read_signs):
    with pytest.raises(WorkshopError, match=r"--split 0\.8,0\.2,0"):
        split_by_group(read_signs, {"train": 0.7, "validation": 0.15, "test": 0.15})


def test_frames_of_a_group_with_a_given_split_follow_it(read_signs):
    frame = read_signs.frame
    first = frame["group"][0]
    frame.loc[0, "split"] = "validation"
    split = split_by_group(read_signs, {"train": 1.0})
    assert set(split.frame["split"][split.frame["group"] == first]) == {"validation"}
    assert set(split.frame["split"]) == {"train", "validation", "test"}
