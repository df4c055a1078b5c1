"""Runs the training jobs that were created, and keeps moto's records of them true."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moto.core.utils import utcnow

from helpers.cloud.guard import Guarded, inherited
from helpers.common import write_json

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
LOOK_SECONDS = 0.5  # between two looks at the hosts
REASON_LENGTH = 1024  # SageMaker cuts its FailureReason there
CONTAINER_FOLDER = "/opt/ml"  # where the job expects everything
RELOCATED = (".py", ".sh", ".json")  # files of the SDK's own channel that name that folder


class Host:
    """A folder that looks like a training container, and what runs in it.

    `addresses` are those of every worker; the job is the answer of DescribeTrainingJob.
    """

    process: Guarded

    def __init__(
        self, name: str, addresses: Mapping[str, str], folder: Path, job: Mapping[str, Any]
    ):
        self.name, self.names, self.job = name, list(addresses), job
        self._addresses = ",".join(f"{host}={place}" for host, place in addresses.items())
        self.ml = folder / "opt" / "ml"
        for part in ("model", "output/data", "input/data", "input/config", "checkpoints"):
            (self.ml / part).mkdir(parents=True, exist_ok=True)

    def fill(self, s3: Any) -> None:
        """Downloads the channels and writes the files that SageMaker puts beside them."""
        channels = {}
        for channel in self.job.get("InputDataConfig", []):
            name, source = channel["ChannelName"], channel["DataSource"]["S3DataSource"]
            kind = source.get("S3DataDistributionType", "FullyReplicated")
            sharded = kind == "ShardedByS3Key"
            part = (self.names.index(self.name), len(self.names)) if sharded else (0, 1)
            if not download_prefix(s3, source["S3Uri"], self.ml / "input" / "data" / name, part):
                raise FileNotFoundError(f"no data in {source['S3Uri']}")
            same = {"TrainingInputMode": "File", "RecordWrapperType": "None"}
            channels[name] = {**same, "S3DistributionType": kind}
        if checkpoints := self.job.get("CheckpointConfig", {}).get("S3Uri"):
            download_prefix(s3, checkpoints, self.ml / "checkpoints")
        kind = self.job["ResourceConfig"]["InstanceType"]
        group, hosts = "homogeneousCluster", {"hosts": self.names}
        configuration = {
            "inputdataconfig": channels,
            "hyperparameters": self.job.get("HyperParameters", {}),
            "resourceconfig": hosts
            | {"current_host": self.name, "current_instance_type": kind}
            | {"current_group_name": group, "network_interface_name": "lo"}
            | {"instance_groups": [{"instance_group_name": group, "instance_type": kind} | hosts]},
        }
        for name, value in configuration.items():
            write_json(self.ml / "input" / "config" / f"{name}.json", value)

    def relocate(self) -> None:
        """Makes the SDK's own scripts look for `/opt/ml` where this host has it."""
        for path in (self.ml / "input" / "data" / "sm_drivers").rglob("*"):
            if path.suffix in RELOCATED:
                path.write_text(self._here(path.read_text(encoding="utf-8")), encoding="utf-8")

    def _here(self, text: str) -> str:
        return re.sub(rf"{CONTAINER_FOLDER}(?=[/\"'\s]|$)", str(self.ml), text)

    def environment(self) -> dict[str, str]:
        """Returns what a program needs and no more: credentials must not reach a log."""
        own = inherited()
        first = str(Path(sys.executable).parent)  # its python3 is this notebook's
        given = self.job.get("Environment") or {}
        return own | {
            "PATH": f"{first}{os.pathsep}{own.get('PATH', os.defpath)}",
            "TRAINING_JOB_NAME": self.job["TrainingJobName"],
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONUNBUFFERED": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "WORKSHOP_HOST_ADDRESSES": self._addresses,  # nobody here knows where algo-1 is
            **{name: self._here(value) for name, value in given.items()},
        }

    def start(self) -> None:
        """Starts the container's program."""
        algorithm = self.job["AlgorithmSpecification"]
        words = algorithm["ContainerEntrypoint"] + algorithm.get("ContainerArguments", [])
        command = [self._here(word) for word in words]
        self.process = Guarded(command, self.environment(), self.ml, subprocess.PIPE)

    def failure(self) -> str:
        """Returns how its program failed, in the words that it left."""
        path = self.ml / "output" / "failure"
        said = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
        return f"{said or 'the program failed'}, exit code: {self.process.wait()}"


def free_port() -> int:
    """Returns a port of the loopback that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def split_uri(uri: str) -> tuple[str, str]:
    """Returns bucket and key of an `s3://` address."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def download_prefix(s3: Any, uri: str, folder: Path, part: tuple[int, int] = (0, 1)) -> int:
    """Downloads an object, or those below a prefix; returns how many there are.

    `part` is (number, parts): the objects, in the order of their keys, of which one part is wanted.
    """
    bucket, prefix = split_uri(uri)
    stem = prefix.rstrip("/")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    inside = sorted(key for key in keys if key == prefix or key.startswith(f"{stem}/"))
    for key in inside[part[0] :: part[1]]:
        target = folder / (key[len(stem) + 1 :] or Path(key).name)
        if not target.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"the key {key!r} leads out of its channel")
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(target))
    return len(inside)


class RunningJob:
    """A training job: its workers run in processes, which a thread watches.

    moto answers DescribeTrainingJob and ListTrainingJobs with its `record`, and the logs from its
    backend `logs`. The folder is the workers'; it is removed at the end.
    """

    def __init__(self, record: Any, s3: Any, logs: Any, folder: Path):
        self.name, self._folder, self._record = record.training_job_name, folder, record
        self._s3, self._logs = s3, logs
        self._hosts: list[Host] = []
        self._stop, self._late = threading.Event(), False
        self._metrics: dict[str, dict[str, Any]] = {}
        record.training_job_status, record.secondary_status_transitions = "InProgress", []
        record.training_start_time, record.final_metric_data_list = utcnow(), []
        record.training_end_time = record.failure_reason = None
        record.training_time_in_seconds = record.billable_time_in_seconds = None
        self._change("Starting")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the job before its time."""
        if self._record.training_job_status == "InProgress":
            self._record.training_job_status = "Stopping"
            self._stop.set()
            self._thread.join(30)

    def _change(self, secondary: str) -> None:
        now, steps = utcnow(), self._record.secondary_status_transitions
        if steps:
            steps[-1]["EndTime"] = now
        steps.append({"Status": secondary, "StartTime": now, "StatusMessage": ""})
        self._record.secondary_status, self._record.last_modified_time = secondary, now

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self._end("Failed", f"ClientError: {error}")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _work(self) -> None:
        job = self._record.response_object
        count = job["ResourceConfig"]["InstanceCount"]
        places = {f"algo-{i + 1}": f"127.0.0.1:{free_port()}" for i in range(count)}
        self._hosts = [Host(name, places, self._folder / name, job) for name in places]
        self._change("Downloading")
        for host in self._hosts:
            host.fill(self._s3)
            host.relocate()
        if self._stop.is_set():
            return self._end("Stopped")
        self._change("Training")
        failed = self._train(job)
        if self._stop.is_set() or self._late:
            return self._end("Stopped", secondary="MaxRuntimeExceeded" if self._late else "")
        if failed:
            return self._end("Failed", f"AlgorithmError: {failed.failure()}"[:REASON_LENGTH])
        self._change("Uploading")
        self._upload(job)
        return self._end("Completed")

    def _train(self, job: Mapping[str, Any]) -> Host | None:
        """Runs the hosts to their end; returns the first that failed."""
        readers = [threading.Thread(target=self._read, args=(h,), daemon=True) for h in self._hosts]
        for host, reader in zip(self._hosts, readers):
            host.start()
            reader.start()
        limit = time.monotonic() + job["StoppingCondition"]["MaxRuntimeInSeconds"]
        failed = None
        while any(host.process.poll() is None for host in self._hosts):
            self._stop.wait(LOOK_SECONDS)
            self._late = time.monotonic() > limit
            failed = failed or next((host for host in self._hosts if host.process.poll()), None)
            if failed or self._late or self._stop.is_set():  # one that fails ends all
                for host in self._hosts:
                    host.process.stop()
        for reader in readers:
            reader.join(10)
        self._copy_checkpoints(job)
        return failed or next((host for host in self._hosts if host.process.poll()), None)

    def _read(self, host: Host) -> None:
        """Puts what a host prints into the log, as CloudWatch gets it, and finds its metrics."""
        stream = f"{self.name}/{host.name}-{int(time.time())}"
        for line in host.process.stdout:
            line = line.decode("utf-8", "replace").rstrip("\n")
            event = {"timestamp": int(time.time() * 1000), "message": line or " "}
            self._logs.ensure_log_group(LOG_GROUP)
            self._logs.ensure_log_stream(LOG_GROUP, stream)
            self._logs.put_log_events(LOG_GROUP, stream, [event])
            for definition in self._record.algorithm_specification["MetricDefinitions"]:
                if found := re.search(definition["Regex"], line):
                    name, value, now = definition["Name"], float(found[1]), utcnow()
                    self._metrics[name] = {"MetricName": name, "Value": value, "Timestamp": now}
                    self._record.final_metric_data_list = list(self._metrics.values())

    def _upload(self, job: Mapping[str, Any]) -> None:
        bucket, prefix = split_uri(job["OutputDataConfig"]["S3OutputPath"])
        place = f"{prefix.rstrip('/')}/{self.name}/output".lstrip("/")
        for folder, name in (("model", "model.tar.gz"), ("output/data", "output.tar.gz")):
            items = sorted((self._hosts[0].ml / folder).iterdir())
            if items or folder == "model":
                path = self._folder / name
                with tarfile.open(path, "w:gz", compresslevel=1) as archive:
                    for item in items:
                        archive.add(item, item.name)
                self._s3.upload_file(str(path), bucket, f"{place}/{name}")

    def _copy_checkpoints(self, job: Mapping[str, Any]) -> None:
        """Copies them once, at the end; AWS does so all the time."""
        if uri := job.get("CheckpointConfig", {}).get("S3Uri"):
            bucket, prefix = split_uri(uri)
            folder = self._hosts[0].ml / "checkpoints"
            for path in (path for path in folder.rglob("*") if path.is_file()):
                key = f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}"
                self._s3.upload_file(str(path), bucket, key)

    def _end(self, status: str, reason: str = "", secondary: str = "") -> None:
        record = self._record
        self._change(secondary or status)
        record.training_end_time = record.last_modified_time
        seconds = (record.training_end_time - record.training_start_time).total_seconds()
        record.training_time_in_seconds = max(1, round(seconds))
        record.billable_time_in_seconds = record.training_time_in_seconds  # of each instance
        record.failure_reason = reason or None
        record.training_job_status = status  # last: it means that all the rest is there
