"""Image files: what is wrong with them is seen before TensorFlow meets them."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.manifest import check_image, images_in, map_in_threads
from helpers.manifest.images import MAX_PIXELS

RNG = np.random.default_rng(0)
COLORS = Image.fromarray(RNG.integers(0, 256, (24, 10, 3)).astype(np.uint8)).resize((40, 96))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def without_adobe_marker(jpeg: bytes) -> bytes:
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4]) :]


def png_bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises more than its 100 bytes hold."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 9)
    chunks = [
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


SIXTEEN_BIT = Image.fromarray(RNG.integers(0, 65536, (24, 10)).astype(np.uint16))
GOOD = {
    "rgb.jpg": encoded(COLORS, "JPEG"),
    "progressive.jpg": encoded(COLORS, "JPEG", progressive=True),
    "grey.jpg": encoded(COLORS.convert("L"), "JPEG"),
    "cmyk.jpg": encoded(COLORS.convert("CMYK"), "JPEG"),
    "rgb.png": encoded(COLORS, "PNG"),
    "rgba.png": encoded(COLORS.convert("RGBA"), "PNG"),
    "palette.png": encoded(COLORS.convert("P"), "PNG"),
    "sixteen_bit.png": encoded(SIXTEEN_BIT, "PNG"),
    "rgb.bmp": encoded(COLORS, "BMP"),
    "grey.bmp": encoded(COLORS.convert("L"), "BMP"),
    "still.gif": encoded(COLORS.convert("P"), "GIF"),
    "png_that_is_called.jpg": encoded(COLORS, "PNG"),
}
BAD = {
    "empty.jpg": (b"", "unreadable image", "0 bytes"),
    "text.jpg": (b"I am a text", "unreadable image", "no image, whatever its name says"),
    "cut.jpg": (GOOD["rgb.jpg"][:-200], "unreadable image", "ends early"),
    "cut_end.jpg": (GOOD["rgb.jpg"][:-2], "unreadable image", "ends early"),
    "cut.png": (GOOD["rgb.png"][:-200], "unreadable image", "ends early"),
    "cut_end.png": (GOOD["rgb.png"][:-12], "unreadable image", "a PNG without its end"),
    "header_only.jpg": (GOOD["rgb.jpg"][:30], "unreadable image", ""),
    "bomb.png": (png_bomb(20_000, 20_000), "too large", "20000 x 20000 pixels"),
    "large.png": (png_bomb(10_000, 5_001), "too large", "10000 x 5001 pixels"),
    "bare_cmyk.jpg": (without_adobe_marker(GOOD["cmyk.jpg"]), "color", "CMYK"),
    "palette.bmp": (encoded(COLORS.convert("P"), "BMP"), "color", "palette"),
    "one_bit.bmp": (encoded(COLORS.convert("1"), "BMP"), "color", "mode 1"),
    "animated.gif": (
        encoded(COLORS, "GIF", save_all=True, append_images=[COLORS.rotate(180)]),
        "format",
        "an animated GIF",
    ),
    "image.tiff": (encoded(COLORS, "TIFF"), "format", "a TIFF file"),
    "image.webp": (encoded(COLORS, "WEBP"), "format", "a WEBP file"),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_images_pass(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    assert check_image(tmp_path / name) is None


@pytest.mark.parametrize("name", BAD)
def test_bad_images_are_told(tmp_path: Path, name: str) -> None:
    content, kind, found = BAD[name]
    (tmp_path / name).write_bytes(content)
    finding = check_image(tmp_path / name)
    assert finding is not None
    assert finding.kind == kind
    assert found in finding.found
    assert finding.expected
    assert finding.fix


def test_the_advice_mends_the_colors(tmp_path: Path) -> None:
    path = tmp_path / "bare.jpg"
    path.write_bytes(BAD["bare_cmyk.jpg"][0])
    Image.open(path).convert("RGB").save(tmp_path / "new.jpg")
    assert check_image(tmp_path / "new.jpg") is None


def test_missing_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a.JPG").write_bytes(GOOD["rgb.jpg"])
    (tmp_path / "folder.jpg").mkdir()
    assert check_image(tmp_path / "b.jpg").kind == "missing file"
    assert check_image(tmp_path / "a.jpg").found == "no such file, but 'a.JPG' there"
    assert "Is a directory" in check_image(tmp_path / "folder.jpg").found
    assert check_image(tmp_path / "a.JPG" / "b.jpg").kind == "missing file"


def test_a_bomb_is_not_decoded(tmp_path: Path) -> None:
    side = int(MAX_PIXELS**0.5) + 100
    (tmp_path / "bomb.png").write_bytes(encoded(Image.new("1", (side, side)), "PNG"))
    start = time.process_time()
    assert check_image(tmp_path / "bomb.png").kind == "too large"
    assert time.process_time() - start < 0.05  # decoding it takes ten times as long


def test_images_of_a_folder_come_sorted_and_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", ".hidden.jpg", "notes.txt", "deep/c.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert images_in(tmp_path) == [tmp_path / "a.png", tmp_path / "b.JPG"]
    assert images_in(tmp_path, deep=True)[-1] == tmp_path / "deep" / "c.gif"


def test_findings_come_in_the_order_of_the_paths(tmp_path: Path) -> None:
    paths = []
    for number in range(50):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(b"text" if number % 7 == 0 else GOOD["rgb.jpg"])
        paths.append(str(path))
    findings = map_in_threads(check_image, paths, disable=True)
    assert [finding is not None for finding in findings] == [n % 7 == 0 for n in range(50)]


def test_tensorflow_agrees_on_what_is_good_and_on_its_colors() -> None:
    tf = pytest.importorskip("tensorflow")
    for name, content in GOOD.items():
        pixels = tf.io.decode_image(content, channels=3, expand_animations=False).numpy()
        image = Image.open(io.BytesIO(content))
        if name == "sixteen_bit.png":
            wanted = np.repeat((np.asarray(image) >> 8)[..., None], 3, axis=2)
        else:
            wanted = np.asarray(image.convert("RGB"))
        # decoders may differ by a little where they upsample the color of a JPEG
        assert abs(pixels.astype(int) - wanted).mean() < 3, name


@pytest.mark.parametrize("name", ["bare_cmyk.jpg", "palette.bmp"])
def test_tensorflow_shows_the_refused_colors_wrongly(name: str) -> None:
    tf = pytest.importorskip("tensorflow")
    content = BAD[name][0]
    pixels = tf.io.decode_image(content, channels=3).numpy().astype(int)
    assert abs(pixels - np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))).mean() > 20
