"""Who gets into a container of the rehearsal: who started it, and nobody else."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from werkzeug.serving import WSGIRequestHandler

from helpers.cloud.rehearsal.answers import Rehearsal
from helpers.cloud.rehearsal.container import PREDICT, Container, open_server
from helpers.common import WorkshopError

SERVICES = {
    "s3": "list_buckets",
    "sts": "get_caller_identity",
    "sagemaker": "list_endpoints",
    "logs": "describe_log_groups",
    "iam": "list_roles",
}


def ask(port: int, line: str, *headers: str, body: bytes = b"") -> bytes:
    """Sends a request as it is; returns all that comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([line, *headers, "", ""]).encode() + body)
        answer = b""
        while (piece := connection.recv(65536)) and not answer.endswith(piece):
            answer += piece
            head, _, rest = answer.partition(b"\r\n\r\n")
            found = [h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")]
            if found and len(rest) >= int(found[0].partition(b":")[2]):
                break
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@contextlib.contextmanager
def served(container: Container, folder: Path) -> Iterator[str]:
    server = open_server(container, folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield (folder / "address").read_text()
    server.shutdown()


def port_of(address: str) -> int:
    return int(address.split(":")[2].split("/")[0])


def test_no_request_of_the_rehearsal_is_sent(monkeypatch):
    """It answers all services in this process, whatever the learner's settings say."""
    for name, value in {"AWS_PROFILE": "none", "AWS_ENDPOINT_URL": "http://evil.example"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", Mock(side_effect=OSError))
    rehearsal = Rehearsal("us-east-1")
    boto = rehearsal.boto
    for service, operation in SERVICES.items():
        getattr(boto.client(service), operation)()
    with pytest.raises(WorkshopError, match="expected a service of AWS that the rehearsal has"):
        boto.client("ec2", endpoint_url="http://127.0.0.1:1").describe_regions()
    rehearsal.close()
    assert not rehearsal.folder.exists()


@pytest.fixture(scope="module")
def container(tmp_path_factory) -> Iterator[str]:
    """The address of a container whose script tells what it was given."""
    folder = tmp_path_factory.mktemp("container")

    def call(data, context):
        said = {"bytes": len(data.read()), "uri": context.rest_uri}
        return json.dumps(said), "application/json"

    def predict(request):
        return {"predictions": request["instances"]}

    with served(Container(predict, call), folder) as address:
        yield address


FRONT = "POST /TOKEN/endpoints/signs/invocations HTTP/1.1"


def ask_container(address: str, line: str, *heads: str, body: bytes = b"hello") -> bytes:
    token, port = address.rpartition("/")[2], port_of(address)
    heads = [head.replace("HERE", f"127.0.0.1:{port}") for head in heads]
    return ask(port, line.replace("TOKEN", token), *heads, body=body)


def test_a_container_answers_who_has_the_token(container: str):
    answer = ask_container(container, FRONT, "Host: HERE", "Content-Length: 5")
    said = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert status(answer) == 200 and said["bytes"] == 5
    assert said["uri"] == f"{container}{PREDICT}"
    inside, body = f"POST /TOKEN{PREDICT} HTTP/1.1", b'{"instances": [1]}'
    length = f"Content-Length: {len(body)}"
    answer = ask_container(container, inside, "Host: HERE", length, body=body)
    assert answer.endswith(b'{"predictions": [1]}')


@pytest.mark.parametrize(
    ("line", "head"),
    [
        (FRONT.replace("TOKEN", "another"), "Host: HERE"),
        (FRONT.replace("/TOKEN", ""), "Host: HERE"),
        (f"POST {PREDICT} HTTP/1.1", "Host: HERE"),
        ("POST /invocations HTTP/1.1", "Host: HERE"),
        (FRONT, "Host: evil.example"),
        (FRONT, "X: no host"),
        (FRONT, "Host: HERE\r\nOrigin: http://evil.example"),
        ("OPTIONS /invocations HTTP/1.1", "Host: HERE\r\nOrigin: http://evil.example"),
        ("GET / HTTP/1.1", "Host: HERE"),
    ],
)
def test_a_container_answers_nobody_else(container: str, line: str, head: str):
    answer = ask_container(container, line, head, "Content-Length: 5")
    assert status(answer) == 403 and b"access-control" not in answer.lower()


@pytest.mark.parametrize(
    ("heads", "wanted"),
    [
        (["Content-Length: -1"], 0),  # the status, or the bytes that are taken
        (["Content-Length: many"], 0),
        (["Content-Length:"], 0),
        (["Content-Length: " + "9" * 6000], 0),
        (["Content-Length: 50"], 400),  # more than is sent
    ],
)
def test_the_length_of_a_body(container: str, monkeypatch, heads: list[str], wanted: int):
    monkeypatch.setattr(WSGIRequestHandler, "timeout", 0.2)
    answer = ask_container(container, FRONT, "Host: HERE", *heads)
    assert status(answer) == (wanted or 200)
    assert wanted or b'"bytes": 0' in answer


def test_another_method(container: str):
    answer = ask_container(container, FRONT.replace("POST", "GET"), "Host: HERE")
    assert status(answer) == 405
