"""Who gets into the rehearsal and into its containers: who started it, and nobody else."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from werkzeug.serving import WSGIRequestHandler

from helpers.cloud.rehearsal.container import PREDICT, Container
from helpers.cloud.rehearsal.door import ADDRESS, open_door
from helpers.cloud.rehearsal.world import loopback_session

EMPTY = b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"
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


@pytest.fixture(scope="module")
def guarded(tmp_path_factory) -> Iterator[tuple[str, list[str]]]:
    """An address behind the door, and the paths of the requests that came through it."""
    came: list[str] = []

    def application(environ, start_response):
        came.append(environ["RAW_URI"])
        assert environ["PATH_INFO"].startswith("/")
        environ["wsgi.input"].read()
        start_response(
            "200 OK", [("Content-Type", "text/xml"), ("Content-Length", str(len(EMPTY)))]
        )
        return [EMPTY]

    with served(application, tmp_path_factory.mktemp("door"), 1000) as address:
        yield address, came


@contextlib.contextmanager
def served(application: Callable, folder: Path, most: int) -> Iterator[str]:
    server = open_door(application, folder, WSGIRequestHandler, most)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield (folder / ADDRESS).read_text()
    server.shutdown()


def port_of(address: str) -> int:
    return int(address.split(":")[2].split("/")[0])


def test_who_has_the_token_gets_in(guarded):
    address, came = guarded
    s3 = loopback_session(address, "us-east-1").client("s3")
    came.clear()
    s3.list_buckets()
    s3.put_object(Bucket="b", Key="a b/ü+&=?%.txt", Body=b"x" * 100, Metadata={"a": "b  c"})
    s3.list_objects_v2(Bucket="b", Prefix="a b/ü+", Delimiter="/")
    assert came[:2] == ["/", "/b/a%20b/%C3%BC%2B%26%3D%3F%25.txt"]
    assert came[2].startswith("/b?list-type=2&prefix=")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("token", ["another", "", "moto-api"])
def test_another_token_does_not(guarded, service: str, token: str):
    address, came = guarded
    came.clear()
    client = loopback_session(f"http://127.0.0.1:{port_of(address)}/{token}", "us-east-1")
    with pytest.raises((ClientError, ResponseParserError), match=r"403|Forbidden|invalid XML"):
        getattr(client.client(service), SERVICES[service])()
    assert came == []


@pytest.mark.parametrize("header", [("Origin", "http://evil.example"), ("Origin", "null")])
def test_a_page_does_not_even_with_the_token(guarded, header: tuple[str, str]):
    address, came = guarded
    came.clear()
    token = address.rpartition("/")[2]
    head = f"Host: 127.0.0.1:{port_of(address)}", ": ".join(header), "Content-Length: 0"
    assert status(ask(port_of(address), f"GET /{token}/ HTTP/1.1", *head)) == 403
    assert came == []


@pytest.mark.parametrize("path", ["/", "/moto-api/reset", "/bucket/key", "/latest/meta-data/"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("head", ["Host: HERE", "Host: HERE\r\nOrigin: http://evil.example",
                                  "Host: evil.example", "X: y"])  # fmt: skip
def test_without_the_token_nobody_gets_in(guarded, path: str, method: str, head: str):
    address, came = guarded
    came.clear()
    head = head.replace("HERE", f"127.0.0.1:{port_of(address)}")
    preflight = "Access-Control-Request-Method: PUT"
    line = f"{method} {path} HTTP/1.1"
    answer = ask(port_of(address), line, head, preflight, "Content-Length: 0")
    assert status(answer) == 403 and b"access-control" not in answer.lower()
    assert came == []


@pytest.fixture(scope="module")
def container(tmp_path_factory) -> Iterator[str]:
    """The address of a container whose script tells what it was given."""
    folder = tmp_path_factory.mktemp("container")

    def call(data, context):
        said = {"bytes": len(data.read()), "uri": context.rest_uri}
        return json.dumps(said), "application/json"

    def predict(request):
        return {"predictions": request["instances"]}

    with served(Container(folder, 1000, predict, call), folder, 2000) as address:
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
        (["Content-Length: 1001"], 413),
        (["Content-Length: 99999999999999"], 413),
        (["Content-Length: 50"], 400),  # more than is sent
    ],
)
def test_the_length_of_a_body(container: str, monkeypatch, heads: list[str], wanted: int):
    monkeypatch.setattr(WSGIRequestHandler, "timeout", 0.2)
    body = bytes(1001) if wanted == 413 else b"hello"
    answer = ask_container(container, FRONT, "Host: HERE", *heads, body=body)
    assert status(answer) == (wanted or 200)
    assert wanted or b'"bytes": 0' in answer


def test_another_method(container: str):
    answer = ask_container(container, FRONT.replace("POST", "GET"), "Host: HERE")
    assert status(answer) == 405


def test_the_answer_to_a_large_body_arrives(container: str):
    """Hanging up while a client sends would reset the connection, and the answer be lost."""
    length, body = f"Content-Length: {8 * 2**20}", bytes(8 * 2**20)
    assert status(ask_container(container, FRONT, "Host: HERE", length, body=body)) == 413
