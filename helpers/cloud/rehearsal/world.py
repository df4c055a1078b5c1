"""Starts the rehearsal from the notebook's side, and ends it with the notebook."""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from secrets import token_hex
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from helpers.cloud.processes import Guarded
from helpers.common import ROOT, WorkshopError, expected

START_SECONDS = 90  # moto imports much
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")  # no secrets, no switches

ADDRESS = "address"  # file in the folder of what serves
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"  # the header that a script may read


class Rehearsal:
    """AWS on this machine: an S3, a control plane, jobs and endpoints, all on the loopback.

    `address` is http://127.0.0.1:port, where only what `boto` signs gets in; all its processes
    descend from `pid`.
    """

    def __init__(self, region: str):
        if importlib.util.find_spec("moto") is None:
            message = "the rehearsal expected the package moto, found none. Install it: "
            raise WorkshopError(f"{message}make install-all")
        self.folder = Path(tempfile.gettempdir(), f"workshop-rehearsal-{token_hex(8)}")
        key = {"AWS_ACCESS_KEY_ID": f"REHEARSAL{token_hex(8)}".upper()}
        key["AWS_SECRET_ACCESS_KEY"] = token_hex(32)
        environment = inherited() | key | {"PYTHONPATH": str(ROOT)}
        environment["MOTO_DISABLE_GLOBAL_CORS"] = "true"  # no page of a browser is meant
        command = [sys.executable, "-m", "helpers.cloud.rehearsal.server", str(self.folder), region]
        with tempfile.TemporaryFile() as log:  # it has no name, so nobody has to remove it
            self._process = Guarded(command, environment, ROOT, log, own=self.folder)
            self.pid = self._process.pid
            atexit.register(self.close)
            self.address = wait_for_address(self.folder, self._process, START_SECONDS)
            log.seek(0)
            said = "" if self.address else log.read().decode(errors="replace").strip()
        if not self.address:
            self.close()
            last = "\n".join(said.splitlines()[-5:]) or "nothing"
            what = f"the rehearsal to start within {START_SECONDS} s"
            found = f"that its process ended. It said: {last}"
            raise expected(what, found, "Free some memory, and run the cell again.")
        self.boto = loopback_session(self.address, region, *key.values())

    def route(self, params: dict[str, Any], **_: Any) -> None:
        """Sends invoke_endpoint straight to the container: a hook of botocore before the call."""
        path = self.folder / "endpoints" / params["url_path"].split("/")[2] / ADDRESS
        if path.exists():
            params["url"] = f"{path.read_text()}{params['url_path']}"

    def close(self) -> None:
        """Ends it with all its jobs and endpoints; may be called twice."""
        atexit.unregister(self.close)
        self._process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def inherited() -> dict[str, str]:
    """Returns what a process of the rehearsal gets of the learner's environment."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | without_proxy()


def without_proxy() -> dict[str, str]:
    """Returns the variables that keep what stays on this machine from a proxy."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = given if given == "*" else ",".join(filter(None, [given, "127.0.0.1", "localhost"]))
    return {"no_proxy": names, "NO_PROXY": names}


def loopback_session(address: str, region: str, key_id: str, secret: str) -> boto3.Session:
    """Returns a boto3 session whose clients all talk to the rehearsal, and not through a proxy.

    The environment does not have the address: other code of this process keeps the AWS it means,
    whose profiles, settings and proxies do not count here.
    """

    class LoopbackSession(boto3.Session):
        def client(self, service_name: str, *positional: Any, **options: Any) -> Any:
            options["endpoint_url"] = options.get("endpoint_url") or address
            options["config"] = Config(proxies={}).merge(options.get("config") or Config())
            return super().client(service_name, *positional, **options)

    usual = botocore.session.Session.SESSION_VARIABLES.items()
    settings = {name: (None, None, default, kind) for name, (_, _, default, kind) in usual}
    settings |= dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    alone = botocore.session.Session(settings)
    return LoopbackSession(key_id, secret, region_name=region, botocore_session=alone)


def wait_for_address(folder: Path, program: Guarded, seconds: float) -> str:
    """Returns what a program writes into FOLDER/address when it serves; "" where it does not."""
    path, end = folder / ADDRESS, time.monotonic() + seconds
    while program.poll() is None and time.monotonic() < end:
        if path.exists():
            return path.read_text()
        time.sleep(0.05)
    return ""
