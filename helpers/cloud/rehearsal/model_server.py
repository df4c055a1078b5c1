"""TensorFlow Serving's REST interface over a SavedModel, for machines without its program.

    python -m helpers.cloud.rehearsal.model_server --rest_api_port P --model_base_path FOLDER

AWS's container starts the program `tensorflow_model_server`, which no package registry has. What
of its interface an `inference.py` needs is here, with its formats and status codes, from
https://www.tensorflow.org/tfx/serving/api_rest: the model's status, and `:predict` in rows.
"""

import argparse
import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from helpers.cloud.rehearsal.web import JsonHandler

MODEL = "model"
PATH = re.compile(rf"/v1/models/{MODEL}(?:/versions/(?P<version>\d+))?(?P<method>:\w+)?$")


class Refused(Exception):
    """A request that TensorFlow Serving answers with 400 or 404."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Served:
    """A SavedModel with the signature `serving_default` of one input.

    Args:
        base: the folder that holds the version's folder, such as `1`.
    """

    def __init__(self, base: Path):
        from helpers.common import tf

        versions = [path for path in base.iterdir() if path.name.isdecimal()]
        newest = max(versions, key=lambda path: int(path.name))
        self.version = newest.name
        self._tf = tf
        self._model = tf.saved_model.load(str(newest))
        self._signature = self._model.signatures["serving_default"]
        ((self._input, self._spec),) = self._signature.structured_input_signature[1].items()

    def predict(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answers a request in rows: `{"instances": [...]}` to `{"predictions": [...]}`.

        Raises:
            Refused: a request without rows, or rows that the graph refuses.
        """
        rows = request.get("instances") if isinstance(request, dict) else None
        if not isinstance(rows, list) or not rows:
            raise Refused(400, "Missing 'instances' key, or it is no list with rows")
        tf = self._tf
        try:
            batch = tf.constant(_decoded(self._unnamed(rows)), self._spec.dtype)
            outputs = self._signature(**{self._input: batch})
        except (tf.errors.OpError, ValueError, TypeError, binascii.Error) as error:
            raise Refused(400, f"{type(error).__name__}: {error}"[:500]) from None
        tables = {name: values.numpy().tolist() for name, values in outputs.items()}
        if len(tables) == 1:  # a single output goes without its name
            return {"predictions": next(iter(tables.values()))}
        return {"predictions": [dict(zip(tables, row)) for row in zip(*tables.values())]}

    def _unnamed(self, rows: Sequence[Any]) -> list[Any]:
        named = isinstance(rows[0], dict) and set(rows[0]) == {self._input}
        return [row[self._input] for row in rows] if named else list(rows)


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
            return self.answer(error.status, {"error": str(error)})


def main() -> None:
    """Loads the model and serves it until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rest_api_port", type=int, required=True)
    parser.add_argument("--model_base_path", type=Path, required=True)
    arguments = parser.parse_args()
    Handler.served = Served(arguments.model_base_path)
    server = ThreadingHTTPServer(("127.0.0.1", arguments.rest_api_port), Handler)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
