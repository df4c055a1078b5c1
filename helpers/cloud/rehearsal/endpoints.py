"""Endpoints that answer: each archive in a container of its own."""

import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

from helpers.cloud.guard import Guarded, inherited
from helpers.cloud.rehearsal.jobs import split_uri
from helpers.common import ROOT, extract

START_SECONDS = 150  # for a container to load the model
LIMITS = {"real-time": 6 * 2**20, "serverless": 4 * 2**20}  # bytes of a body, as AWS has them


class Endpoint:
    """A container, started in a thread that keeps moto's record of the endpoint true."""

    limit: int  # bytes of a body
    address: str  # of the container

    def __init__(self, record: Any, backend: Any, s3: Any, folder: Path):
        self.record, self._backend, self._s3, self._folder = record, backend, s3, folder
        self._container: Guarded | None = None
        record.endpoint_status = "Creating"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the container."""
        while self._thread.is_alive():  # it may be about to start it
            if self._container:
                self._container.stop()
            self._thread.join(0.1)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self) -> None:
        log = self._folder / "container.log"
        try:
            self.limit = LIMITS[self._unpack()]
            command = [sys.executable, "-m", "helpers.cloud.rehearsal.container", self._folder]
            with log.open("wb") as output:
                self._container = Guarded(command, inherited(), ROOT, output)
            self.address = self._wait_for_address()
        except Exception as error:
            lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
            said = f"It said: {lines[-1][:300]}. {error}" if lines else f"{error}"
            reason = "The primary container did not pass the ping health check."
            self.record.failure_reason = f"{reason} {said}"
        else:
            self.record.endpoint_status = "InService"
            self._container.wait()
        self.record.endpoint_status = "Failed"

    def _wait_for_address(self) -> str:
        path, end = self._folder / "address", time.monotonic() + START_SECONDS
        while self._container.poll() is None and time.monotonic() < end:
            if path.exists():
                return path.read_text()
            time.sleep(0.05)
        raise RuntimeError("the container ended")

    def _unpack(self) -> str:
        """Puts the archive into the folder; returns the kind of endpoint."""
        config = self._backend.describe_endpoint_config(self.record.endpoint_config_name)
        if config.get("AsyncInferenceConfig"):
            raise ValueError("The rehearsal has no asynchronous endpoints.")
        variant = config["ProductionVariants"][0]
        model = self._backend.describe_model(variant["ModelName"])
        bucket, key = split_uri(model.primary_container["ModelDataUrl"])
        self._folder.mkdir(parents=True)
        path = self._folder / "model.tar.gz"
        self._s3.download_file(bucket, key, str(path))
        extract(path, self._folder / "model")
        return "serverless" if "ServerlessConfig" in variant else "real-time"
