"""The script inside the archive: picture files in, the top classes with their probabilities out.

It lies in `model.tar.gz` as `code/inference.py`, beside `code/labels.json`. AWS's TensorFlow
container imports it and calls `handler` for every request, between the request and TensorFlow
Serving. It may import nothing that the container lacks, so nothing of the workshop. The module
level stays light, as the container may import it again at any request.

    image/jpeg, image/png   the bytes of one file
    application/json        {"instances": [{"b64": "..."}, ...]}, files as base64

The answer has an entry for each picture, in order:

    {"predictions": [{"sign": [{"class": "19", "name": "curve left", "probability": 0.98}, ...]},
                     {"error": "picture 1: expected a JPEG or PNG file, found ..."}]}

The custom attribute `top=3` (or `top=all`) says how many classes of each task are wanted. A broken
picture costs the others nothing. A request that has no good picture at all gets 400, a wrong type
415, too much at once 413; each with a message, and the server lives on.
"""

import base64
import functools
import json
import re
import struct
import sys
from http import HTTPStatus
from pathlib import Path

TOP = 5  # classes of each task in an answer, unless the request asks for another number
MAX_PICTURES = 512  # in a request: a limit on the time that it takes
MAX_PIXELS = 50_000_000  # in a request: decoding holds 12 bytes a pixel, and cameras stay below
BATCH = 64  # pictures that go to TensorFlow Serving at once
PICTURE_TYPES = ("image/jpeg", "image/png")
JSON_TYPE = "application/json"
EXPECTED = 'expected {"instances": [{"b64": "..."}, ...]} with JPEG or PNG files as base64'
PNG_START = b"\x89PNG\r\n\x1a\n"


class Refused(Exception):
    """A request that the sender can mend."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def handler(data, context):
    """Answers a request: called by the container.

    Args:
        data: a stream with the request's body.
        context: the container's description of the request.

    Returns:
        The body of the answer and its type.
    """
    try:
        answer = _answer(data.read(), context)
    except Refused as refused:
        _set_status(refused)
        answer = {"error": str(refused)}
    return json.dumps(answer, ensure_ascii=False), JSON_TYPE


def _answer(body, context):
    kind = (context.request_content_type or "").partition(";")[0].strip().lower()
    if kind not in (*PICTURE_TYPES, JSON_TYPE):
        known = ", ".join((*PICTURE_TYPES, JSON_TYPE))
        raise Refused(415, f"expected the content type {known}, found {kind or 'none'!r}")
    top = _wanted(context.custom_attributes)
    if not body:
        raise Refused(400, "expected a picture, found an empty body")
    files = _files(body) if kind == JSON_TYPE else [body]
    errors = _look_at(files)
    good = [number for number in range(len(files)) if number not in errors]
    rows, broken = _predict([files[number] for number in good], context.rest_uri)
    errors.update({good[i]: f"picture {good[i]}: the file is damaged" for i in broken})
    if len(errors) == len(files):
        raise Refused(400, "; ".join(errors[number] for number in sorted(errors))[:2000])
    answers = dict(zip(good, rows))
    return {
        "predictions": [
            {"error": errors[number]} if number in errors else _named(answers[number], top)
            for number in range(len(files))
        ]
    }


def _wanted(attributes):
    found = re.search(r"(?:^|[,;\s])top=([^,;\s]*)", attributes or "")
    if not found:
        return TOP
    if found[1] == "all":
        return sys.maxsize
    if not re.fullmatch(r"[1-9]\d{0,5}", found[1]):
        raise Refused(400, f"expected top=all or a number such as top=5, found top={found[1]}")
    return int(found[1])


def _files(body):
    """Takes the files out of a JSON body."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise Refused(400, f"{EXPECTED}, found a body that is no JSON") from None
    instances = request.get("instances") if isinstance(request, dict) else None
    if not isinstance(instances, list):
        raise Refused(400, f"{EXPECTED}, found no list 'instances'")
    if not instances:
        raise Refused(400, f"{EXPECTED}, found an empty list")
    if len(instances) > MAX_PICTURES:
        found = f"expected at most {MAX_PICTURES} pictures in a request, found {len(instances)}"
        raise Refused(413, f"{found}. Send them in several requests")
    return [_file(instance) for instance in instances]


def _file(instance):
    """Takes one file out of its JSON; what cannot be read becomes no bytes, and then an error."""
    text = instance.get("b64") if isinstance(instance, dict) else instance
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        return b""


def _look_at(files):
    """Looks at sizes before anything is decoded; returns picture number to what is wrong."""
    errors, pixels = {}, 0
    for number, file in enumerate(files):
        size = picture_size(file)
        if size is None or 0 in size:
            found = f"{len(file)} bytes that are neither" if file else "nothing that can be read"
            errors[number] = f"picture {number}: expected a JPEG or PNG file, found {found}"
        else:
            pixels += size[0] * size[1]
    if pixels > MAX_PIXELS:
        limit = MAX_PIXELS // 1_000_000
        raise Refused(
            413,
            f"expected at most {limit} million pixels in a request, found {pixels:,}. Send "
            "smaller pictures, or fewer of them",
        )
    return errors


def picture_size(file):
    """Reads (width, height) from the head of a JPEG or PNG file; None where it is neither."""
    if file[:8] == PNG_START:
        return struct.unpack(">II", file[16:24]) if file[12:16] == b"IHDR" else None
    return _jpeg_size(file) if file[:2] == b"\xff\xd8" else None


def _jpeg_size(file):
    """Walks from segment to segment to the frame header, which has the size."""
    at = 2
    while at + 9 <= len(file):
        if file[at] != 0xFF:
            return None
        marker = file[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", file[at + 5 : at + 9])
            return width, height
        elif marker in (0x01, *range(0xD0, 0xD9)):  # without a length
            at += 2
        else:
            at += 2 + int.from_bytes(file[at + 2 : at + 4], "big")
    return None


def _predict(files, uri):
    """Asks TensorFlow Serving; returns a row for each file, and the numbers of broken ones."""
    rows, broken = [], []
    for start in range(0, len(files), BATCH):
        for number, row in enumerate(_predict_some(files[start : start + BATCH], uri), start):
            rows.append(row)
            if row is None:
                broken.append(number)
    return rows, broken


def _predict_some(files, uri):
    """Predicts a batch. Serving refuses it as a whole: halving finds the file that is broken."""
    body = json.dumps({"instances": [{"b64": base64.b64encode(f).decode()} for f in files]})
    response = _connection().post(uri, data=body)
    if response.status_code == 200:
        return response.json()["predictions"]
    if response.status_code != 400:
        raise RuntimeError(f"TensorFlow Serving answered {response.status_code}: {response.text}")
    if len(files) == 1:
        return [None]
    middle = len(files) // 2
    return _predict_some(files[:middle], uri) + _predict_some(files[middle:], uri)


@functools.lru_cache(maxsize=1)
def _connection():
    import requests

    return requests.Session()  # keeps the connection: opening one takes longer than a prediction


@functools.lru_cache(maxsize=1)
def _labels():
    return json.loads(Path(__file__).with_name("labels.json").read_text(encoding="utf-8"))


def _named(row, top):
    """Names the probabilities of one picture; a single task comes without its name."""
    labels = _labels()
    tasks = labels["tasks"]
    tables = row if isinstance(row, dict) else {next(iter(tasks)): row}
    answer = {}
    for task, classes in tasks.items():
        ranked = sorted(zip(tables[task], classes), reverse=True)[:top]
        shown = labels.get("display", {}).get(task, {})
        answer[task] = [
            {"class": c, **({"name": shown[c]} if c in shown else {}), "probability": round(p, 6)}
            for p, c in ranked
        ]
    return answer


def _set_status(refused):
    """Sets the status of the answer to 4xx.

    The container sets 200, calls `handler`, and makes 500 of every exception. It hands over no
    way to answer anything else, but its response is the variable `res` of whoever called us.
    Where there is none (another version of the container), the message goes out with a 500.
    """
    frame = sys._getframe(1)
    while frame is not None:
        response = frame.f_locals.get("res")
        if hasattr(response, "status"):
            response.status = f"{refused.status} {HTTPStatus(refused.status).phrase}"
            return
        frame = frame.f_back
    raise refused
