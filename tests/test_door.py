"""Who gets into the rehearsal and into its containers: who started it, and nobody else."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from werkzeug.serving import make_server

from helpers.cloud.rehearsal.container import PREDICT, Handler
from helpers.cloud.rehearsal.door import Door, refuse_length
from helpers.cloud.rehearsal.world import loopback_session

KEY = ("REHEARSALKEY", "a-secret")
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
def guarded() -> Iterator[tuple[int, list[str]]]:
    """A port behind the door, and the paths of the requests that came through it."""
    came: list[str] = []

    def application(environ, start_response):
        came.append(environ["RAW_URI"])
        environ["wsgi.input"].read()
        start_response(
            "200 OK", [("Content-Type", "text/xml"), ("Content-Length", str(len(EMPTY)))]
        )
        return [EMPTY]

    server = make_server("127.0.0.1", 0, Door(application, Credentials(*KEY)), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, came
    server.shutdown()


def session(port: int, key: tuple[str, str] = KEY) -> boto3.Session:
    return loopback_session(f"http://127.0.0.1:{port}", "us-east-1", *key)


def test_who_has_the_key_gets_in(guarded):
    port, came = guarded
    s3 = session(port).client("s3")
    before = len(came)
    s3.list_buckets()
    s3.put_object(Bucket="b", Key="a b/ü+&=?%.txt", Body=b"x" * 100, Metadata={"a": "b  c"})
    s3.put_object(Bucket="b", Key="../../c//d", Body=b"")
    s3.list_objects_v2(Bucket="b", Prefix="a b/ü+", Delimiter="/")
    assert len(came) == before + 4


@pytest.mark.parametrize(
    ("service", "key"),
    [
        *[(service, (KEY[0], "another")) for service in SERVICES],
        ("s3", ("rehearsal", KEY[1])),
        ("s3", ("testing", "testing")),
    ],
)
def test_another_key_does_not(guarded, service: str, key: tuple[str, str]):
    port, came = guarded
    before = len(came)
    client = session(port, key).client(service)
    with pytest.raises(ClientError) as raised:
        getattr(client, SERVICES[service])()
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert len(came) == before


@pytest.mark.parametrize("header", [("Origin", "http://evil.example"), ("Origin", "null")])
def test_a_page_does_not_even_with_a_signature(guarded, header: tuple[str, str]):
    port, came = guarded
    before = len(came)
    client = session(port).client("s3")

    def add(request, **_):
        request.headers.add_header(*header)

    client.meta.events.register("before-sign.s3", add)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.list_buckets()
    assert len(came) == before


@pytest.mark.parametrize("path", ["/", "/moto-api/reset", "/bucket/key", "/latest/meta-data/"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("head", ["Host: HERE", "Host: HERE\r\nOrigin: http://evil.example",
                                  "Host: evil.example", "X: y"])  # fmt: skip
def test_without_a_signature_nobody_gets_in(guarded, path: str, method: str, head: str):
    port, came = guarded
    before = len(came)
    head = head.replace("HERE", f"127.0.0.1:{port}")
    preflight = "Access-Control-Request-Method: PUT"
    answer = ask(port, f"{method} {path} HTTP/1.1", head, preflight, "Content-Length: 0")
    assert status(answer) == 403 and b"access-control" not in answer.lower()
    assert len(came) == before


@pytest.mark.parametrize("change", ["path", "body"])
@pytest.mark.parametrize("service", ["s3", "logs"])
def test_a_changed_request_does_not_get_in(guarded, service: str, change: str):
    """What was signed is signed: path and body."""
    port, came = guarded
    before = len(came)

    def spoil(request, **_):
        if change == "path":
            request.url += "elsewhere"
        else:
            request.body = b"two" if service == "s3" else request.body.replace(b"one", b"two")

    client = session(port).client(service)
    client.meta.events.register(f"before-send.{service}", spoil)
    with pytest.raises(ClientError):
        if service == "s3":
            client.put_object(Bucket="b", Key="k", Body=b"one")
        else:
            client.create_log_group(logGroupName="one")
    assert len(came) == before


def test_lengths():
    for text in ("-1", "+5", "abc", "1_0", "", " ", "1.5", "0x10", "5,5", "٣"):
        assert refuse_length(text, 100) == 400, text
    for text in ("101", "9" * 30, "9" * 5000):
        assert refuse_length(text, 100) == 413, text[:40]
    for text in ("0", "100", "007", None):
        assert refuse_length(text, 100) == 0, text


class Container(Handler):
    token, limit, timeout = "the-token", 1000, 5

    @staticmethod
    def call(data, context):
        return json.dumps({"bytes": len(data.read()), "uri": context.rest_uri}), "application/json"

    @staticmethod
    def predict(request):
        return {"predictions": request["instances"]}


@pytest.fixture(scope="module")
def container() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Container)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


FRONT = "POST /the-token/endpoints/signs/invocations HTTP/1.1"


def test_a_container_answers_who_has_the_token(container: int):
    host = f"Host: 127.0.0.1:{container}"
    answer = ask(container, FRONT, host, "Content-Length: 5", body=b"hello")
    said = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert status(answer) == 200 and said["bytes"] == 5
    assert said["uri"] == f"http://127.0.0.1:{container}/the-token{PREDICT}"
    inside, body = f"POST /the-token{PREDICT} HTTP/1.1", b'{"instances": [1]}'
    answer = ask(container, inside, host, f"Content-Length: {len(body)}", body=body)
    assert answer.endswith(b'{"predictions": [1]}')


@pytest.mark.parametrize(
    ("line", "head"),
    [
        (FRONT.replace("the-token", "another"), "Host: HERE"),
        (FRONT.replace("/the-token", ""), "Host: HERE"),
        (f"POST {PREDICT} HTTP/1.1", "Host: HERE"),
        ("POST /invocations HTTP/1.1", "Host: HERE"),
        (FRONT, "Host: evil.example"),
        (FRONT, "X: no host"),
        (FRONT, "Host: HERE\r\nOrigin: http://evil.example"),
        ("OPTIONS /invocations HTTP/1.1", "Host: HERE\r\nOrigin: http://evil.example"),
        ("GET / HTTP/1.1", "Host: HERE"),
    ],
)
def test_a_container_answers_nobody_else(container: int, line: str, head: str):
    head = head.replace("HERE", f"127.0.0.1:{container}")
    answer = ask(container, line, head, "Content-Length: 5", body=b"hello")
    assert status(answer) == 403 and b"access-control" not in answer.lower()


@pytest.mark.parametrize(
    ("heads", "wanted"),
    [
        (["Content-Length: -1"], 400),
        (["Content-Length: many"], 400),
        (["Content-Length: 1_0"], 400),
        (["Content-Length:"], 400),
        (["Content-Length: 5", "Content-Length: 6"], 400),
        (["Transfer-Encoding: chunked"], 400),
        (["Content-Length: 5", "Transfer-Encoding: chunked"], 400),
        (["Content-Length: 1001"], 413),
        (["Content-Length: 99999999999999"], 413),
        (["Content-Length: " + "9" * 6000], 413),
        (["Content-Length: 50"], 400),  # more than is sent
    ],
)
def test_the_length_of_a_body(container: int, monkeypatch, heads: list[str], wanted: int):
    monkeypatch.setattr("helpers.cloud.rehearsal.container.BODY_SECONDS", 0.2)
    answer = ask(container, FRONT, f"Host: 127.0.0.1:{container}", *heads, body=b"hello")
    assert status(answer) == wanted


def test_another_method(container: int):
    answer = ask(container, FRONT.replace("POST", "GET"), f"Host: 127.0.0.1:{container}")
    assert status(answer) == 405


def test_the_answer_to_a_large_body_arrives(container: int):
    """Hanging up while a client sends would reset the connection, and the answer be lost."""
    length = f"Content-Length: {8 * 2**20}"
    host = f"Host: 127.0.0.1:{container}"
    assert status(ask(container, FRONT, host, length, body=bytes(8 * 2**20))) == 413
