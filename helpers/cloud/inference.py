"""The script inside the archive: image files in, the top classes with their probabilities out.

It is in `model.tar.gz` as `code/inference.py`, beside `labels.json` and `image_requests.py`, which
says what a script may import. AWS's TensorFlow container calls `handler`. The answer is:

    {"predictions": [{"sign": [{"class": "19", "name": "curve left", "probability": 0.98}, ...]},
                     {"error": "image 1: expected a JPEG or PNG file, found ..."}]}

The custom attribute `top=3` (or `top=all`) says how many classes of each task are wanted.
"""

import functools
import json
import re
import sys
from pathlib import Path

try:
    import image_requests as requested  # beside this file, in an archive
except ImportError:
    from helpers.cloud import image_requests as requested

TOP = 5  # classes of each task in an answer, unless the request asks for another number
MAX_IMAGES = 512  # in a request: a limit on the time that it takes
BATCH = 64  # images that go to TensorFlow Serving at once


def handler(data, context) -> tuple[str, str]:
    """Called by the container."""
    return requested.respond(data, context, MAX_IMAGES, BATCH, answer_request)


def answer_request(_: dict, context) -> tuple:
    """Returns how to ask TensorFlow Serving, and how to read its answer."""
    top = _wanted(context.custom_attributes)
    return (
        lambda instances: {"instances": instances},
        lambda answer, _: [_named(row, top) for row in answer["predictions"]],
    )


def _wanted(attributes: str | None) -> int:
    found = re.search(r"(?:^|[,;\s])top=([^,;\s]*)", attributes or "")
    if not found:
        return TOP
    if found[1] == "all":
        return sys.maxsize
    if not re.fullmatch(r"[1-9]\d{0,5}", found[1]):
        message = f"expected top=all or a number such as top=5, found top={found[1]}"
        raise requested.RefusedError(400, message)
    return int(found[1])


@functools.lru_cache(maxsize=1)
def _labels() -> dict:
    return json.loads(Path(__file__).with_name("labels.json").read_text(encoding="utf-8"))


def _named(row, top: int) -> dict:
    """Names the probabilities of one image; Serving leaves out the name of a single task."""
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
