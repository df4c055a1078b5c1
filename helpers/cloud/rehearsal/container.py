"""The inside of AWS's TensorFlow inference container, as far as an archive notices.

    python -m helpers.cloud.rehearsal.container FOLDER LIMIT

FOLDER/model is an unpacked `model.tar.gz`; the address goes into FOLDER/address when the model is
loaded. Like AWS's Python service (sagemaker-tensorflow-serving-container's python_service.py) it
imports `code/inference.py`, sets the status 200, calls `handler`, and answers 500 where that
raises; without the script, bodies go to TensorFlow Serving as they are. AWS starts
`tensorflow_model_server`, which no package registry has: its `:predict` in rows is here, over the
real SavedModel, with its status codes (https://www.tensorflow.org/tfx/serving/api_rest).
"""

import base64
import importlib.util
import io
import json
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import requests
import werkzeug
from werkzeug.serving import WSGIRequestHandler

from helpers.cloud.rehearsal.door import ADDRESS, open_door
from helpers.common import tf

PREDICT = "/v1/models/model:predict"  # of TensorFlow Serving
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"  # the header that a script may read
JSON = "application/json"

Context = namedtuple(
    "Context",
    "model_name, model_version, method, rest_uri, grpc_port, channel, custom_attributes, "
    "request_content_type, accept_header, content_length",
)  # the names are AWS's


class Response:
    """What is used of falcon's response, in which AWS's service takes the answer."""

    status = "200 OK"
    body: bytes | str = b""
    content_type = JSON


def find_model(archive: Path) -> Path:
    """Returns the folder of the newest version."""
    found = [p.parent for p in archive.rglob("saved_model.pb") if p.parent.name.isdecimal()]
    if not found:
        raise FileNotFoundError("model.tar.gz holds no 1/saved_model.pb")
    return max(found, key=lambda folder: int(folder.name))


def load_script(archive: Path) -> ModuleType | None:
    """Imports `code/inference.py`, with its folder on the path, as the container does."""
    path = archive / "code" / "inference.py"
    if not path.exists():
        return None
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location("inference", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def pass_on(data: io.BytesIO, context: Context) -> tuple[bytes, str]:
    """Answers a request of an archive without a script."""
    return requests.post(context.rest_uri, data=data.read()).content, context.accept_header


def load_model(folder: Path) -> Callable[[Any], dict[str, Any]]:
    """Returns what answers `{"instances": [...]}` with `{"predictions": [...]}`, in rows.

    The model's signature `serving_default` has one input.
    """
    model = tf.saved_model.load(str(folder))
    ((name, spec),) = model.signatures["serving_default"].structured_input_signature[1].items()

    def predict(request: Any) -> dict[str, Any]:
        rows = request.get("instances") if isinstance(request, dict) else None
        if not isinstance(rows, list) or not rows:
            raise ValueError("Missing 'instances' key, or it is no list with rows")
        if isinstance(rows[0], dict) and set(rows[0]) == {name}:
            rows = [row[name] for row in rows]
        batch = tf.constant(_decoded(rows), spec.dtype)
        outputs = model.signatures["serving_default"](**{name: batch})
        tables = {key: values.numpy().tolist() for key, values in outputs.items()}
        if len(tables) == 1:  # a single output goes without its name
            return {"predictions": next(iter(tables.values()))}
        return {"predictions": [dict(zip(tables, row)) for row in zip(*tables.values())]}

    return predict


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    first = value
    while isinstance(first, list) and first:  # rows of numbers are passed on as they are
        first = first[0]
    return [_decoded(item) for item in value] if isinstance(first, dict) else value


class Container:
    """The application: TensorFlow Serving, the Python service, and SageMaker in front of them."""

    def __init__(self, folder: Path, limit: int, predict: Callable, call: Callable):
        self._folder, self._limit, self._predict, self._call = folder, limit, predict, call

    def __call__(self, environ: dict, start_response: Callable) -> Any:
        """Answers a request."""
        request = werkzeug.Request(environ)
        is_inside = request.path == PREDICT
        if request.method != "POST":
            answer = json_answer(405, {"error": "a request is a POST"})
        elif not is_inside and len(request.get_data()) > self._limit:
            answer = json_answer(413, {"error": f"more than {self._limit} bytes"})
        else:
            answer = self._serve(request) if is_inside else self._handle(request)
        return answer(environ, start_response)

    def _serve(self, request: werkzeug.Request) -> werkzeug.Response:
        try:
            return json_answer(200, self._predict(json.loads(request.get_data())))
        except (tf.errors.OpError, ValueError, TypeError, KeyError) as error:
            return json_answer(400, {"error": f"{type(error).__name__}: {error}"[:500]})

    def _handle(self, request: werkzeug.Request) -> werkzeug.Response:
        res = Response()  # its name is part of the interface: see helpers.cloud.inference
        body, uri = request.get_data(), f"{(self._folder / ADDRESS).read_text()}{PREDICT}"
        kinds = (request.headers.get(name) or JSON for name in ("Content-Type", "Accept"))
        attributes = request.headers.get(ATTRIBUTES)
        context = Context(None, None, "predict", uri, None, None, attributes, *kinds, len(body))
        try:
            res.body, res.content_type = self._call(io.BytesIO(body), context)
        except Exception as error:
            print(f"exception handling request: {error}", flush=True)
            res.status = "500 Internal Server Error"
            res.body = json.dumps({"error": str(error)})
        status, said = int(res.status[:3]), res.body
        if status == 200:
            return werkzeug.Response(said, content_type=res.content_type)
        said = said if isinstance(said, str) else said.decode("utf-8", "replace")
        side = "client" if status < 500 else "server"
        message = f'Received {side} error ({status}) from primary with message "{said}". See log.'
        more = {"OriginalStatusCode": status, "OriginalMessage": said}
        return json_answer(424, {"__type": "ModelError", "Message": message, **more})


def json_answer(status: int, content: Any) -> werkzeug.Response:
    """Returns an answer with a value as JSON."""
    return werkzeug.Response(json.dumps(content), status, content_type=JSON)


def main() -> None:
    """Serves until it is ended."""
    folder, limit = Path(sys.argv[1]), int(sys.argv[2])
    predict, script = load_model(find_model(folder / "model")), load_script(folder / "model")
    container = Container(folder, limit, predict, script.handler if script else pass_on)
    # files go to TensorFlow Serving as base64, which is larger
    open_door(container, folder, WSGIRequestHandler, 2 * limit).serve_forever()


if __name__ == "__main__":
    main()
