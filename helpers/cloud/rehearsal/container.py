"""The inside of AWS's TensorFlow inference container, as far as an archive notices.

    python -m helpers.cloud.rehearsal.container FOLDER LIMIT

FOLDER/model is an unpacked `model.tar.gz`; the address goes into FOLDER/address when the model is
loaded: its path begins with a token, and nobody gets in without. Like AWS's Python service
(https://github.com/aws/sagemaker-tensorflow-serving-container, python_service.py) it imports
`code/inference.py`, sets the status 200, calls `handler`, and answers 500 where that raises;
without the script, bodies go to TensorFlow Serving as they are. AWS starts
`tensorflow_model_server`, which no package registry has: its `:predict` in rows is here, over the
real SavedModel, with its status codes (https://www.tensorflow.org/tfx/serving/api_rest).
"""

import base64
import contextlib
import importlib.util
import io
import json
import sys
from collections import namedtuple
from collections.abc import Callable
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from types import ModuleType
from typing import Any

import requests

from helpers.cloud.rehearsal.door import is_from_here, refuse_length
from helpers.cloud.rehearsal.world import ADDRESS, ATTRIBUTES
from helpers.common import tf, write_text

BODY_SECONDS = 10  # to wait for more of a body
PREDICT = "/v1/models/model:predict"  # of TensorFlow Serving
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


class Handler(BaseHTTPRequestHandler):
    """TensorFlow Serving, the container's Python service, and what SageMaker says in front."""

    call: Callable
    predict: Callable[[Any], dict[str, Any]]
    limit: int  # bytes of a body
    token: str  # before every path

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer goes out in one piece; in two, each hop waits 40 ms
    disable_nagle_algorithm = True
    timeout = 120  # seconds that an idle connection is kept

    def log_message(self, *_: Any) -> None:
        """Logs nothing: answers have all that counts."""

    def parse_request(self) -> bool:
        """Reads the head of a request; answers it here where nobody else shall."""
        if not super().parse_request():
            return False
        token, _, path = self.path[1:].partition("/")
        self.path = f"/{path}"
        if status := self._look(token):
            self._refuse(status)
        return not status

    def _look(self, token: str) -> int:
        """Returns the status to refuse a request with, or 0."""
        lengths = self.headers.get_all("Content-Length", ["0"])
        is_known = compare_digest(token.encode(), self.token.encode())
        if not is_known or not is_from_here(self.headers, self.server.server_port):
            return 403
        if self.command != "POST":
            return 405
        if len(lengths) > 1 or "Transfer-Encoding" in self.headers:
            return 400
        return refuse_length(
            lengths[0], self.limit * (2 if self.path == PREDICT else 1)
        )  # base64 inside

    def _refuse(self, status: int) -> None:
        """Answers at once, takes what is still sent, so that the answer arrives, and hangs up."""
        self.close_connection = True
        self._fail(status, HTTPStatus(status).name, HTTPStatus(status).description)
        self.wfile.flush()
        self.connection.settimeout(1)
        with contextlib.suppress(OSError):
            for _ in range(1000):
                if not self.connection.recv(1 << 20):
                    break

    def do_POST(self) -> None:
        """Answers a request."""
        length, body = int(self.headers.get("Content-Length", 0)), b""
        self.connection.settimeout(BODY_SECONDS)
        with contextlib.suppress(TimeoutError):
            body = self.rfile.read(length)
        self.connection.settimeout(self.timeout)
        if len(body) < length:
            return self._refuse(400)
        if self.path == PREDICT:
            return self._answer(*self._serve(body))
        response = self._handle(body)
        status, said = int(response.status[:3]), response.body
        if status == 200:
            return self._answer(status, said, response.content_type)
        said = said if isinstance(said, str) else said.decode("utf-8", "replace")
        side = "client" if status < 500 else "server"
        message = f'Received {side} error ({status}) from primary with message "{said}". See log.'
        more = {"OriginalStatusCode": status, "OriginalMessage": said}
        return self._fail(424, "ModelError", message, **more)

    def _serve(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            return 200, type(self).predict(json.loads(body))
        except (tf.errors.OpError, ValueError, TypeError, KeyError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"[:500]}

    def _handle(self, body: bytes) -> Response:
        res = Response()  # its name is part of the interface: see helpers.cloud.inference
        uri = f"http://127.0.0.1:{self.server.server_port}/{self.token}{PREDICT}"
        kinds = (self.headers.get(name) or JSON for name in ("Content-Type", "Accept"))
        attributes = self.headers.get(ATTRIBUTES)
        context = Context(None, None, "predict", uri, None, None, attributes, *kinds, len(body))
        try:
            res.body, res.content_type = type(self).call(io.BytesIO(body), context)
        except Exception as error:
            print(f"exception handling request: {error}", flush=True)
            res.status = "500 Internal Server Error"
            res.body = json.dumps({"error": str(error)})
        return res

    def _fail(self, status: int, kind: str, message: str, **more: Any) -> None:
        self._answer(status, {"__type": kind, "Message": message, **more})

    def _answer(self, status: int, content: Any, kind: str = JSON) -> None:
        """Sends bytes and text as they are, anything else as JSON."""
        if not isinstance(content, bytes | str):
            content = json.dumps(content)
        data = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serves until it is ended."""
    folder, Handler.limit, Handler.token = Path(sys.argv[1]), int(sys.argv[2]), token_hex(16)
    Handler.predict = load_model(find_model(folder / "model"))
    script = load_script(folder / "model")
    Handler.call = script.handler if script else pass_on
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    write_text(folder / ADDRESS, f"http://127.0.0.1:{server.server_port}/{Handler.token}")
    server.serve_forever()


if __name__ == "__main__":
    main()
