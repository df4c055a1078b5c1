"""The inside of AWS's TensorFlow inference container, as far as an archive can tell.

    python -m helpers.cloud.rehearsal.container --archive FOLDER --port P

FOLDER is an unpacked `model.tar.gz`. Like AWS's own Python service
(https://github.com/aws/sagemaker-tensorflow-serving-container, python_service.py) it imports
`code/inference.py`, sets the status 200, calls `handler` (or `input_handler` and
`output_handler`), and answers 500 where that raises. Without the script, bodies go to TensorFlow
Serving as they are. `GET /ping` answers 200 when the model is loaded.
"""

import argparse
import importlib.util
import io
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections import namedtuple
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

from helpers.cloud.processes import Guarded, free_port
from helpers.cloud.rehearsal.web import JsonHandler

LOAD_SECONDS = 120  # for TensorFlow to start and load the model
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
    import requests

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
    """Answers /ping and /invocations."""

    call: Callable
    uri: str
    model: Guarded

    def do_GET(self) -> None:
        """Tells whether the model server lives."""
        alive = self.path == "/ping" and self.model.running()
        self.answer(200 if alive else 503, b"")

    def do_POST(self) -> None:
        """Answers a request."""
        body = self.body()
        if self.path != "/invocations":
            return self.answer(404, {"error": "Not Found"})
        response = Response()
        self._handle(body, response)
        return self.answer(int(response.status[:3]), response.body, response.content_type)

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


def start_model_server(base: Path) -> tuple[Guarded, str]:
    """Starts the model server on a free port; returns it and its address.

    Raises:
        RuntimeError: it ended, or did not load the model in time.
    """
    port = free_port()
    model = Guarded(
        [
            *(sys.executable, "-m", "helpers.cloud.rehearsal.model_server"),
            *("--rest_api_port", str(port), "--model_base_path", str(base)),
        ],
        os.environ,
        Path.cwd(),
        None,
    )
    uri = f"http://127.0.0.1:{port}/v1/models/model"
    end = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < end and model.running():
        try:
            urllib.request.urlopen(uri, timeout=5).close()
            return model, uri
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    model.stop()
    raise RuntimeError("TensorFlow Serving did not load the model")


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    Handler.model, Handler.uri = start_model_server(find_model(arguments.archive))
    Handler.call = staticmethod(handler_of(load_script(arguments.archive)))
    print("ready", flush=True)
    ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
