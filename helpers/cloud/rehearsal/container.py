"""The inside of AWS's TensorFlow inference container, as far as an archive can tell.

    python -m helpers.cloud.rehearsal.container ARCHIVE PORT LIMIT

ARCHIVE is the folder of an unpacked `model.tar.gz`. Like AWS's own Python service
(https://github.com/aws/sagemaker-tensorflow-serving-container, python_service.py) it imports
`code/inference.py`, sets the status 200, calls `handler` (or `input_handler` and
`output_handler`), and answers 500 where that raises. Without the script, bodies go to TensorFlow
Serving as they are. `GET /ping` answers 200 when the model is loaded.
"""

import importlib.util
import io
import json
import sys
from collections import namedtuple
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import requests

from helpers.cloud.rehearsal.model_server import JsonHandler, start

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"

Context = namedtuple(
    "Context",
    "model_name, model_version, method, rest_uri, grpc_port, channel, custom_attributes, "
    "request_content_type, accept_header, content_length",
)  # the names are AWS's


class Response:
    """What AWS's service hands out as the answer: falcon's response, with what is used of it."""

    status = "200 OK"
    body: bytes | str = b""
    content_type = "application/json"


def find_model(archive: Path) -> Path:
    """Returns the folder that holds the version's folder.

    Raises:
        FileNotFoundError: there is no `1/saved_model.pb` in the archive.
    """
    for path in sorted(archive.rglob("saved_model.pb")):
        if path.parent.name.isdecimal():
            return path.parent.parent
    raise FileNotFoundError("model.tar.gz holds no 1/saved_model.pb")


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


def handler_of(script: ModuleType | None) -> Callable:
    """Returns what answers a request: of the script, or one that passes it on."""
    if script is None:
        return lambda data, context: (
            requests.post(context.rest_uri, data=data.read()).content,
            context.accept_header,
        )
    if hasattr(script, "handler"):
        return script.handler

    def handler(data, context):
        answer = requests.post(context.rest_uri, data=script.input_handler(data, context))
        return script.output_handler(answer, context)

    return handler


class Handler(JsonHandler):
    """Answers /ping and /invocations as a container does, and anything else as SageMaker does."""

    call: Callable
    uri: str
    limit: int

    def do_GET(self) -> None:
        """Tells that the model is loaded: before, nothing answers here."""
        self.answer(200 if self.path == "/ping" else 404, b"")

    def do_POST(self) -> None:
        """Answers a request."""
        body, response = self.body(), Response()
        if len(body) > self.limit:
            return self._fail(413, "PayloadTooLarge", "Request body is over the limit.")
        self._handle(body, response)
        status = int(response.status[:3])
        if status == 200 or self.path == "/invocations":
            return self.answer(status, response.body, response.content_type)
        side = "client" if status < 500 else "server"
        said = response.body if isinstance(response.body, str) else response.body.decode()
        message = f'Received {side} error ({status}) from primary with message "{said}". See log.'
        more = {"OriginalStatusCode": status, "OriginalMessage": said}
        return self._fail(424, "ModelError", message, **more)

    def _fail(self, status: int, kind: str, message: str, **more: Any) -> None:
        self.answer(status, {"__type": kind, "Message": message, **more})

    def _handle(self, body: bytes, res: Response) -> None:
        # The name `res` is part of the container's interface: see helpers.cloud.inference.
        headers = self.headers
        context = Context(
            None, None, "predict", f"{self.uri}:predict", None, None, headers.get(ATTRIBUTES),
            headers.get("Content-Type") or "application/json",
            headers.get("Accept") or "application/json", len(body),
        )  # fmt: skip
        try:
            res.status = "200 OK"
            res.body, res.content_type = type(self).call(io.BytesIO(body), context)
        except Exception as error:
            print(f"exception handling request: {error}", flush=True)
            res.status = "500 Internal Server Error"
            res.body = json.dumps({"error": str(error)})


def main() -> None:
    """Serves until it is ended."""
    archive, port, Handler.limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    Handler.uri = start(find_model(archive))
    Handler.call = staticmethod(handler_of(load_script(archive)))
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
