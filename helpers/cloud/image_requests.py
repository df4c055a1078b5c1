"""What every endpoint of images does with a request, before and after its network.

It is in `model.tar.gz` as `code/image_requests.py`, beside `inference.py` and `image_header.py`:
AWS's container has `code` on its path (see its serve.py). None may import what it lacks.

    image/jpeg, image/png   the bytes of one file
    application/json        {"instances": [{"b64": "..."}, ...]}, files as base64

The answer has an entry for each image, in order; a broken image does not affect the others. A
request without any good image gets 400, a wrong type 415, too much at once 413, with a message.
"""

import base64
import functools
import json
import sys
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

try:
    import image_header  # beside this file, in an archive
except ImportError:
    from helpers.manifest import image_header

IMAGE_TYPES = ("image/jpeg", "image/png")
JSON_TYPE = "application/json"
EXPECTED = 'expected {"instances": [{"b64": "..."}, ...]} with JPEG or PNG files as base64'


class RefusedError(Exception):
    """A request that the sender can fix, with its HTTP status, 4xx."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def respond(
    data: Any, context: Any, most: int, batch: int, prepare: Callable[[dict, Any], tuple]
) -> tuple[str, str]:
    """Returns body and type of what `answer_files` makes of a request, or of a refusal."""
    try:
        content = answer_files(data.read(), context, most, batch, prepare)
    except RefusedError as refused:
        _set_status(refused)
        content = {"error": str(refused)}
    return json.dumps(content, ensure_ascii=False), JSON_TYPE


def answer_files(
    body: bytes, context: Any, most: int, batch: int, prepare: Callable[[dict, Any], tuple]
) -> dict[str, list]:
    """Answers each of at most `most` image files; `batch` of them go to TensorFlow Serving at once.

    `prepare` takes what else the request's JSON says and the context, and returns two functions:
    the first makes the body for Serving of files as `{"b64": ...}`, the second takes Serving's
    answer and the number of files, and returns an answer for each.
    """
    files, said = _take_files(body, context.request_content_type, most)
    request, rows = prepare(said, context)
    errors = _look_at(files)
    good = [number for number in range(len(files)) if number not in errors]
    asked = [files[number] for number in good]
    answers = dict(zip(good, _ask_serving(asked, batch, context.rest_uri, request, rows)))
    for number, answer in answers.items():
        if answer is None:
            errors[number] = f"image {number}: the file is damaged"
    if len(errors) == len(files):
        raise RefusedError(400, "; ".join(errors[number] for number in sorted(errors))[:2000])
    answers |= {number: {"error": message} for number, message in errors.items()}
    return {"predictions": [answers[number] for number in range(len(files))]}


def _take_files(body: bytes, kind: str | None, most: int) -> tuple[list[bytes], dict]:
    kind = (kind or "").partition(";")[0].strip().lower()
    if kind not in (*IMAGE_TYPES, JSON_TYPE):
        known = ", ".join((*IMAGE_TYPES, JSON_TYPE))
        raise RefusedError(415, f"expected the content type {known}, found {kind or 'none'!r}")
    if not body:
        raise RefusedError(400, "expected an image, found an empty body")
    if kind != JSON_TYPE:
        return [body], {}
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise RefusedError(400, f"{EXPECTED}, found a body that is no JSON") from None
    instances = request.get("instances") if isinstance(request, dict) else None
    if not isinstance(instances, list):
        raise RefusedError(400, f"{EXPECTED}, found no list 'instances'")
    if not instances:
        raise RefusedError(400, f"{EXPECTED}, found an empty list")
    if len(instances) > most:
        found = f"expected at most {most} images in a request, found {len(instances)}"
        raise RefusedError(413, f"{found}. Send them in several requests")
    return [_file(instance) for instance in instances], request


def _file(instance: Any) -> bytes:
    """Returns no bytes for what cannot be read, which becomes an error later."""
    text = instance.get("b64") if isinstance(instance, dict) else instance
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        return b""


def _look_at(files: Sequence[bytes]) -> dict[int, str]:
    """Checks sizes before anything is decoded; returns image number to error."""
    errors, pixels = {}, 0
    for number, file in enumerate(files):
        found = f"{len(file)} bytes that are neither" if file else "nothing that can be read"
        try:
            if header := image_header.read_header(file):
                pixels, found = pixels + header.width * header.height, ""
        except image_header.ImageError as error:  # it may be a large one all the same
            pixels, found = pixels + error.pixels, error.found
        if found:
            errors[number] = f"image {number}: expected a JPEG or PNG file, found {found}"
    if pixels > image_header.MAX_PIXELS:
        limit = image_header.MAX_PIXELS // 1_000_000
        found = f"expected at most {limit} million pixels in a request, found {pixels:,}"
        raise RefusedError(413, f"{found}. Send smaller images, or fewer of them")
    return errors


def _ask_serving(
    files: Sequence[bytes], batch: int, uri: str, request: Callable, rows: Callable
) -> list:
    """Returns Serving's answer for each file, None where it cannot decode one.

    It refuses a batch as a whole: halving it finds the broken file.
    """
    if not files:
        return []
    if len(files) <= batch:
        coded = [{"b64": base64.b64encode(file).decode()} for file in files]
        status, answer = _post(uri, json.dumps(request(coded)))
        if status == 200:
            return rows(json.loads(answer), len(files))
        if status != 400:
            said = answer.decode("utf-8", "replace")
            raise RuntimeError(f"TensorFlow Serving answered {status}: {said}")
        if len(files) == 1:
            return [None]
        batch = -(-len(files) // 2)
    first = _ask_serving(files[:batch], batch, uri, request, rows)
    return first + _ask_serving(files[batch:], batch, uri, request, rows)


def _post(uri: str, body: str) -> tuple[int, bytes]:
    headers = {"Content-Type": JSON_TYPE}
    answer = _connections().request("POST", uri, body=body, headers=headers, timeout=60)
    return answer.status, answer.data


@functools.lru_cache(maxsize=1)
def _connections():
    import urllib3  # as `requests`, which the container has too, costs a millisecond more

    return urllib3.PoolManager()


def _set_status(refused: RefusedError) -> None:
    """Sets the status of the answer to 4xx.

    The container sets 200, calls `handler`, makes 500 of every exception, and offers nothing else;
    but its response is the caller's variable `res`. Without one (another version), it stays 500.
    """
    frame = sys._getframe(1)
    while frame is not None:
        response = frame.f_locals.get("res")
        if hasattr(response, "status"):
            response.status = f"{refused.status} {HTTPStatus(refused.status).phrase}"
            return
        frame = frame.f_back
    raise refused
