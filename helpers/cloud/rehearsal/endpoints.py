"""Endpoints that answer: each archive in a container of its own, behind one address."""

import contextlib
import http.client
import shutil
import sys
import tarfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from helpers.cloud.processes import Guarded, free_port
from helpers.cloud.rehearsal.host import split_uri
from helpers.cloud.rehearsal.web import JsonHandler

START_SECONDS = 150  # for a container to answer /ping
LIMITS = {"real-time": 6 * 2**20, "serverless": 4 * 2**20}  # bytes of a body, as AWS has them
PASSED_ON = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")


class Endpoint:
    """An endpoint: a container, started in a thread.

    Args:
        name: of the endpoint.
        clients: service name to a client of the rehearsal.
        folder: for the unpacked archive; removed at the end.
    """

    def __init__(self, name: str, clients: Mapping[str, Any], folder: Path):
        self.name, self.folder, self.port = name, folder, free_port()
        self._clients = clients
        self._container: Guarded | None = None
        self._deleted = False
        self.status, self.reason, self.kind, self.output = "Creating", "", "real-time", ""
        self.thread = threading.Thread(target=self._start, name=name, daemon=True)
        self.thread.start()

    def truth(self) -> dict[str, Any]:
        """Returns what DescribeEndpoint has to say instead of what moto says."""
        reason = {"FailureReason": self.reason} if self.reason else {}
        return {"EndpointStatus": self.status, **reason}

    def stop(self) -> None:
        """Ends the container."""
        self._deleted = True
        if self._container:
            self._container.stop()
        self.thread.join(30)
        if self._container:
            self._container.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        try:
            archive = self._unpack()
            with (self.folder / "container.log").open("wb") as log:
                self._container = Guarded(
                    [
                        *(sys.executable, "-m", "helpers.cloud.rehearsal.container"),
                        *("--archive", str(archive), "--port", str(self.port)),
                    ],
                    self._clients["environment"],
                    self._clients["root"],
                    log,
                )
            self._wait()
            self.status = "InService"
        except Exception as error:
            said = self._last_line()
            self.reason = f"The primary container did not pass the ping health check. {said}{error}"
            self.status = "Failed"

    def _last_line(self) -> str:
        log = self.folder / "container.log"
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        return f"It said: {lines[-1][:300]}. " if lines else ""

    def _unpack(self) -> Path:
        sagemaker = self._clients["sagemaker"]
        config = sagemaker.describe_endpoint(EndpointName=self.name)["EndpointConfigName"]
        described = sagemaker.describe_endpoint_config(EndpointConfigName=config)
        variant = described["ProductionVariants"][0]
        self.kind = "serverless" if "ServerlessConfig" in variant else "real-time"
        asynchronous = described.get("AsyncInferenceConfig") or {}
        self.output = asynchronous.get("OutputConfig", {}).get("S3OutputPath", "")
        model = sagemaker.describe_model(ModelName=variant["ModelName"])
        bucket, key = split_uri(model["PrimaryContainer"]["ModelDataUrl"])
        path, folder = self.folder / "model.tar.gz", self.folder / "model"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._clients["s3"].download_file(bucket, key, str(path))
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
        return folder

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._container.running() and not self._deleted:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5).close()
                return
            time.sleep(0.1)
        raise RuntimeError("the container ended" if not self._deleted else "deleted")

    def call(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes, str]:
        """Passes a request to the container; returns status, body and content type."""
        connection = self._connection()
        try:
            connection.request("POST", "/invocations", body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers["Content-Type"]
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    def _connection(self) -> http.client.HTTPConnection:
        kept = _kept.__dict__.setdefault("connections", {})
        if self.port not in kept:
            kept[self.port] = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        return kept[self.port]


_kept = threading.local()  # of each thread, its connections


class RuntimeHandler(JsonHandler):
    """The address of invoke_endpoint: limits and errors are AWS's, answers the container's."""

    endpoints: dict[str, Endpoint]
    clients: Mapping[str, Any]

    def do_POST(self) -> None:
        """Passes on a request."""
        body = self.body()
        _, _, name, call = [*self.path.split("/"), "", "", ""][:4]
        endpoint = self.endpoints.get(name)
        if endpoint is None or endpoint.status != "InService":
            found = "not found" if endpoint is None else f"in state {endpoint.status}"
            return self._fail(400, "ValidationError", f"Endpoint {name} of account is {found}.")
        if call == "async-invocations":
            return self._asynchronous(endpoint)
        if len(body) > LIMITS[endpoint.kind]:
            return self._fail(413, "PayloadTooLarge", "Request body is over the limit.")
        headers = {key: self.headers[key] for key in PASSED_ON if key in self.headers}
        try:
            status, answer, kind = endpoint.call(body, headers)
        except (OSError, http.client.HTTPException) as error:
            return self._fail(503, "ServiceUnavailable", f"The container is gone: {error}")
        if status == 200:
            return self.answer(200, answer, kind, x_Amzn_Invoked_Production_Variant="AllTraffic")
        return self._model_error(endpoint, status, answer.decode("utf-8", "replace"))

    def _model_error(self, endpoint: Endpoint, status: int, said: str) -> None:
        side = "client" if status < 500 else "server"
        message = f'Received {side} error ({status}) from primary with message "{said}". See log.'
        self._fail(424, "ModelError", message, OriginalStatusCode=status, OriginalMessage=said)

    def _fail(self, status: int, kind: str, message: str, **more: Any) -> None:
        content = {"Message": message, **more}
        self.answer(status, content, **{"x_Amzn_ErrorType": kind})

    def _asynchronous(self, endpoint: Endpoint) -> None:
        """Answers at once with where the answer will be, and works in a thread."""
        if not endpoint.output:
            return self._fail(400, "ValidationError", "The endpoint is not asynchronous.")
        number = str(uuid.uuid4())
        target = f"{endpoint.output.rstrip('/')}/{number}.out"
        source = self.headers["X-Amzn-SageMaker-InputLocation"]
        kind = self.headers.get("X-Amzn-SageMaker-Content-Type") or "application/json"
        attributes = self.headers.get(PASSED_ON[2])
        headers = {"Content-Type": kind} | ({PASSED_ON[2]: attributes} if attributes else {})
        work = threading.Thread(
            target=self._work_off, args=(endpoint, source, target, headers), daemon=True
        )
        work.start()
        where = {"X_Amzn_SageMaker_OutputLocation": target}
        return self.answer(202, {"InferenceId": number}, **where)

    def _work_off(self, endpoint: Endpoint, source: str, target: str, headers) -> None:
        s3 = self.clients["s3"]
        bucket, key = split_uri(source)
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        status, answer, _ = endpoint.call(body, headers)
        bucket, key = split_uri(target)
        if status != 200:
            key = key.removesuffix(".out") + "-error.out"
        s3.put_object(Bucket=bucket, Key=key, Body=answer)


def serve(endpoints: dict[str, Endpoint], clients: Mapping[str, Any]) -> int:
    """Starts the runtime's server in a thread; returns its port."""
    handler = type("Runtime", (RuntimeHandler,), {"endpoints": endpoints, "clients": clients})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
