"""The inside of AWS's TensorFlow inference container, as far as an archive notices.

    python -m helpers.cloud.rehearsal.container FOLDER

FOLDER/model is an unpacked `model.tar.gz`; when it is loaded, the address goes into FOLDER/address.
Like AWS's Python service (sagemaker-tensorflow-serving-container's python_service.py) it imports
`code/inference.py`, sets the status 200, calls `handler`, and answers 500 where that raises;
without the script, bodies go to TensorFlow Serving as they are. AWS starts
`tensorflow_model_server`, which no package registry has: its `:predict` in rows is here, over the
real SavedModel, with its status codes (https://www.tensorflow.org/tfx/serving/api_rest).
"""

import base64
import importlib.util
import io
import json
import logging
import sys
from collections import namedtuple
from collections.abc import Callable
from hmac import compare_digest
from pathlib import Path
from secrets import token_hex
from types import ModuleType, SimpleNamespace
from typing import Any

import requests
import werkzeug
from werkzeug.exceptions import Forbidden, MethodNotAllowed
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from helpers.common import tf, write_text

PREDICT = "/v1/models/model:predict"  # of TensorFlow Serving
JSON = "application/json"

Context = namedtuple(
    "Context",
    "model_name, model_version, method, rest_uri, grpc_port, channel, custom_attributes, "
    "request_content_type, accept_header, content_length",
)  # the names are AWS's


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
    """TensorFlow Serving, and the Python service in front of it.

    Every page in a browser, and every user of this machine, reaches a port of the loopback. So a
    path begins with a token, and what comes from a page says so in `Origin` or `Host`.
    """

    def __init__(self, predict: Callable, call: Callable):
        self._predict, self._call, self.token = predict, call, token_hex(16)

    @werkzeug.Request.application
    def __call__(self, request: werkzeug.Request) -> werkzeug.Response:
        """Answers a request."""
        token, _, path = request.path[1:].partition("/")
        is_known = compare_digest(token.encode(), self.token.encode())
        is_from_here = request.headers.get("Host") == f"127.0.0.1:{request.environ['SERVER_PORT']}"
        if not is_known or not is_from_here or "Origin" in request.headers:
            raise Forbidden
        if request.method != "POST":
            raise MethodNotAllowed
        return self._serve(request) if f"/{path}" == PREDICT else self._handle(request)

    def _serve(self, request: werkzeug.Request) -> werkzeug.Response:
        try:
            status, said = 200, self._predict(json.loads(request.get_data()))
        except (tf.errors.OpError, ValueError, TypeError, KeyError) as error:
            status, said = 400, {"error": f"{type(error).__name__}: {error}"[:500]}
        return werkzeug.Response(json.dumps(said), status, content_type=JSON)

    def _handle(self, request: werkzeug.Request) -> werkzeug.Response:
        # falcon's response, as far as it is used; its name is part of the interface: see
        # helpers.cloud.image_requests
        res = SimpleNamespace(status="200 OK", body=b"", content_type=JSON)
        body, uri = request.get_data(), f"http://{request.host}/{self.token}{PREDICT}"
        kinds = (request.headers.get(name) or JSON for name in ("Content-Type", "Accept"))
        attributes = request.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        context = Context(None, None, "predict", uri, None, None, attributes, *kinds, len(body))
        try:
            res.body, res.content_type = self._call(io.BytesIO(body), context)
        except Exception as error:
            print(f"exception handling request: {error}", flush=True)
            res.status = "500 Internal Server Error"
            res.body = json.dumps({"error": str(error)})
        return werkzeug.Response(res.body, res.status, content_type=res.content_type)


def open_server(container: Container, folder: Path) -> BaseWSGIServer:
    """Returns a server of a container, and writes its address into FOLDER/address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it has a line for every request
    WSGIRequestHandler.timeout = 10  # seconds to wait for more of a request
    server = make_server("127.0.0.1", 0, container, threaded=True)
    write_text(folder / "address", f"http://127.0.0.1:{server.server_port}/{container.token}")
    return server


def main() -> None:
    """Serves until it is ended."""
    folder = Path(sys.argv[1])
    predict, script = load_model(find_model(folder / "model")), load_script(folder / "model")
    open_server(Container(predict, script.handler if script else pass_on), folder).serve_forever()


if __name__ == "__main__":
    main()
