"""Starts the rehearsal from the notebook's side, and ends it with the notebook."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from helpers.cloud.processes import Guarded
from helpers.common import ROOT, WorkshopError

START_SECONDS = 90  # moto imports much
HIDDEN = ("AWS_", "BOTO_", "SAGEMAKER_")  # of the learner's environment: nothing real gets in


class Rehearsal:
    """AWS on this machine: an S3, a control plane, jobs and endpoints, all on the loopback.

    Args:
        region: the one to play.

    Raises:
        WorkshopError: it did not start.
    """

    def __init__(self, region: str):
        if (sys.modules.get("moto") is None) and not _installed("moto"):
            raise WorkshopError(
                "the rehearsal expected the package moto, found none. Install it: "
                "pip install -r requirements.txt"
            )
        self.folder = Path(tempfile.mkdtemp(prefix="workshop-rehearsal-"))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(HIDDEN)}
        environment |= {"PYTHONPATH": str(ROOT), "AWS_EC2_METADATA_DISABLED": "true"}
        command = [sys.executable, "-m", "helpers.cloud.rehearsal.server"]
        options = ["--folder", str(self.folder), "--region", region]
        self._process = Guarded([*command, *options], environment, ROOT, subprocess.PIPE)
        ports = self._read_ports()
        self.address = f"http://127.0.0.1:{ports['control']}"
        self.runtime_address = f"http://127.0.0.1:{ports['runtime']}"
        atexit.register(self.close)

    def _read_ports(self) -> dict[str, int]:
        timer = threading.Timer(START_SECONDS, self._process.stop)
        timer.start()
        said = []
        try:
            for line in self._process.output:
                if line.startswith(b"{"):
                    return json.loads(line)
                said.append(line.decode("utf-8", "replace"))
        finally:
            timer.cancel()
        self.close()
        last = "".join(said[-5:]).strip() or "nothing"
        raise WorkshopError(
            f"expected the rehearsal to start within {START_SECONDS} s, found that its process "
            f"ended. It said: {last}. Free some memory, and run the cell again."
        )

    @property
    def pid(self) -> int:
        """The process id that all its processes descend from."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process.running()

    def close(self) -> None:
        """Ends it with all its jobs and endpoints; may be called twice."""
        atexit.unregister(self.close)
        self._process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _installed(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None
