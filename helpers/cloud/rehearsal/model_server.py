"""TensorFlow Serving's REST interface over a SavedModel, for machines without its program.

AWS's container starts the program `tensorflow_model_server`, which no package registry has. What
of its interface an `inference.py` needs is here, with its formats and status codes, from
https://www.tensorflow.org/tfx/serving/api_rest: the model's status, and `:predict` in rows.
"""

import base64
import binascii
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PATH = re.compile(r"/v1/models/model(?:/versions/(?P<version>\d+))?(?P<method>:\w+)?$")


class JsonHandler(BaseHTTPRequestHandler):
    """Reads bodies, answers JSON, and keeps connections open."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # an answer goes out in one piece; in two, each hop waits 40 ms
    disable_nagle_algorithm = True
    timeout = 120  # seconds that an idle connection is kept

    def log_message(self, *_: Any) -> None:
        """Logs nothing: what counts is told in answers."""

    def body(self) -> bytes:
        """Returns the request's body."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, content: Any, kind: str = "application/json") -> None:
        """Answers with `content`: bytes and text as they are, anything else as JSON."""
        if not isinstance(content, bytes | str):
            content = json.dumps(content)
        data = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Refused(Exception):
    """A request that TensorFlow Serving answers with 400 or 404."""


class Served:
    """A SavedModel with the signature `serving_default` of one input.

    Args:
        base: the folder that holds the version's folder, such as `1`.
    """

    def __init__(self, base: Path):
        from helpers.common import tf

        versions = [path for path in base.iterdir() if path.name.isdecimal()]
        newest = max(versions, key=lambda path: int(path.name))
        self.version, self._tf = newest.name, tf
        self._model = tf.saved_model.load(str(newest))
        self._signature = self._model.signatures["serving_default"]
        ((self._input, self._spec),) = self._signature.structured_input_signature[1].items()

    def predict(self, request: Any) -> dict[str, Any]:
        """Answers a request in rows: `{"instances": [...]}` to `{"predictions": [...]}`.

        Raises:
            Refused: a request without rows, or rows that the graph refuses.
        """
        rows = request.get("instances") if isinstance(request, dict) else None
        if not isinstance(rows, list) or not rows:
            raise Refused("Missing 'instances' key, or it is no list with rows")
        tf = self._tf
        try:
            if isinstance(rows[0], dict) and set(rows[0]) == {self._input}:
                rows = [row[self._input] for row in rows]
            batch = tf.constant(_decoded(rows), self._spec.dtype)
            outputs = self._signature(**{self._input: batch})
        except (tf.errors.OpError, ValueError, TypeError, KeyError, binascii.Error) as error:
            raise Refused(f"{type(error).__name__}: {error}"[:500]) from None
        tables = {name: values.numpy().tolist() for name, values in outputs.items()}
        if len(tables) == 1:  # a single output goes without its name
            return {"predictions": next(iter(tables.values()))}
        return {"predictions": [dict(zip(tables, row)) for row in zip(*tables.values())]}


def _decoded(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    return [_decoded(item) for item in value] if _has_bytes(value) else value


def _has_bytes(value: Any) -> bool:
    """Looks at the first number or text only: rows of numbers are passed on as they are."""
    while isinstance(value, list) and value:
        value = value[0]
    return isinstance(value, dict)


class Handler(JsonHandler):
    """Answers as TensorFlow Serving does."""

    served: Served

    def do_GET(self) -> None:
        """Tells that the model is there."""
        if not PATH.match(self.path):
            return self.answer(404, {"error": "Could not find any versions of model"})
        good = {"error_code": "OK", "error_message": ""}
        state = {"version": self.served.version, "state": "AVAILABLE", "status": good}
        return self.answer(200, {"model_version_status": [state]})

    def do_POST(self) -> None:
        """Predicts."""
        body = self.body()
        found = PATH.match(self.path)
        if not found or found["version"] not in (None, self.served.version):
            return self.answer(404, {"error": "Servable not found for request"})
        try:
            return self.answer(200, self.served.predict(json.loads(body)))
        except json.JSONDecodeError as error:
            return self.answer(400, {"error": f"JSON Parse error: {error}"})
        except Refused as error:
            return self.answer(400, {"error": str(error)})


def start(base: Path) -> str:
    """Loads the model and serves it in a thread; returns its address.

    Raises:
        OSError: the model cannot be loaded.
    """
    Handler.served = Served(base)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/v1/models/model"
