"""What the endpoint runs around the exported detector: pictures in, boxes as JSON out.

AWS's TensorFlow container imports this file alone, at every request; it needs nothing but the
standard library and `requests`, which that container has.

A picture comes as `image/jpeg` or `image/png`, or a batch as `application/json`:

    {"images": ["<base64>", ...], "threshold": 0.5, "max_boxes": 20}

For single pictures the limits stand in the custom attributes: "threshold=0.5,max_boxes=20".
"""

import base64
import binascii
import json

THRESHOLD, MOST = 0.5, 50  # where a request does not say otherwise
MOST_PICTURES = 16  # in a request
MOST_BOXES = 300
MOST_BYTES = 6_000_000  # of a request's body: what SageMaker takes
MOST_PIXELS = 50_000_000  # of a PNG, which says so at its beginning
PICTURES = ("image/jpeg", "image/png", "application/x-image")
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


class BadRequestError(ValueError):
    """A request that cannot be answered; the message says what was expected and found.

    Attributes:
        status: the HTTP status, 4xx.
    """

    def __init__(self, message: str, status: int = 400):
        super().__init__(message)
        self.status = status


def handler(data, context):
    """Answers a request as AWS's container calls it.

    Args:
        data: file-like, the body.
        context: has request_content_type, accept_header, custom_attributes and rest_uri.

    Returns:
        The JSON's bytes and its content type.

    Raises:
        BadRequestError: the request is wrong; nothing was sent to the model.
    """
    import requests  # here: whoever tests the rest does not need it

    query = input_handler(data, context)
    return output_handler(requests.post(context.rest_uri, data=query, timeout=60), context)


def input_handler(data, context) -> str:
    """Turns a request into a query of TensorFlow Serving's REST API, in its columnar form."""
    body = data.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise BadRequestError(f"expected at most {MOST_BYTES:,} bytes, found more", 413)
    if not body:
        raise BadRequestError("expected a picture, found an empty body")
    kind = (context.request_content_type or "").partition(";")[0].strip().lower()
    if kind in PICTURES:
        pictures, limits = [body], _attributes(getattr(context, "custom_attributes", None))
    elif kind == "application/json":
        pictures, limits = _from_json(body)
    else:
        known = ", ".join([*PICTURES, "application/json"])
        raise BadRequestError(f"expected the content type {known}, found {kind!r}", 415)
    for number, picture in enumerate(pictures):
        _check_picture(picture, number)
    threshold = _number(limits, "threshold", THRESHOLD, 0.0, 1.0)
    most = int(_number(limits, "max_boxes", MOST, 1, MOST_BOXES))
    files = [{"b64": base64.b64encode(picture).decode()} for picture in pictures]
    inputs = {"image_bytes": files, "threshold": threshold, "most": most}
    return json.dumps({"signature_name": "detect", "inputs": inputs})


def output_handler(response, context) -> tuple[bytes, str]:
    """Turns TensorFlow Serving's answer into one object for each picture."""
    if response.status_code != 200:
        if b"image" in response.content.lower() or response.status_code == 400:
            raise BadRequestError("expected whole JPEG or PNG pictures, found one that is broken")
        raise RuntimeError(response.content.decode("utf-8", "replace")[:500])
    outputs = json.loads(response.content)["outputs"]
    answers = [_answer(outputs, row) for row in range(len(outputs["count"]))]
    return json.dumps({"predictions": answers}).encode(), "application/json"


def _answer(outputs: dict, row: int) -> dict:
    count, (height, width) = outputs["count"][row], outputs["size"][row]
    columns = (outputs[name][row] for name in ("names", "scores", "boxes", "boxes_normalized"))
    objects = [
        {
            "class": name,
            "score": round(score, 4),
            "box": _edges(box, 1),
            "box_normalized": _edges(normalized, 5),
        }
        for name, score, box, normalized in list(zip(*columns))[:count]
    ]
    return {"height": height, "width": width, "objects": objects}


def _edges(box: list, digits: int) -> dict:
    return {n: round(edge, digits) for n, edge in zip(("ymin", "xmin", "ymax", "xmax"), box)}


def _from_json(body: bytes) -> tuple[list, dict]:
    try:
        value = json.loads(body)
        texts = value["images"]
        if not isinstance(texts, list):
            raise TypeError("no list")
        pictures = [base64.b64decode(text, validate=True) for text in texts]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as error:
        raise BadRequestError(
            'expected {"images": [base64, ...]}, found another form '
            f"({type(error).__name__}: {str(error)[:80]})"
        ) from None
    if not 1 <= len(pictures) <= MOST_PICTURES:
        raise BadRequestError(f"expected 1 to {MOST_PICTURES} pictures, found {len(pictures)}")
    return pictures, value


def _check_picture(picture: bytes, number: int) -> None:
    if not picture.startswith(STARTS):
        raise BadRequestError(f"expected JPEG or PNG, found another format in picture {number}")
    if picture.startswith(STARTS[1]):
        width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
        if width * height > MOST_PIXELS:
            raise BadRequestError(
                f"expected at most {MOST_PIXELS:,} pixels, found {width:,} x {height:,} in "
                f"picture {number}"
            )


def _attributes(text: str | None) -> dict:
    pairs = (part.partition("=") for part in (text or "").split(","))
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _number(limits: dict, name: str, usual: float, least: float, most: float) -> float:
    found = limits.get(name, usual)
    try:
        value = float(found)
        if isinstance(found, bool) or not least <= value <= most:
            raise ValueError
    except (TypeError, ValueError):
        raise BadRequestError(
            f"{name}: expected a number from {least:g} to {most:g}, found {str(found)[:40]!r}"
        ) from None
    return value
