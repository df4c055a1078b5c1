"""Damaged, lying and special files as images: all who read images see the same, or all refuse.

The manifest's check, the decoder of training, `helpers.predict`, the SavedModel and the endpoint's
handler are asked one after the other, in this process. An endpoint takes JPEG and PNG alone.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from helpers.cloud import image_requests
from helpers.cloud.rehearsal.container import load_model
from helpers.common import WorkshopError, tf
from helpers.manifest import Labels, check_image
from helpers.manifest.image_header import JPEG_START, PNG_START
from helpers.pipeline.decode import read_image
from helpers.predict import litert
from helpers.predict.export import export_saved_model
from tests.hostile import Tally
from tests.image_files import FILES, SCENE, encoded
from tests.saved_model import SavedModelPredictor

COUNT = 500
SIZE = (32, 16)
SECONDS = 20  # for all readers of a file together
GROWTH = 250_000  # KB that the highest memory may grow by while one file is read
LEVELS = 2.0  # of 255: two computations of a pixel
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n"


def png_pieces(data: bytes) -> list[bytes]:
    """Returns a PNG's chunks as type and content."""
    at, pieces = 8, []
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        pieces.append(data[at + 4 : end])
        at = end + 4
    return pieces


def png(pieces: list[bytes]) -> bytes:
    """Makes a PNG of chunks, with right checksums."""
    whole = (struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in pieces)
    return PNG_START + b"".join(whole)


def jpeg_frame(data: bytes) -> int:
    """Returns where the frame header's height is."""
    return next(at for c in (b"\xff\xc0", b"\xff\xc2") if (at := data.find(c)) > 0) + 5


def flips(rng, data: bytes) -> bytes:
    bytes_ = bytearray(data)
    reach = len(data) if rng.random() < 0.5 else min(len(data), 700)
    for at in rng.integers(0, reach, rng.integers(1, 5)):
        bytes_[at] ^= 1 << rng.integers(8)
    whole = bytes(bytes_)
    if whole.startswith(PNG_START) and rng.random() < 0.7:
        return png(png_pieces(whole))
    return whole


def cuts(rng, data: bytes) -> bytes:
    cut = data[: rng.integers(0, len(data))]
    end = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"\0\0\0\0IEND\xaeB`\x82"}.get(data[:2], b"")
    return cut + end if rng.random() < 0.4 else cut


def swapped_heads(rng, data: bytes) -> bytes:
    other, at = any_file(rng), rng.integers(2, 300)
    return other[:at] + data[at:]


def bombs(rng, data: bytes) -> bytes:
    sides = [int(side) for side in rng.choice([8_000, 20_000, 30_000, 65_500], 2)]
    if data.startswith(JPEG_START):
        at = jpeg_frame(data)
        lies = data[:at] + struct.pack(">HH", *sides) + data[at + 4 :]
        hidden = b"\xff\x00\x00\x0b\x08\0\x08\0\x08\x01\x01\x11\x00" if rng.random() < 0.5 else b""
        return lies[:2] + hidden + lies[2:]
    if data.startswith(PNG_START):
        first, *rest = png_pieces(data)
        return png([b"IHDR" + struct.pack(">II", *sides) + first[12:], *rest])
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<ii", sides[0], -sides[1]) + data[26:]
    return data[:6] + struct.pack("<HH", *sides) + data[10:]


def jpeg_segments(rng, data: bytes) -> bytes:
    """Puts something between the first segments of a JPEG, or behind it."""
    if not data.startswith(JPEG_START):
        data = FILES["baseline.jpg"]
    frame = data[jpeg_frame(data) - 5 :][:19]
    thumbnail = encoded(SCENE.resize((9, 9)), "JPEG")
    things = [
        b"\xff\xff\xff", b"\0\0", b"\xff\0", b"\xff\xd8", b"\xff\xd0", b"\xff\x01", frame,
        b"\xff\xfe\0\x06text", b"\xff\xdc\0\x04\0\x09", b"\xff\xdd\0\x04\0\x02",
        b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail, b"\xff\xfe\0\0",
        b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([rng.integers(3)]), b"\xff\xf0\0\2",
        b"\xff\xe0\0\x05JFI", b"\xff\xe2\0\x10MPF\0II*\0\xff\xff\xff\xff\0\0", b"\xff\xd9",
    ]  # fmt: skip
    thing = things[rng.integers(len(things))]
    place = 4 + int.from_bytes(data[4:6]) if rng.random() < 0.5 else jpeg_frame(data) - 5
    place = len(data) if rng.random() < 0.15 else place
    return data[:place] + thing + data[place:]


def colors(rng, data: bytes) -> bytes:
    """CMYK, with Adobe's marker or without, with each transform; a frame with other letters."""
    data = FILES[str(rng.choice(["cmyk.jpg", "baseline.jpg", "full_color.jpg"]))]
    at = data.find(b"\xff\xee")
    way = rng.integers(3)
    if at > 0 and way < 2:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if way == 0:
            return data[:at] + data[end:]
        return data[: end - 1] + bytes([rng.integers(4)]) + data[end:]
    frame = jpeg_frame(data) + 5
    changed = bytearray(data)
    for number in range(data[frame - 1]):
        changed[frame + 3 * number] = b"RGBK"[number]
    return bytes(changed)


def png_order(rng, data: bytes) -> bytes:
    """Pieces of a PNG left out, repeated, exchanged, put in, or with a wrong checksum."""
    if not data.startswith(PNG_START):
        data = FILES["palette.png"]
    pieces = png_pieces(data)
    more = [b"tEXtKey\0text", b"acTL\0\0\0\1\0\0\0\0", b"CgBI\0\0\0\0", b"iCCPx\0\0no", b"tRNS\0\1"]
    pieces.insert(rng.integers(1, len(pieces)), more[rng.integers(len(more))])
    at, other = rng.integers(0, len(pieces), 2)
    way = rng.integers(5)
    if way == 0:
        del pieces[at]
    elif way == 1:
        pieces.insert(other, pieces[at])
    elif way == 2:
        pieces[at], pieces[other] = pieces[other], pieces[at]
    whole = bytearray(png(pieces))
    if way == 3:
        whole[8 + 12 * int(at) + sum(len(p) - 4 for p in pieces[: at + 1]) + 11] ^= 1
    return bytes(whole)


def foreign(rng, data: bytes) -> bytes:
    kinds = ["TIFF", "WEBP", "PPM", "ICO", "TGA", "JPEG2000"]
    moving = {"save_all": True, "append_images": [SCENE.rotate(180)]}
    choices = [EPS, b"8BPS" + bytes(40), bytes(rng.integers(0, 256, 500).astype(np.uint8)), b""]
    choices += [encoded(SCENE, kind) for kind in kinds]
    choices += [encoded(SCENE, kind, **moving) for kind in ("GIF", "PNG")]
    choices += [encoded(SCENE.convert(mode), "BMP") for mode in ("1", "P", "L", "RGBA")]
    return choices[rng.integers(len(choices))]


def any_file(rng) -> bytes:
    return list(FILES.values())[rng.integers(len(FILES))]


WAYS = (flips, flips, cuts, swapped_heads, bombs, jpeg_segments, colors, png_order, foreign)


def special(rng, path: Path) -> str:
    """Makes something else than a regular file at `path`."""
    way = str(rng.choice(["pipe", "socket", "folder", "zero", "null", "loop", "gone", "sparse"]))
    if way == "pipe":
        os.mkfifo(path)
    elif way == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(path))
    elif way == "folder":
        path.mkdir()
    elif way == "sparse":
        with path.open("wb") as file:
            file.truncate(10**12)
    else:
        target = {"zero": "/dev/zero", "null": "/dev/null", "loop": path, "gone": path / "no"}
        path.symlink_to(target[way])
    return way


class Readers:
    """All who read images; the network of the SavedModel answers with the pixels themselves."""

    def __init__(self, folder: Path):
        from helpers.common import keras

        pixels = keras.Input((*SIZE, 3))
        flat = keras.layers.Flatten(name="pixels")(pixels)
        more = keras.layers.GlobalAveragePooling2D(name="mean")(pixels)
        model = keras.Model(pixels, {"pixels": flat, "mean": more})
        values = map(str, range(SIZE[0] * SIZE[1] * 3))
        labels = Labels({"pixels": tuple(values), "mean": ("r", "g", "b")})
        labels.write(folder / "labels.json")
        export_saved_model(model, labels, folder / "saved_model")
        self._saved = SavedModelPredictor(folder)
        self._serve = load_model(folder / "saved_model")
        image_requests._post = self._post

    def _post(self, uri: str, body: str) -> tuple[int, bytes]:

        try:
            return 200, json.dumps(self._serve(json.loads(body))).encode()
        except (tf.errors.OpError, ValueError, TypeError, KeyError):
            return 400, b"{}"

    def pixels(self, path: Path) -> dict[str, np.ndarray | str | None]:
        """What each reader sees: pixels, None where it only checks, or why it refuses."""
        seen: dict[str, Any] = {}
        problem = check_image(path)
        seen["check"] = f"refused: {problem.found}" if problem else None
        seen["predict"] = refusing(lambda: litert.decode_image(path, SIZE))
        seen["training"] = refusing(lambda: read_image(str(path), SIZE).numpy())
        if path.is_file() and path.stat().st_size < 10**8:
            data = path.read_bytes()
            saved = refusing(lambda: self._saved.predict_bytes([data])["pixels"])
            seen["saved model"] = saved if isinstance(saved, str) else saved.reshape(*SIZE, 3)
            if data.startswith((JPEG_START, PNG_START)):
                seen["endpoint"] = self._endpoint(data)
        return seen

    def _endpoint(self, data: bytes) -> np.ndarray | str:
        context = SimpleNamespace(request_content_type="image/jpeg", rest_uri="")
        asked = (lambda files: {"instances": files}), (lambda answer, _: answer["predictions"])
        try:
            answer = image_requests.answer_files(data, context, 1, 1, lambda *_: asked)
        except image_requests.RefusedError as refused:
            return f"refused: {refused.status} {refused}"
        return np.reshape(answer["predictions"][0]["pixels"], (*SIZE, 3))


def refusing(read: Callable[[], np.ndarray]) -> np.ndarray | str:
    try:
        return read()
    except (WorkshopError, tf.errors.OpError) as error:
        return f"refused: {str(error)[:150]}"


@contextmanager
def limited() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(seen: dict[str, Any]) -> tuple[str, str]:
    """Returns the outcome, see `Tally.add`, and what each reader said."""
    refusing = {name: isinstance(found, str) for name, found in seen.items()}
    told = "; ".join(f"{n}: {f if isinstance(f, str) else 'read'}" for n, f in seen.items())
    if len(set(refusing.values())) > 1:
        return "wrong", told
    if all(refusing.values()):
        return "refused", told
    first, *others = [np.asarray(f, float) for f in seen.values() if f is not None]
    far = max((np.abs(first - other).max() for other in others), default=0)
    return ("wrong", f"{far} levels apart") if far > LEVELS else ("ok", told)


def run(tally: Tally, count: int, seed: int) -> None:
    """Makes `count` files, and shows each to all readers."""
    rng = np.random.default_rng(seed)
    Image.MAX_IMAGE_PIXELS, before = 10**9, Image.MAX_IMAGE_PIXELS  # quiet about bombs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        readers = Readers(folder)
        for suffix in (".jpg", ".png"):  # traces, so that memory is compared with memory in use
            (folder / f"first{suffix}").write_bytes(FILES[f"large{suffix}"])
            readers.pixels(folder / f"first{suffix}")
        for number in range(count):
            path = folder / f"{number}{rng.choice(['.jpg', '.png', '.bmp', '.gif'])}"
            if number % 12 == 0:
                way = special(rng, path)
            else:
                make = WAYS[number % len(WAYS)]
                way = make.__name__
                path.write_bytes(make(rng, any_file(rng)))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                with limited():
                    outcome, told = judge(readers.pixels(path))
            except TimeoutError:
                outcome, told = "hang", ""
            except Exception as error:
                outcome, told = "traceback", repr(error)[:300]
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
            if grown > GROWTH:
                outcome, told = "wrong", f"{grown / 1e3:.0f} MB more memory"
            tally.add(outcome, f"file {number} of seed {seed}, {way}: {told}")
            if outcome in ("ok", "refused") and not path.is_dir():
                path.unlink()
    Image.MAX_IMAGE_PIXELS = before
