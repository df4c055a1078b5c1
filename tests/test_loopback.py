"""What stays on this machine goes through no proxy, and everything else still does."""

import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from botocore.config import Config

from helpers.cloud.rehearsal.jobs import Host
from helpers.cloud.rehearsal.world import inherited, loopback_session

NAMES = [name for low in ("http_proxy", "https_proxy", "all_proxy") for name in (low, low.upper())]


class Served(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST = do_HEAD = do_CONNECT = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def servers(monkeypatch) -> Iterator[tuple[str, list[str], list[str]]]:
    """The address of a server, what it was asked, and what a proxy was asked."""
    running, asked = [], []
    for name in ("Server", "Proxy"):
        handler = type(name, (Served,), {"asked": []})
        running.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        asked.append(handler.asked)
        threading.Thread(target=running[-1].serve_forever, daemon=True).start()
    for name in (*NAMES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in NAMES:
        monkeypatch.setenv(name, f"http://127.0.0.1:{running[1].server_port}")
    yield f"http://127.0.0.1:{running[0].server_port}", *asked
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("given", [None, "", "example.org,.corp", "*"])
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_nothing_of_the_loopback_reaches_a_proxy(servers, monkeypatch, name, given):
    address, asked, at_proxy = servers
    if given is not None:
        monkeypatch.setenv(name, given)
    boto = loopback_session(address, "us-east-1")
    boto.client("s3").head_bucket(Bucket="bucket")  # as the notebook, whose variables stay
    boto.client("s3", config=Config(retries={"max_attempts": 1})).head_bucket(Bucket="bucket")
    boto.resource("s3").meta.client.head_bucket(Bucket="bucket")
    assert len(asked) == 3 and at_proxy == []
    for variable in ("no_proxy", "NO_PROXY"):  # as a job, or a container
        monkeypatch.setenv(variable, inherited()[variable])
    urllib.request.urlopen(address, timeout=10)
    requests.get(address, timeout=10)
    assert len(asked) == 5 and at_proxy == []


def test_others_keep_what_they_had(servers, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "example.org")
    names = {name: inherited()[name] for name in ("no_proxy", "NO_PROXY")}
    assert names["no_proxy"] == names["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    for variable, value in names.items():
        monkeypatch.setenv(variable, value)
    assert urllib.request.proxy_bypass("example.org")
    assert not urllib.request.proxy_bypass("example.com")
    requests.get("http://elsewhere.invalid/", timeout=10)
    assert servers[2] == ["http://elsewhere.invalid/"]


def test_processes_of_the_rehearsal_and_of_jobs_have_it(servers, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    job = {"TrainingJobName": "j", "Environment": {"HTTP_PROXY": "http://proxy"}}
    for found in (inherited(), Host("algo-1", {"algo-1": "x"}, tmp_path, job).environment()):
        assert found["no_proxy"] == found["NO_PROXY"] == "127.0.0.1,localhost"
        assert "AWS_SECRET_ACCESS_KEY" not in found
