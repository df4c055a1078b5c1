"""Odd images, made by the hundred: who reads them agrees, and nobody waits, or decodes a bomb."""

import resource
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.cloud import image_requests
from helpers.cloud.image_requests import RefusedError
from helpers.common import WorkshopError
from helpers.manifest import check_image
from helpers.manifest.image_header import JPEG_START, MAX_PIXELS, ImageError, read_header
from helpers.pipeline import decode_image
from helpers.pipeline.decode import exif_orientation, read_image
from helpers.predict import litert
from tests.hostile import Tally
from tests.hostile import images as hostile
from tests.image_files import FILES, SCENE, encoded, exif_bytes, exif_first, turned
from tests.test_images import BAD

SIZE = (32, 16)
HEADS = [FILES[name] for name in ("baseline.jpg", "progressive.jpg", "grey.jpg", "turned.jpg")]
HEADS += [FILES["cmyk.jpg"], FILES["palette.png"], FILES["sixteen_bit.png"], turned(6, camera=True)]
HIDDEN = b"\xff\x00\x00\x0b\x08\0\x08\0\x08\x01\x01\x11\x00"  # a frame header that is none
SKIPPED, SMALL = b"\xff\0", b"\xff\xc0\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0"
TEXT = b"\xff\xfe\0\x04ab\0\0\0"  # and bytes that belong to no segment
QUICK = settings(max_examples=40, deadline=None, derandomize=True)


def with_sides(jpeg: bytes, height: int, width: int) -> bytes:
    at = hostile.jpeg_frame(jpeg)
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def trains(path: Path) -> bool:
    return not isinstance(hostile.refusing(lambda: read_image(str(path), SIZE).numpy()), str)


def seen_by_tensorflow(data: bytes) -> tuple[int, int] | None:
    """Width and height of the upright image as TensorFlow's own decoders read the head."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            height, width, _ = tf.io.extract_jpeg_shape(data).numpy()
            lies = int(exif_orientation(tf.constant(data))) >= 5
            return (int(height), int(width)) if lies else (int(width), int(height))
        height, width, _ = tf.io.decode_png(data).shape
        return int(width), int(height)
    except tf.errors.OpError:
        return None


@pytest.mark.parametrize("head", range(len(HEADS)))
def test_the_size_is_the_one_that_tensorflow_sees_or_the_file_is_refused(head: int) -> None:
    rng, seen = np.random.default_rng(head), 0
    for _ in range(250):
        data = HEADS[head]
        if data.startswith(JPEG_START) and rng.random() < 0.5:
            data = hostile.jpeg_segments(rng, data)
        data = (hostile.flips, hostile.swapped_heads)[rng.integers(4) // 3](rng, data)
        try:
            header = read_header(data)
        except ImageError:
            continue
        if header and (size := seen_by_tensorflow(data)):
            assert header[1:3] == size, data[:60]
            seen += 1
    assert seen  # some are read by both


@pytest.mark.parametrize(
    "hidden",
    [b"", HIDDEN, SKIPPED, TEXT, b"\xff\xff", b"\xff\xd0", b"\xff\x01"],
)
def test_no_bomb_hides_its_size(hidden: bytes) -> None:
    lies = with_sides(FILES["baseline.jpg"], 30_000, 30_000)
    if hidden == SKIPPED:  # as a segment it would end inside of a comment with another frame
        frame = lies[(at := hostile.jpeg_frame(lies) - 5) : at + 19]
        comment = b"\xff\xfe" + struct.pack(">H", 2 + len(SMALL)) + SMALL
        hidden += struct.pack(">H", 2 + len(frame) + 4) + frame + comment
    with pytest.raises(ImageError) as raised:
        read_header(lies[:2] + hidden + lies[2:])
    assert raised.value.kind == "too large" and raised.value.pixels == 900_000_000
    with pytest.raises(RefusedError) as refused:
        image_requests._look_at([lies[:2] + hidden + lies[2:]])
    assert refused.value.status == 413


@pytest.mark.parametrize("kind", ["jpg", "png", "bmp", "gif"])
def test_bombs_are_refused_by_everybody_before_they_are_decoded(tmp_path: Path, kind: str) -> None:
    names = {"jpg": "baseline.jpg", "png": "color.png", "bmp": "color.bmp", "gif": "still.gif"}
    data = hostile.bombs(np.random.default_rng(1), FILES[names[kind]])
    (tmp_path / f"a.{kind}").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert check_image(tmp_path / f"a.{kind}").kind == "too large"
    with pytest.raises(WorkshopError, match="at most 50 million pixels"):
        litert.decode_image(data, SIZE)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"at most {MAX_PIXELS} pixels"):
        decode_image(tf.constant(data), SIZE)  # as in an export that nothing stands before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KB


@pytest.mark.parametrize("way", ["pipe", "socket", "folder", "zero", "null", "loop", "sparse"])
def test_special_files_are_refused_at_once(tmp_path: Path, way: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket may not be long
    rng = type("Rng", (), {"choice": lambda *_: way})
    path = tmp_path / "a.jpg"
    assert hostile.special(rng(), path) == way
    with hostile.limited():
        assert check_image(path)
        with pytest.raises(WorkshopError, match="expected"):
            litert.decode_image(path, SIZE)
        assert not trains(path)


@pytest.mark.parametrize(
    "content, kind",
    [
        (hostile.EPS, "EPS"),
        (encoded(SCENE, "TIFF"), "TIFF"),
        (encoded(SCENE, "WEBP"), "WEBP"),
        (b"8BPS" + bytes(40), "PSD"),
    ],
)
def test_other_formats_are_refused_whatever_their_name(
    tmp_path: Path, monkeypatch, content: bytes, kind: str
) -> None:
    monkeypatch.setenv("PATH", "")  # no Ghostscript to be found, and none is wanted
    (tmp_path / "a.jpg").write_bytes(content)
    assert check_image(tmp_path / "a.jpg").found == f"a {kind} file"


def test_cmyk_without_adobes_marker_is_refused_everywhere() -> None:
    data = BAD["bare_cmyk.jpg"][0]
    with pytest.raises(WorkshopError, match="CMYK JPEG without Adobe's marker"):
        litert.decode_image(data, SIZE)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Adobe's marker"):
        decode_image(tf.constant(data), SIZE)


@pytest.mark.parametrize("transform", [0, 1, 2])
@pytest.mark.parametrize("name", ["cmyk.jpg", "full_color.jpg"])
def test_adobes_transforms_look_alike_to_all(name: str, transform: int) -> None:
    data = FILES[name]
    marker = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform])
    if (at := data.find(b"\xff\xee")) > 0:
        data = data[:at] + data[at + 16 :]
    data = data[:2] + marker + data[2:]
    apart = decode_image(tf.constant(data), SIZE).numpy().astype(int)
    assert abs(apart - litert.decode_image(data, SIZE)).max() <= 1


def test_a_checksum_counts_for_the_check_as_for_training(tmp_path: Path) -> None:
    pieces = hostile.png_pieces(FILES["color.png"])
    pieces.insert(1, b"tEXtKey\0text")
    whole, seen = hostile.png(pieces), []
    ends = np.cumsum([8 + len(piece) for piece in pieces]) + 8
    for number, end in enumerate(ends):
        path = tmp_path / f"{number}.png"
        path.write_bytes(whole[: end - 1] + bytes([whole[end - 1] ^ 1]) + whole[end:])
        seen.append(trains(path))
        assert (check_image(path) is None) == seen[-1]
    assert not seen[0] and not seen[2]  # header and pixels


@QUICK
@given(seed=st.integers(0, 2**32), way=st.sampled_from(hostile.WAYS))
def test_any_bytes_are_read_or_refused(seed: int, way) -> None:
    rng = np.random.default_rng(seed)
    data = way(rng, hostile.any_file(rng))
    seen = {
        "predict": hostile.refusing(lambda: litert.decode_image(data, SIZE)),
        "same again": hostile.refusing(lambda: litert.decode_image(data, SIZE)),
    }
    assert hostile.judge(seen)[0] in ("ok", "refused")


@QUICK
@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"])
)
def test_no_bytes_break_the_reader(data: bytes, start: bytes) -> None:
    assert isinstance(hostile.refusing(lambda: litert.decode_image(start + data, SIZE)), str)


@QUICK
@given(st.binary(max_size=120), st.booleans(), st.booleans())
def test_orientations_are_those_of_the_graph(noise: bytes, camera: bool, little: bool) -> None:
    exif = exif_bytes(6, little)
    at = len(noise) * 7 % len(exif)
    exif = exif[:6] + (exif[6:at] + noise + exif[at + len(noise) :])[: len(exif)]
    jpeg = encoded(SCENE, "JPEG", exif=b"Exif\0\0" + exif[6:])
    jpeg = exif_first(jpeg) if camera else jpeg
    assert read_header(jpeg).orientation == int(exif_orientation(tf.constant(jpeg)))


def test_a_share_of_the_hostile_images() -> None:
    tally = Tally()
    hostile.run(tally, 24, seed=3)
    assert tally.bad == 0, tally.found
    assert tally.counts["ok"] and tally.counts["refused"]


def test_damaged_pixels_are_found_by_the_check(tmp_path: Path) -> None:
    """Whatever training refuses, the check refuses: it reads at another scale."""
    rng = np.random.default_rng(8)
    for number in range(60):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(hostile.flips(rng, FILES["large.jpg"]))
        assert (check_image(path) is None) == trains(path)
