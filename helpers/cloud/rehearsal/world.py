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

from helpers.cloud.guard import Guarded
from helpers.cloud.rehearsal.door import ADDRESS
from helpers.common import ROOT, expected

START_SECONDS = 90  # moto imports much
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")  # no secrets, no switches


class Rehearsal:
    """AWS on this machine: an S3, a control plane, jobs and endpoints, all on the loopback.

    `address` is http://127.0.0.1:port/token; all its processes descend from `pid`.
    """

    def __init__(self, region: str):
        if importlib.util.find_spec("moto") is None:
            fix = "Install it: pip install -r requirements.txt"
            raise expected("the package moto for the rehearsal", "none", fix)
        self.folder = Path(tempfile.gettempdir(), f"workshop-rehearsal-{token_hex(8)}")
        environment = inherited() | {"PYTHONPATH": str(ROOT)}
        environment["MOTO_DISABLE_GLOBAL_CORS"] = "true"  # no page of a browser is meant
        command = [sys.executable, "-m", "helpers.cloud.rehearsal.server", str(self.folder), region]
        with tempfile.TemporaryFile() as log:  # it has no name, so nobody has to remove it
            self._process = Guarded(command, environment, ROOT, log, own=self.folder)
            self.pid = self._process.pid
            atexit.register(self.close)
            self.address = wait_for_address(self.folder, self._process, START_SECONDS)
            if not self.address:
                self.close()
                log.seek(0)
                said = "\n".join(log.read().decode(errors="replace").splitlines()[-5:])
                what = f"the rehearsal to start within {START_SECONDS} s"
                found = f"that its process ended. It said: {said or 'nothing'}"
                raise expected(what, found, "Free some memory, and run the cell again.")
        self.boto = loopback_session(self.address, region)
        self.boto.events.register("before-call.sagemaker-runtime.InvokeEndpoint", self._route)

    def _route(self, params: dict[str, Any], **_: Any) -> None:
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
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = given if given == "*" else ",".join(filter(None, [given, "127.0.0.1", "localhost"]))
    found = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return found | {"no_proxy": names, "NO_PROXY": names}  # what stays here meets no proxy


def loopback_session(address: str, region: str) -> boto3.Session:
    """Returns a boto3 session whose clients all talk to the rehearsal, and not through a proxy.

    No variable has the address: other code of this process keeps the AWS that it means, whose
    profiles, settings and proxies do not count here.
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
    return LoopbackSession("rehearsal", "-", region_name=region, botocore_session=alone)


def wait_for_address(folder: Path, program: Guarded, seconds: float) -> str:
    """Returns what a program writes into FOLDER/address when it serves; "" where it does not."""
    path, end = folder / ADDRESS, time.monotonic() + seconds
    while program.poll() is None and time.monotonic() < end:
        if path.exists():
            return path.read_text()
        time.sleep(0.05)
    return ""
