"""The page of troubles: what it says is printed is printed, and the message leads to it."""

import ast
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import boto3
import nbformat
import numpy as np
import pytest
from botocore.exceptions import ClientError, TokenRetrievalError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from IPython.core.interactiveshell import InteractiveShell
from packaging.requirements import Requirement

import helpers.workshop.__main__ as runner
from data.sources.download import fetch
from helpers.cloud import job
from helpers.cloud.checks import check_quota, told_what_is_wrong
from helpers.cloud.client import refusal
from helpers.common import ROOT, WorkshopError, need, run_command
from helpers.plots import NotebookFigure
from helpers.workshop import environment
from tests.notebook_form import anchors

PAGE = ROOT / "docs" / "troubleshooting.md"
# What no test can make here, and why.
NOT_MADE = {
    "no-matching-distribution-found-for-tensorflow": "needs another Python and a network",
    "illegal-instruction": "needs an old processor",
    "make-command-not-found": "needs Windows",
}
AWS_SETTINGS = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def slug(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def read_symptoms() -> dict[str, list[str]]:
    """Each section's anchor, and the lines that it says are printed."""
    parts = re.split(r"^### (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    blocks = [re.findall(r"```text\n(.*?)```", text, re.DOTALL) for text in parts[1::2]]
    return {
        slug(name): [line for block in each for line in block.splitlines()]
        for name, each in zip(parts[::2], blocks)
    }


SYMPTOMS = read_symptoms()
MAKERS: dict[tuple[str, int], Callable[..., str]] = {}


def trouble(section: str, line: int = 0) -> Callable:
    """The function makes the trouble of a section's line, and returns what was printed."""

    def note(make: Callable) -> Callable:
        MAKERS[section, line] = make
        return make

    return note


def printed_by(main: Callable, capsys) -> str:
    """What a command prints that ends with 2."""
    with pytest.raises(SystemExit) as stop:
        run_command(main)
    assert stop.value.code == 2
    return capsys.readouterr().err


def told(make: Callable, *arguments: object) -> str:
    with pytest.raises(WorkshopError) as raised:
        make(*arguments)
    return str(raised.value)


@trouble("no-module-named")
def another_python(**_) -> str:
    command = [sys.executable, "-I", "-S", "-c", "import keras"]
    return subprocess.run(command, capture_output=True, text=True).stderr


@trouble("the-workshop-will-not-run-here")
def old_package(monkeypatch, capsys, **_) -> str:
    monkeypatch.setattr(environment, "read_requirements", lambda _: [Requirement("numpy>=999")])
    monkeypatch.setattr("sys.argv", ["environment", "--quiet"])
    return printed_by(environment.main, capsys)


def run_cell(source: str, tmp_path: Path, capsys) -> str:
    path = tmp_path / "01_any.ipynb"
    cells = [nbformat.v4.new_code_cell(source)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    said = printed_by(partial(runner.run_notebook, path, tmp_path / "out"), capsys)
    assert (tmp_path / "out" / "01_any.html").exists()
    return said


@trouble("the-kernel-dies")
def dead_kernel(tmp_path, capsys, **_) -> str:
    return run_cell("import os; os._exit(1)", tmp_path, capsys)


@trouble("a-cell-hangs")
def endless_cell(tmp_path, capsys, monkeypatch, **_) -> str:
    monkeypatch.setattr(runner, "CELL_SECONDS", 1)
    return run_cell("import time; time.sleep(60)", tmp_path, capsys)


@trouble("no-figure")
def hidden_figure(capsys, **_) -> str:
    shell = InteractiveShell()
    shell.user_ns["figure"] = NotebookFigure()
    shell.run_cell("figure;", store_history=True)
    assert capsys.readouterr().out == ""  # the semicolon hides it
    shell.run_cell("[figure]", store_history=True)
    return capsys.readouterr().out


@trouble("expected-a-file-found-nothing")
def nothing_made(tmp_path, **_) -> str:
    return told(need, tmp_path / "manifest.csv", "01_prepare_data")


@trouble("not-enough-memory")
def too_large(capsys, **_) -> str:
    return printed_by(lambda: np.zeros(2**59), capsys)


@trouble("no-space-left-on-device")
def full_disk(capsys, **_) -> str:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    return printed_by(lambda: Path("/dev/full").write_text("any"), capsys)


@trouble("gpu-not-found")
def no_gpu(**_) -> str:
    from helpers.common import tf  # takes seconds

    if found := tf.config.list_physical_devices("GPU"):
        pytest.skip(f"there is one: {found}")
    return str(tf.config.list_physical_devices("GPU"))


@trouble("the-port-is-in-use")
def second_server(tmp_path, **_) -> str:
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command += [
            f"--port={taken.getsockname()[1]}",
            "--ip=127.0.0.1",
            f"--notebook-dir={tmp_path}",
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
            lines = iter(server.stderr.readline, "")
            said = next((line for line in lines if "port " in line), "")
            server.kill()
    return said


def download(address: str, tmp_path: Path, capsys, monkeypatch) -> str:
    for name in ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return printed_by(partial(fetch, address, tmp_path / "any.zip", "md5:0"), capsys)


@trouble("proxy-and-certificates", 0)
def no_proxy_there(tmp_path, capsys, monkeypatch, **_) -> str:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    return download("https://example.com/any.zip", tmp_path, capsys, monkeypatch)


@trouble("proxy-and-certificates", 1)
def unknown_certificate(tmp_path, capsys, monkeypatch, **_) -> str:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_certificate(tmp_path / "own.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"https://127.0.0.1:{server.server_port}/any.zip"
    said = download(address, tmp_path, capsys, monkeypatch)
    server.shutdown()
    server.server_close()
    return said


def write_certificate(path: Path) -> Path:
    """Writes a key, and a certificate that nobody but itself has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1))
    plain = serialization.NoEncryption()
    kind = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    own = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    path.write_bytes(key.private_bytes(*kind) + own)
    return path


def ask_aws(monkeypatch, **settings: str) -> None:
    for name in AWS_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    files = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    quick = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in {**files, **quick, **settings}.items():
        monkeypatch.setenv(name, value)
    with told_what_is_wrong():
        boto3.Session(region_name="us-east-1").client("sts").get_caller_identity()


@trouble("no-credentials", 0)
def nobody(monkeypatch, **_) -> str:
    return told(partial(ask_aws, monkeypatch))


def failing(error: Exception) -> None:
    with told_what_is_wrong():
        raise error


@trouble("no-credentials", 1)
def signed_out(**_) -> str:
    return told(failing, TokenRetrievalError(provider="sso", error_msg="expired"))


@trouble("aws-cannot-be-reached")
def nothing_there(monkeypatch, **_) -> str:
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    return told(partial(ask_aws, monkeypatch, AWS_ENDPOINT_URL="http://127.0.0.1:9", **keys))


def refused(code: str, status: int = 400) -> ClientError:
    metadata = {"HTTPStatusCode": status}
    answer = {"Error": {"Code": code, "Message": "You may not."}, "ResponseMetadata": metadata}
    return ClientError(answer, "Call")


@trouble("access-denied", 0)
def not_you(**_) -> str:
    return told(failing, refused("AccessDeniedException"))


def start(code: str, monkeypatch) -> str:
    """Starts a job that AWS refuses."""

    def refuse(**_) -> None:
        raise refused(code)

    for name in ("check_quota", "describe_price", "quiet_sdk"):
        monkeypatch.setattr(job, name, lambda *_: "")
    limit = SimpleNamespace(max_runtime_in_seconds=60)
    machine = SimpleNamespace(instance_type="ml.m5.large", instance_count=1)
    trainer = SimpleNamespace(compute=machine, stopping_condition=limit, train=refuse)
    trainer.base_job_name = "any"
    session = SimpleNamespace(note=lambda *_: None, uri=lambda *_: "s3://any")
    return told(job.start_job, session, SimpleNamespace(trainer=trainer), {})


@trouble("access-denied", 1)
def no_job_for_you(monkeypatch, **_) -> str:
    return start("AccessDeniedException", monkeypatch)


@trouble("over-the-quota", 0)
def small_quota(**_) -> str:
    found = SimpleNamespace(search=lambda _: iter([0.0]))
    pages = SimpleNamespace(paginate=lambda **_: found)
    client = SimpleNamespace(get_paginator=lambda _: pages)
    boto = SimpleNamespace(get_partition_for_region=lambda _: "aws")
    session = SimpleNamespace(client=lambda _: client, region="us-east-1", boto=boto)
    return told(check_quota, session, "ml.m5.large", 99)


@trouble("over-the-quota", 1)
def no_machine_left(monkeypatch, **_) -> str:
    return start("ResourceLimitExceeded", monkeypatch)


@trouble("413-the-request-is-too-large")
def large_body(**_) -> str:
    return refusal("any", refused("413", 413))


OTHERS = {"no-module-named", "no-figure", "gpu-not-found", "the-port-is-in-use"}  # their words


@pytest.mark.parametrize(("section", "line"), MAKERS, ids=lambda value: str(value))
def test_what_the_page_shows_is_printed_and_leads_to_it(
    section: str, line: int, tmp_path, monkeypatch, capsys
):
    printed = MAKERS[section, line](tmp_path=tmp_path, monkeypatch=monkeypatch, capsys=capsys)
    wanted = re.escape(SYMPTOMS[section][line]).replace(r"\.\.\.", ".*")
    assert re.search(wanted, printed)
    assert f"docs/troubleshooting.md#{section}" in printed or section in OTHERS


def test_every_symptom_is_made_or_says_why_not():
    every = {(name, line) for name, lines in SYMPTOMS.items() for line in range(len(lines))}
    assert every - MAKERS.keys() == {(name, 0) for name in NOT_MADE}


def pointers() -> Iterator[str]:
    """The sections that messages name: `more("section")`, and the values of `EXPLAINED`."""
    for path in [*(ROOT / "helpers").rglob("*.py"), *(ROOT / "data" / "sources").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "more":
                yield from (a.value for a in node.args if isinstance(a, ast.Constant))
    yield from job.EXPLAINED.values()


def test_messages_lead_to_sections_that_are_there():
    found = set(pointers())
    assert len(found) > 8 and found <= anchors(PAGE)


def test_every_section_says_why_and_what_to_do():
    for part in re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        body = part.partition("\n## ")[0]
        assert "**Why.**" in body and "**Do.**" in body, part.splitlines()[0]
        assert re.search(r"(^    \S|```python)", body.partition("**Do.**")[2], re.MULTILINE) or (
            "is named" in body or "Do:" in body
        ), part.splitlines()[0]
