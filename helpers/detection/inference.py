"""`code/inference.py` in the detector's `model.tar.gz`: image files in, boxes and scores out.

As `helpers/cloud/inference.py` for the classifier. "threshold" and "max_boxes" may stand beside
"instances" in JSON, or as custom attributes: `threshold=0.5,max_boxes=20`. Boxes are in pixels, and
normalized:

    {"predictions": [{"height": 720, "width": 1280, "objects": [
        {"class": "person", "score": 0.98, "box": {"ymin": 10, ...}, "box_normalized": {...}}]}]}
"""

import re

try:
    import image_requests as requested  # beside this file, in an archive
except ImportError:
    from helpers.cloud import image_requests as requested

THRESHOLD, MOST = 0.5, 50  # default lowest score, and most boxes of an image
MOST_BOXES = 300
MAX_IMAGES = 64  # in a request, so that it does not take too long
BATCH = 8  # images that go to TensorFlow Serving at once
EDGES = ("ymin", "xmin", "ymax", "xmax")


def handler(data, context) -> tuple[str, str]:
    """Responds to a request; called by the container."""
    return requested.respond(data, context, MAX_IMAGES, BATCH, answer_request)


def answer_request(said: dict, context) -> tuple:
    """Returns how to ask TensorFlow Serving, and how to read its answer."""
    said = said | dict(re.findall(r"(\w+)=([^,;\s]*)", context.custom_attributes or ""))
    limits = {
        "threshold": _number(said, "threshold", THRESHOLD, 0.0, 1.0),
        "most": int(_number(said, "max_boxes", MOST, 1, MOST_BOXES)),
    }
    return (
        lambda files: {"signature_name": "detect", "inputs": {"image_bytes": files, **limits}},
        lambda answer, count: [_named(answer["outputs"], row) for row in range(count)],
    )


def _number(said: dict, name: str, usual: float, least: float, most: float) -> float:
    found = said.get(name, usual)
    try:
        value = float(found)
        if isinstance(found, bool) or not least <= value <= most:
            raise ValueError
    except (TypeError, ValueError, OverflowError):  # the last for an integer of 400 digits
        wanted = f"expected {name} from {least:g} to {most:g}"
        raise requested.RefusedError(400, f"{wanted}, found {str(found)[:40]!r}") from None
    return value


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
