"""The script inside the archive, called as AWS's container calls it, before a stand-in network."""

import base64
import io
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers.cloud import IMAGE_REQUESTS
from helpers.cloud.rehearsal.container import Context, find_model, load_script
from helpers.common import write_json
from helpers.manifest import IMAGE_HEADER
from tests.image_files import BROKEN, FILES

SCRIPT = Path(__file__).parent.parent / "helpers" / "cloud" / "inference.py"
DETECTOR = SCRIPT.parent.parent / "detection" / "inference.py"
LABELS = {
    "tasks": {"color": ["red", "green", "blue"], "gender": ["male", "female"]},
    "display": {"gender": {"male": "Mann"}},
}
ROW = {"color": [0.2, 0.7, 0.1], "gender": [0.9, 0.1]}
JPEG, PNG = FILES["baseline.jpg"], FILES["color.png"]
TABLE = JPEG.index(b"\xff\xc4") + 5
DAMAGED = JPEG[:TABLE] + b"\xff" * 16 + JPEG[TABLE + 16 :]  # only its decoder finds out


class Serving:
    """Stands in for TensorFlow Serving: refuses a batch with a damaged file, as that does."""

    def __init__(self):
        self.batches: list[int] = []
        self.row: object = ROW
        self.status = 200

    def post(self, uri: str, body: str) -> tuple[int, bytes]:
        assert uri == "http://serving:predict"
        files = [base64.b64decode(item["b64"]) for item in json.loads(body)["instances"]]
        self.batches.append(len(files))
        status = 400 if DAMAGED in files else self.status
        said = json.dumps({"predictions": [self.row] * len(files)}) if status == 200 else "said"
        return status, said.encode()


def pack(script: Path, folder: Path) -> None:
    """Lays out the scripts as `archive_folder` packs them."""
    folder.mkdir()
    shutil.copy(script, folder / "inference.py")
    shutil.copy(IMAGE_REQUESTS, folder)
    shutil.copy(IMAGE_HEADER, folder)


@pytest.fixture
def script(tmp_path: Path, monkeypatch) -> Iterator:
    """The script, imported from an archive's folder."""
    pack(SCRIPT, tmp_path / "code")
    write_json(tmp_path / "code" / "labels.json", LABELS)
    before = list(sys.path)
    module = load_script(tmp_path)
    module.serving = Serving()
    monkeypatch.setattr(module.requested, "_post", module.serving.post)
    yield module
    sys.path[:] = before
    for name in ("image_requests", "image_header"):  # the next archive brings its own
        sys.modules.pop(name, None)


def ask(script, body: bytes, kind: str = "application/json", attributes: str | None = None):
    """Calls the handler as AWS's service does: status and answer."""
    res = SimpleNamespace(status="200 OK", content_type="application/json")
    context = Context(
        None, None, "predict", "http://serving:predict", None, None, attributes, kind,
        "application/json", len(body),
    )  # fmt: skip
    try:
        res.body, res.content_type = script.handler(io.BytesIO(body), context)
    except Exception as error:
        res.status, res.body = "500 Internal Server Error", json.dumps({"error": str(error)})
    assert res.content_type == "application/json"
    return int(res.status[:3]), json.loads(res.body)


def batch(*files: bytes) -> bytes:
    coded = [{"b64": base64.b64encode(file).decode()} for file in files]
    return json.dumps({"instances": coded}).encode()


@pytest.mark.parametrize("file, kind", [(JPEG, "image/jpeg"), (PNG, "image/png; q=1")])
def test_one_file_gets_named_classes(script, file, kind):
    status, answer = ask(script, file, kind)
    assert status == 200
    (found,) = answer["predictions"]
    assert [entry["class"] for entry in found["color"]] == ["green", "red", "blue"]
    assert found["gender"][0] == {"class": "male", "name": "Mann", "probability": 0.9}


def test_a_single_task_comes_without_its_name_and_goes_out_with_it(script):
    script._labels = lambda: {"tasks": {"sign": ["a", "b"]}}
    script.serving.row = [0.25, 0.75]
    _, answer = ask(script, JPEG, "image/jpeg", "top=1")
    assert answer == {"predictions": [{"sign": [{"class": "b", "probability": 0.75}]}]}


@pytest.mark.parametrize("wanted, count", [("top=1", 1), ("a=b,top=2", 2), ("top=all", 3)])
def test_the_request_says_how_many_classes_it_wants(script, wanted, count):
    _, answer = ask(script, JPEG, "image/jpeg", wanted)
    assert len(answer["predictions"][0]["color"]) == count


def test_a_batch_keeps_its_order_and_goes_to_serving_at_once(script):
    status, answer = ask(script, batch(*[JPEG] * 70))
    assert status == 200 and len(answer["predictions"]) == 70
    assert script.serving.batches == [64, 6]


def test_broken_images_cost_the_others_nothing(script):
    files = [JPEG, b"text", PNG, DAMAGED, JPEG, b""]
    status, answer = ask(script, batch(*files))
    assert status == 200
    errors = {i: a["error"] for i, a in enumerate(answer["predictions"]) if "error" in a}
    assert sorted(errors) == [1, 3, 5]
    assert errors[3] == "image 3: the file is damaged"
    assert all("color" in answer["predictions"][i] for i in (0, 2, 4))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_alone_is_400_and_named(script, name):
    status, answer = ask(script, BROKEN[name], "image/jpeg")
    assert status == 400
    assert answer["error"].startswith("image 0:") or not BROKEN[name]


@pytest.mark.parametrize(
    "body, kind, status, words",
    [
        (JPEG, "text/csv", 415, "expected the content type image/jpeg, image/png"),
        (b"", "image/jpeg", 400, "an empty body"),
        (b"", "application/json", 400, "an empty body"),
        (b"{", "application/json", 400, "no JSON"),
        (b"\xff\xfe", "application/json", 400, "no JSON"),
        (b"[" * 100_000, "application/json", 400, "no JSON"),
        (b"[1]", "application/json", 400, "no list 'instances'"),
        (b'{"instances": 5}', "application/json", 400, "no list 'instances'"),
        (b'{"instances": []}', "application/json", 400, "an empty list"),
        (b'{"instances": [{"b64": 5}]}', "application/json", 400, "nothing that can be read"),
        (b'{"instances": [[[0, 1]]]}', "application/json", 400, "nothing that can be read"),
        (json.dumps({"instances": [""] * 513}).encode(), "application/json", 413, "at most 512"),
    ],
)
def test_what_the_sender_can_mend_is_4xx_with_a_message(script, body, kind, status, words):
    found, answer = ask(script, body, kind)
    assert found == status
    assert words in answer["error"]


def test_a_wrong_number_of_classes_is_400(script):
    assert ask(script, JPEG, "image/jpeg", "top=none")[0] == 400


def test_pixels_are_counted_before_anything_is_decoded(script):
    head = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 20_000, 20_000)
    status, answer = ask(script, head + bytes(50), "image/png")
    assert status == 413 and "400,000,000" in answer["error"]
    assert script.serving.batches == []
    half = head[:16] + struct.pack(">II", 6_000, 5_000) + bytes(50)
    assert ask(script, batch(half, half))[0] == 413  # together, too


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".jpg", ".png"))])
def test_sizes_are_read_from_the_head(script, name):
    from PIL import Image, ImageOps

    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(FILES[name])))
    assert script.requested.image_header.read_header(FILES[name])[1:3] == shown.size


def test_what_serving_cannot_do_is_500(script):
    script.serving.status = 503
    status, answer = ask(script, JPEG, "image/jpeg")
    assert status == 500 and "503" in answer["error"]


def test_without_a_response_to_set_the_message_goes_out_as_an_error(script):
    context = Context(*[None] * 7, "text/csv", None, 0)
    with pytest.raises(script.requested.RefusedError, match="content type"):
        script.handler(io.BytesIO(b"x"), context)


@pytest.mark.parametrize("script", [SCRIPT, DETECTOR], ids=["classifier", "detector"])
def test_the_scripts_need_nothing_of_the_workshop(script, tmp_path):
    pack(script, tmp_path / "code")
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path / "code")!r})
import inference
print(inference.requested.__file__)
"""
    # -S: without the packages that are installed, and so without the workshop
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(tmp_path / "code" / "image_requests.py")


def test_a_png_that_ends_in_its_head_is_refused(script):
    status, answer = ask(script, PNG[:20], "image/png")
    assert status == 400 and "without its end" in answer["error"]


def test_an_archive_without_a_network_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"1/saved_model.pb"):
        find_model(tmp_path)
