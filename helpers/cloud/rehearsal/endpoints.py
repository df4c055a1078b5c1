"""Endpoints that answer: each archive in a container of its own."""

import contextlib
import os
import shutil
import sys
import tarfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from helpers.cloud.processes import Guarded, free_port
from helpers.cloud.rehearsal.hosts import split_uri
from helpers.common import ROOT

START_SECONDS = 150  # for a container to answer /ping
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
LIMITS = {"real-time": 6 * 2**20, "serverless": 4 * 2**20}  # bytes of a body, as AWS has them


class Endpoint:
    """An endpoint: a container, started in a thread.

    Args:
        record: moto's, whose status is kept true.
        backend: moto's, with the configuration and the model.
        s3: a client.
        folder: for the unpacked archive; removed at the end.
    """

    def __init__(self, record: Any, backend: Any, s3: Any, folder: Path):
        self._record, self._backend, self._s3, self._folder = record, backend, s3, folder
        self._port = free_port()
        self._address = f"http://127.0.0.1:{self._port}"
        self._container: Guarded | None = None
        self._deleted = False
        self._kind, self.output = "real-time", ""
        record.endpoint_status = "Creating"
        self._thread = threading.Thread(target=self._start, daemon=True)
        self._thread.start()

    @property
    def status(self) -> str:
        """Creating, InService or Failed."""
        return self._record.endpoint_status

    def stop(self) -> None:
        """Ends the container."""
        self._deleted = True
        while self._thread.is_alive():  # it may be about to start the container
            if self._container:
                self._container.stop()
            self._thread.join(0.1)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        log = self._folder / "container.log"
        try:
            archive = self._unpack()
            command = [sys.executable, "-m", "helpers.cloud.rehearsal.container"]
            command += [str(archive), str(self._port), str(LIMITS[self._kind])]
            with log.open("wb") as output:
                self._container = Guarded(command, os.environ, ROOT, output)
            self._wait()
            (self._folder / "port").write_text(str(self._port))
            self._record.endpoint_status = "InService"
            self._container.wait()
            (self._folder / "port").unlink(missing_ok=True)  # whoever asks now is told
        except Exception as error:
            lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
            said = f"It said: {lines[-1][:300]}. " if lines else ""
            self._record.failure_reason = (
                f"The primary container did not pass the ping health check. {said}{error}"
            )
            self._record.endpoint_status = "Failed"

    def _unpack(self) -> Path:
        config = self._backend.describe_endpoint_config(self._record.endpoint_config_name)
        variant = config["ProductionVariants"][0]
        self._kind = "serverless" if "ServerlessConfig" in variant else "real-time"
        asynchronous = config.get("AsyncInferenceConfig") or {}
        self.output = asynchronous.get("OutputConfig", {}).get("S3OutputPath", "")
        model = self._backend.describe_model(variant["ModelName"])
        bucket, key = split_uri(model.primary_container["ModelDataUrl"])
        path, folder = self._folder / "model.tar.gz", self._folder / "model"
        self._folder.mkdir(parents=True)
        self._s3.download_file(bucket, key, str(path))
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
        return folder

    def _wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._container.running() and not self._deleted:
            with contextlib.suppress(requests.RequestException):
                requests.get(f"{self._address}/ping", timeout=5).raise_for_status()
                return
            time.sleep(0.1)
        raise RuntimeError("the container ended" if not self._deleted else "deleted")

    def work(self, source: str, target: str, headers: Mapping[str, str]) -> None:
        """Passes what lies in S3 to the container, and puts its answer there."""
        bucket, key = split_uri(source)
        body = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        answer = requests.post(f"{self._address}/invocations", data=body, headers=headers)
        bucket, key = split_uri(target)
        if answer.status_code != 200:
            key = key.removesuffix(".out") + "-error.out"
        self._s3.put_object(Bucket=bucket, Key=key, Body=answer.content)
