"""The script inside the detector's archive: picture files in, boxes with names and scores out.

It lies in `model.tar.gz` as `code/inference.py`. AWS's TensorFlow container imports it and calls
`handler` for every request, between the request and TensorFlow Serving. It may import nothing that
the container lacks, so nothing of the workshop.

    image/jpeg, image/png   the bytes of one file
    application/json        {"instances": [{"b64": "..."}, ...]}, files as base64; "threshold" and
                            "max_boxes" may stand beside

The answer has an entry for each picture, in order; a box is given in pixels of that picture, and
as shares of its sides:

    {"predictions": [{"height": 720, "width": 1280, "objects": [
        {"class": "person", "score": 0.98, "box": {"ymin": 10, ...}, "box_normalized": {...}}]},
                     {"error": "picture 1: expected a JPEG or PNG file, found ..."}]}

The custom attributes `threshold=0.5,max_boxes=20` say the same as their names in JSON. A broken
picture costs the others nothing. A request that has no good picture at all gets 400, a wrong type
415, too much at once 413; each with a message, and the server lives on.
"""

import base64
import json
import re
import struct
import sys
from http import HTTPStatus

THRESHOLD, MOST = 0.5, 50  # lowest score and boxes of a picture, where a request says nothing
MOST_BOXES = 300
MAX_PICTURES = 64  # in a request: a limit on the time that it takes
MAX_PIXELS = 50_000_000  # in a request: decoding holds 12 bytes a pixel, and cameras stay below
BATCH = 8  # pictures that go to TensorFlow Serving at once
PICTURE_TYPES = ("image/jpeg", "image/png")
JSON_TYPE = "application/json"
EXPECTED = 'expected {"instances": [{"b64": "..."}, ...]} with JPEG or PNG files as base64'
PNG_START = b"\x89PNG\r\n\x1a\n"
EDGES = ("ymin", "xmin", "ymax", "xmax")


class RefusedError(Exception):
    """A request that the sender can mend.

    Attributes:
        status: the HTTP status, 4xx.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def handler(data, context) -> tuple[str, str]:
    """Answers a request: called by the container.

    Args:
        data: a stream with the request's body.
        context: the container's description of the request.

    Returns:
        The body of the answer and its type.
    """
    try:
        answer = answer_request(data.read(), context)
    except RefusedError as refused:
        _set_status(refused)
        answer = {"error": str(refused)}
    return json.dumps(answer, ensure_ascii=False), JSON_TYPE


def answer_request(body: bytes, context, post=None) -> dict:
    """Answers the body of a request.

    Args:
        body: the request.
        context: has request_content_type, custom_attributes and rest_uri.
        post: sends (uri, data=...) to TensorFlow Serving; `requests.post` where None.

    Raises:
        RefusedError: the request is wrong.
    """
    kind = (context.request_content_type or "").partition(";")[0].strip().lower()
    if kind not in (*PICTURE_TYPES, JSON_TYPE):
        known = ", ".join((*PICTURE_TYPES, JSON_TYPE))
        raise RefusedError(415, f"expected the content type {known}, found {kind or 'none'!r}")
    if not body:
        raise RefusedError(400, "expected a picture, found an empty body")
    said = dict(re.findall(r"(\w+)=([^,;\s]*)", context.custom_attributes or ""))
    files, named = _files(body) if kind == JSON_TYPE else ([body], {})
    limits = {
        "threshold": _number(named | said, "threshold", THRESHOLD, 0.0, 1.0),
        "most": int(_number(named | said, "max_boxes", MOST, 1, MOST_BOXES)),
    }
    errors = _look_at(files)
    good = [number for number in range(len(files)) if number not in errors]
    found: dict[int, dict] = {}
    for first in range(0, len(good), BATCH):
        some = good[first : first + BATCH]
        rows = _predict([files[n] for n in some], limits, context.rest_uri, post or _post)
        found |= dict(zip(some, rows))
    errors |= {n: f"picture {n}: the file is damaged" for n, row in found.items() if row is None}
    if len(errors) == len(files):
        raise RefusedError(400, "; ".join(errors[number] for number in sorted(errors))[:2000])
    answers = [{"error": errors[n]} if n in errors else found[n] for n in range(len(files))]
    return {"predictions": answers}


def _number(said: dict, name: str, usual: float, least: float, most: float) -> float:
    found = said.get(name, usual)
    try:
        value = float(found)
        if isinstance(found, bool) or not least <= value <= most:
            raise ValueError
    except (TypeError, ValueError):
        wanted = f"expected {name} from {least:g} to {most:g}"
        raise RefusedError(400, f"{wanted}, found {str(found)[:40]!r}") from None
    return value


def _files(body: bytes) -> tuple[list[bytes], dict]:
    """Takes the files out of a JSON body."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise RefusedError(400, f"{EXPECTED}, found a body that is no JSON") from None
    instances = request.get("instances") if isinstance(request, dict) else None
    if not isinstance(instances, list) or not instances:
        raise RefusedError(400, f"{EXPECTED}, found no list 'instances', or an empty one")
    if len(instances) > MAX_PICTURES:
        found = f"expected at most {MAX_PICTURES} pictures in a request, found {len(instances)}"
        raise RefusedError(413, f"{found}. Send them in several requests")
    return [_file(instance) for instance in instances], request


def _file(instance) -> bytes:
    """Takes one file out of its JSON; what cannot be read becomes no bytes, and then an error."""
    text = instance.get("b64") if isinstance(instance, dict) else instance
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        return b""


def _look_at(files: list[bytes]) -> dict[int, str]:
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
        raise RefusedError(
            413,
            f"expected at most {limit} million pixels in a request, found {pixels:,}. Send "
            "smaller pictures, or fewer of them",
        )
    return errors


def picture_size(file: bytes) -> tuple[int, int] | None:
    """Reads (width, height) from the head of a JPEG or PNG file; None where it is neither."""
    if file[:8] == PNG_START:
        is_png = file[12:16] == b"IHDR" and len(file) >= 24
        return struct.unpack(">II", file[16:24]) if is_png else None
    return _jpeg_size(file) if file[:2] == b"\xff\xd8" else None


def _jpeg_size(file: bytes) -> tuple[int, int] | None:
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


def _post(uri: str, data: str):
    import requests

    return requests.post(uri, data=data, timeout=60)


def _predict(files: list[bytes], limits: dict, uri: str, post) -> list[dict | None]:
    """Asks for a batch. Serving refuses it as a whole: halving finds the file that is broken."""
    inputs = {"image_bytes": [{"b64": base64.b64encode(f).decode()} for f in files], **limits}
    response = post(uri, data=json.dumps({"signature_name": "detect", "inputs": inputs}))
    if response.status_code == 200:
        outputs = response.json()["outputs"]
        return [_named(outputs, row) for row in range(len(files))]
    if response.status_code != 400:
        raise RuntimeError(f"TensorFlow Serving answered {response.status_code}: {response.text}")
    if len(files) == 1:
        return [None]
    middle = len(files) // 2
    halves = (files[:middle], files[middle:])
    return [row for half in halves for row in _predict(half, limits, uri, post)]


def _named(outputs: dict, row: int) -> dict:
    count, (height, width) = outputs["count"][row], outputs["size"][row]
    columns = (outputs[name][row] for name in ("names", "scores", "boxes", "boxes_normalized"))
    objects = [
        {
            "class": name,
            "score": round(score, 4),
            "box": {edge: round(value, 1) for edge, value in zip(EDGES, box)},
            "box_normalized": {edge: round(value, 5) for edge, value in zip(EDGES, normalized)},
        }
        for name, score, box, normalized in list(zip(*columns))[:count]
    ]
    return {"height": height, "width": width, "objects": objects}


def _set_status(refused: RefusedError) -> None:
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
