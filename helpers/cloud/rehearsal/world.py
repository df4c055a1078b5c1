"""Starts the rehearsal from the notebook's side, and ends it with the notebook."""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from helpers.cloud.processes import Guarded
from helpers.common import ROOT, WorkshopError, expected

START_SECONDS = 90  # moto imports much
HIDDEN = ("AWS_", "BOTO_", "SAGEMAKER_")  # of the learner's environment: nothing real gets in

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"  # the header that a script may read


class Rehearsal:
    """AWS on this machine: an S3, a control plane, jobs and endpoints, all on the loopback.

    `address` is http://127.0.0.1:port; all its processes descend from `pid`.
    """

    def __init__(self, region: str):
        if importlib.util.find_spec("moto") is None:
            message = "the rehearsal expected the package moto, found none. Install it: "
            raise WorkshopError(f"{message}pip install -r requirements.txt")
        self.folder = Path(tempfile.mkdtemp(prefix="workshop-rehearsal-"))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(HIDDEN)}
        environment |= {"PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true"}
        environment["no_proxy"] = "127.0.0.1"  # what stays on this machine needs no proxy
        command = [sys.executable, "-m", "helpers.cloud.rehearsal.server", str(self.folder), region]
        with (self.folder / "server.log").open("wb") as log:
            self._process = Guarded(command, environment, ROOT, log)
        self.pid = self._process.pid
        atexit.register(self.close)
        port = wait_for_port(self.folder, self._process, START_SECONDS)
        if not port:
            said = (self.folder / "server.log").read_text(errors="replace").splitlines()
            self.close()
            last = "\n".join(said[-5:]).strip() or "nothing"
            what = f"the rehearsal to start within {START_SECONDS} s"
            found = f"that its process ended. It said: {last}"
            raise expected(what, found, "Free some memory, and run the cell again.")
        self.address = f"http://127.0.0.1:{port}"

    def route(self, params: dict[str, Any], **_: Any) -> None:
        """Sends invoke_endpoint straight to the container: a hook of botocore before the call."""
        path = self.folder / "endpoints" / params["url_path"].split("/")[2] / "port"
        if path.exists():
            params["url"] = f"http://127.0.0.1:{path.read_text()}{params['url_path']}"

    def close(self) -> None:
        """Ends it with all its jobs and endpoints; may be called twice."""
        atexit.unregister(self.close)
        self._process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_for_port(folder: Path, program: Guarded, seconds: float) -> int:
    """Returns what a program writes into FOLDER/port when it serves; 0 where it does not."""
    path, end = folder / "port", time.monotonic() + seconds
    while program.running() and time.monotonic() < end:
        if path.exists() and (text := path.read_text()):
            return int(text)
        time.sleep(0.05)
    return 0
