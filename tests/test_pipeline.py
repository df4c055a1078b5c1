"""From files to batches: decoding against Pillow, the cache, and the order of an epoch."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

from helpers.common import WorkshopError
from helpers.manifest import Labels, Manifest
from helpers.pipeline import (
    AUGMENTATIONS,
    batches_in_order,
    decode_image,
    decoded,
    load_images,
    steps_per_epoch,
    training_batches,
)
from helpers.pipeline.decode import exif_orientation, read_image
from tests.image_files import BROKEN, FILES, SCENE, by_pillow, encoded, exif_bytes, turned

SIZE = (16, 8)
COUNT = 11


@pytest.fixture(scope="module")
def decode():
    """`decode_image` as a graph, traced once per size."""
    return tf.function(decode_image)


@pytest.fixture
def numbered(tmp_path: Path) -> Manifest:
    """Images whose color encodes their number, as do the labels; every fourth label is missing."""
    rows = []
    for i in range(COUNT):
        path = tmp_path / f"größe {i}.png"
        Image.new("RGB", (SIZE[1], SIZE[0]), (i * 20, 0, 255 - i * 20)).save(path)
        known = str(i) if i % 4 else ""
        rows.append({"image_path": path.name, "number": known, "even": str(i % 2 == 0)})
    classes = {"number": tuple(str(i) for i in range(COUNT)), "even": ("True", "False")}
    return Manifest(pd.DataFrame(rows), Labels(classes), tmp_path)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(load_images, "__defaults__", (tmp_path / "cache",))
    return tmp_path / "cache"


def epochs_of(batches: tf.data.Dataset, steps: int, epochs: int = 1) -> list[list[tuple]]:
    """Takes whole epochs: for each a list of (images, targets) in numpy."""
    flat = list(batches.take(steps * epochs).as_numpy_iterator())
    return [flat[i * steps : (i + 1) * steps] for i in range(epochs)]


def numbers_in(epoch: list[tuple]) -> np.ndarray:
    return np.concatenate([images[:, 0, 0, 0].astype(int) for images, _ in epoch]) // 20


def same(one: list[tuple], other: list[tuple]) -> bool:
    return all(
        np.array_equal(a, b) and all(np.array_equal(x[task], y[task]) for task in x)
        for (a, x), (b, y) in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", FILES)
def test_decodes_as_pillow(decode, name: str) -> None:
    size = (32, 16) if name != "smaller.jpg" else (13, 7)
    found = decode(tf.constant(FILES[name]), size).numpy()
    expected = by_pillow(FILES[name], size)
    assert found.shape == (*size, 3) and found.dtype == np.uint8
    # bilinear after a halving is near to an exact average; a wrong turn or channel is 40 off
    assert np.abs(found - expected).mean() < 8, name


@pytest.mark.parametrize("name", ["baseline.jpg", "progressive.jpg", "color.png", "rgba.png"])
def test_decodes_every_pixel_as_pillow_where_nothing_is_resized(name: str) -> None:
    found = decode_image(tf.constant(FILES[name]), (160, 75)).numpy()
    assert np.array_equal(found, by_pillow(FILES[name], (160, 75)))


@pytest.mark.parametrize("little_endian", [False, True])
@pytest.mark.parametrize("camera", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(decode, orientation: int, camera: bool, little_endian: bool) -> None:
    data = turned(orientation, camera, little_endian)
    assert int(exif_orientation(tf.constant(data))) == orientation
    found = decode(tf.constant(data), (32, 16)).numpy()
    assert np.abs(found - by_pillow(data, (32, 16))).mean() < 8


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_an_orientation_that_means_nothing_is_upright(orientation: int) -> None:
    assert int(exif_orientation(tf.constant(turned(orientation)))) == 1


def test_exif_without_an_orientation_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0131] = "software"
    assert int(exif_orientation(tf.constant(encoded(SCENE, "JPEG", exif=exif.tobytes())))) == 1


@pytest.mark.parametrize("name", BROKEN)
def test_broken_bytes_raise(name: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(tf.constant(BROKEN[name]), (32, 16))


@pytest.mark.parametrize("cut", range(4, 100, 3))
def test_any_cut_within_exif_raises_the_same_error(cut: int) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(tf.constant(turned(6, camera=True)[:cut]), (32, 16))


def test_damaged_exif_never_stops_an_image() -> None:
    rng = np.random.default_rng(0)
    data = turned(6)
    start = data.index(b"Exif") + 6
    for _ in range(20):
        noise = rng.integers(0, 256, 40).astype(np.uint8).tobytes()
        spoiled = data[:start] + b"MM" + noise + data[start + 42 :]
        assert decode_image(tf.constant(spoiled), (32, 16)).shape == (32, 16, 3)


def test_large_images_are_reduced_without_aliasing(decode) -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[::2] = 255  # a bilinear sample of every eighth row would be all black or all white
    for kind in ("PNG", "JPEG"):
        found = decode(tf.constant(encoded(Image.fromarray(stripes), kind)), (32, 16)).numpy()
        assert np.abs(found.astype(int) - 127).max() < 12, kind


@pytest.mark.parametrize("size", [(161, 75), (159, 79), (200, 77)])
def test_png_and_jpeg_of_one_image_are_the_same_place_by_place(decode, size: tuple) -> None:
    image = SCENE.resize(size[::-1])
    png = decode(tf.constant(encoded(image, "PNG")), (32, 16)).numpy().astype(int)
    jpeg = decode(tf.constant(encoded(image, "JPEG", quality=100, subsampling=0)), (32, 16)).numpy()
    assert np.abs(png - jpeg).max() <= 4


def test_the_cache_holds_what_decoding_gives_and_is_reused(
    numbered: Manifest, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = np.array(load_images(numbered, SIZE))
    assert np.array_equal(first, np.stack([read_image(path, SIZE) for path in numbered.paths]))
    (file,) = cache.iterdir()
    assert file.stat().st_size == COUNT * 16 * 8 * 3
    monkeypatch.setattr("helpers.pipeline.cache._fill", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(load_images(numbered, SIZE), first)


def test_another_size_or_a_changed_file_is_decoded_anew(numbered: Manifest, cache: Path) -> None:
    first = np.array(load_images(numbered, SIZE))
    load_images(numbered, (8, 8))
    path = Path(numbered.paths[3])
    times = path.stat()
    Image.new("RGB", (SIZE[1], SIZE[0]), (1, 2, 3)).save(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    second = load_images(numbered, SIZE)
    assert len(list(cache.iterdir())) == 3
    changed = (second != first).any(axis=(1, 2, 3))
    assert np.array_equal(np.flatnonzero(changed), [3]) and (second[3] == (1, 2, 3)).all()


def test_files_used_longest_ago_make_room(
    numbered: Manifest, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    for name, hours in (("older", 9), ("oldest", 50), ("young", 0.1), ("old", 5)):
        (cache / f"{name}.uint8").write_bytes(bytes(1000))
        os.utime(cache / f"{name}.uint8", (time.time() - 3600 * hours,) * 2)
    (cache / "notes.txt").write_text("not ours")

    def left() -> set[str]:
        return {path.stem for path in cache.iterdir()} & {"older", "oldest", "young", "old"}

    size = COUNT * 16 * 8 * 3
    monkeypatch.setattr("helpers.pipeline.cache.CACHE_BYTES", size + 4000)
    load_images(numbered, SIZE)
    assert left() == {"older", "oldest", "young", "old"}
    monkeypatch.setattr("helpers.pipeline.cache.CACHE_BYTES", size + 2000 + COUNT * 8 * 8 * 3)
    load_images(numbered, SIZE)  # used, not made: nothing has to go
    load_images(numbered, (8, 8))
    assert left() == {"old", "young"}
    monkeypatch.setattr("helpers.pipeline.cache.CACHE_BYTES", 0)
    load_images(numbered, (8, 16))
    assert left() == {"young"}  # somebody may be about to read it
    assert (cache / "notes.txt").exists() and len(list(cache.glob("*.uint8"))) == 4


def test_bars_that_are_switched_off_change_nothing(
    numbered: Manifest, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helpers.pipeline.cache.progress_bar", lambda **_: tqdm(disable=True))
    monkeypatch.setattr("helpers.pipeline.cache.DECODE_BATCH", 4)
    assert load_images(numbered, SIZE)[:, 0, 0, 0].tolist() == [i * 20 for i in range(COUNT)]


def test_a_stopped_fill_leaves_no_file(
    numbered: Manifest, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(file, *_):
        file.write(b"7" * 100)
        raise KeyboardInterrupt

    monkeypatch.setattr("helpers.pipeline.cache._fill", stopped)
    with pytest.raises(KeyboardInterrupt):
        load_images(numbered, SIZE)
    assert list(cache.iterdir()) == []


def test_a_full_disk_is_told(
    numbered: Manifest, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(WorkshopError, match=f"{cache}: expected 0 MB for decoded images"):
        load_images(numbered, SIZE)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"text", BROKEN["cut jpeg"]])
def test_an_image_that_cannot_be_decoded_is_named(
    numbered: Manifest, cache: Path, content: bytes
) -> None:
    Path(numbered.paths[5]).write_bytes(content)
    with pytest.raises(WorkshopError, match=r"größe 5\.png"):
        load_images(numbered, SIZE)
    assert list(cache.iterdir()) == []


def test_a_missing_image_is_named(numbered: Manifest, cache: Path) -> None:
    Path(numbered.paths[4]).unlink()
    with pytest.raises(WorkshopError, match=r"größe 4\.png, found none"):
        load_images(numbered, SIZE)
    assert not cache.exists()


def test_an_epoch_has_every_image_once_with_its_own_targets(
    numbered: Manifest, cache: Path
) -> None:
    steps = steps_per_epoch(numbered, 4)
    first, second = epochs_of(training_batches(numbered, SIZE, 4), steps, 2)
    assert [len(images) for images, _ in first] == [4, 4, 3]
    for epoch in (first, second):
        assert sorted(numbers_in(epoch)) == list(range(COUNT))
        for images, targets in epoch:
            numbers = images[:, 0, 0, 0].astype(int) // 20
            assert np.array_equal(targets["number"], np.where(numbers % 4, numbers, -1))
            assert np.array_equal(targets["even"], numbers % 2)
            assert targets["even"].dtype == np.int32 and images.dtype == np.uint8
    assert not np.array_equal(numbers_in(first), numbers_in(second))


def test_batches_depend_on_seed_and_epoch_alone(numbered: Manifest, cache: Path) -> None:
    def epochs(first_epoch: int = 0, count: int = 3, seed: int = 1) -> list:
        batches = training_batches(
            numbered,
            SIZE,
            4,
            augmentation=AUGMENTATIONS["strong"],
            seed=seed,
            first_epoch=first_epoch,
        )
        return epochs_of(batches, 3, count)

    unbroken = epochs()
    assert same(unbroken[1], epochs(count=2)[1])
    assert same(unbroken[2], epochs(first_epoch=2, count=1)[0])
    assert not same(unbroken[0], epochs(seed=2, count=1)[0])
    assert not same(unbroken[0], unbroken[1])


def test_in_order_gives_each_image_once_unchanged(numbered: Manifest, cache: Path) -> None:
    batches = list(batches_in_order(numbered, SIZE, 4).as_numpy_iterator())
    assert np.array_equal(numbers_in(batches), range(COUNT))
    assert np.array_equal(
        np.concatenate([targets["number"] for _, targets in batches]), numbered.targets("number")
    )


def test_whoever_lets_go_of_batches_need_not_wait_for_a_tuner(
    numbered: Manifest, cache: Path
) -> None:
    for batches in (
        decoded(numbered, SIZE),
        training_batches(numbered, SIZE, 4),
        batches_in_order(numbered, SIZE, 4),
    ):
        assert batches.options().autotune.enabled is False


def test_relative_and_moved_folders_are_other_images(
    numbered: Manifest, cache: Path, tmp_path: Path
) -> None:
    load_images(numbered, SIZE)
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in numbered.paths:
        shutil.copy2(path, moved)
    load_images(Manifest(numbered.frame, numbered.labels, moved), SIZE)
    assert len(list(cache.iterdir())) == 2


def test_exif_of_a_png_is_left_alone() -> None:
    data = encoded(SCENE, "PNG", exif=exif_bytes(6))
    assert np.array_equal(decode_image(tf.constant(data), (160, 75)), SCENE)
