"""Runs the training jobs that were created, and keeps moto's records of them true."""

import contextlib
import os
import re
import shutil
import tarfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moto.core.utils import utcnow

from helpers.cloud.processes import free_port
from helpers.cloud.rehearsal.hosts import Host, split_uri

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
LOOK_SECONDS = 0.5  # between two looks at the hosts
SYNC_SECONDS = 2  # between two copies of the checkpoints to S3
REASON_LENGTH = 1024  # SageMaker cuts its FailureReason there


class RunningJob:
    """One training job: its hosts run in processes, a thread watches over them.

    Args:
        record: moto's, which DescribeTrainingJob and ListTrainingJobs answer with.
        s3: a client.
        logs: moto's backend.
        folder: for its hosts; removed at the end.
    """

    def __init__(self, record: Any, s3: Any, logs: Any, folder: Path):
        self.name, self.folder, self._record = record.training_job_name, folder, record
        self._s3, self._logs = s3, logs
        self._hosts: list[Host] = []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._late = False
        self._metrics: dict[str, dict[str, Any]] = {}
        self._copied: dict[str, int] = {}  # key of a checkpoint to when it was written
        record.training_job_status, record.secondary_status_transitions = "InProgress", []
        record.training_start_time, record.training_end_time = utcnow(), None
        record.final_metric_data_list = []
        record.failure_reason = record.training_time_in_seconds = None
        self._change("Starting")
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Ends the job before its time."""
        with self._lock:
            if self._record.training_job_status != "InProgress":
                return
            self._record.training_job_status = "Stopping"
        self._stop.set()
        self.thread.join(30)

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
            shutil.rmtree(self.folder, ignore_errors=True)

    def _work(self) -> None:
        job = self._record.response_object
        count = job["ResourceConfig"]["InstanceCount"]
        places = {f"algo-{i + 1}": f"127.0.0.1:{free_port()}" for i in range(count)}
        self._hosts = [Host(name, places, self.folder / name, job) for name in places]
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
        last_copy, failed = time.monotonic(), None
        while any(host.process.running() for host in self._hosts):
            self._stop.wait(LOOK_SECONDS)
            if time.monotonic() - last_copy > SYNC_SECONDS:
                self._copy_checkpoints(job)
                last_copy = time.monotonic()
            self._late = time.monotonic() > limit
            failed = failed or next(filter(Host.has_failed, self._hosts), None)
            if failed or self._late or self._stop.is_set():  # one that fails ends all
                for host in self._hosts:
                    host.process.stop()
        for reader in readers:
            reader.join(10)
        self._copy_checkpoints(job)
        return failed or next(filter(Host.has_failed, self._hosts), None)

    def _read(self, host: Host) -> None:
        """Puts what a host prints into the log, as CloudWatch gets it, and finds its metrics."""
        stream = f"{self.name}/{host.name}"
        for line in host.process.output:
            line = line.decode("utf-8", "replace").rstrip("\n")
            event = {"timestamp": int(time.time() * 1000), "message": line or " "}
            self._logs.ensure_log_group(LOG_GROUP)
            self._logs.ensure_log_stream(LOG_GROUP, stream)
            self._logs.put_log_events(LOG_GROUP, stream, [event])
            for definition in self._record.algorithm_specification["MetricDefinitions"]:
                if found := re.search(definition["Regex"], line):
                    name, value = definition["Name"], float(found[1])
                    figure = {"MetricName": name, "Value": value, "Timestamp": utcnow()}
                    self._metrics[name] = figure
                    self._record.final_metric_data_list = list(self._metrics.values())

    def _upload(self, job: Mapping[str, Any]) -> None:
        first = self._hosts[0].ml
        bucket, prefix = split_uri(job["OutputDataConfig"]["S3OutputPath"])
        place = f"{prefix.rstrip('/')}/{self.name}/output".lstrip("/")
        for folder, name in (("model", "model.tar.gz"), ("output/data", "output.tar.gz")):
            items = sorted((first / folder).iterdir())
            if items or folder == "model":
                path = first.parent / name
                with tarfile.open(path, "w:gz", compresslevel=1) as archive:
                    for item in items:
                        archive.add(item, item.name)
                self._s3.upload_file(str(path), bucket, f"{place}/{name}")

    def _copy_checkpoints(self, job: Mapping[str, Any]) -> None:
        if uri := job.get("CheckpointConfig", {}).get("S3Uri"):
            folder = self._hosts[0].ml / "checkpoints"
            self._copied = copy_folder(self._s3, folder, uri, self._copied)

    def _end(self, status: str, reason: str = "", secondary: str = "") -> None:
        record = self._record
        self._change(secondary or status)
        record.training_end_time = record.last_modified_time
        seconds = (record.training_end_time - record.training_start_time).total_seconds()
        record.training_time_in_seconds = max(1, round(seconds))
        record.failure_reason = reason or None
        record.training_job_status = status  # last: it tells that all the rest is there


def copy_folder(s3, folder: Path, uri: str, copied: Mapping[str, int]) -> dict[str, int]:
    """Copies to S3 the files of a folder in which a program is at work.

    A file that the program has removed since the folder was listed is left out: a run replaces
    its state of the last epoch by that of the next. `copied` is what an earlier call returned:
    key to modification time, in nanoseconds.
    """
    bucket, prefix = split_uri(uri)
    done = dict(copied)
    # os.walk skips a folder that vanishes meanwhile; Path.rglob raises.
    places = sorted(Path(root) / name for root, _, names in os.walk(folder) for name in names)
    for path in places:
        key = f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}"
        with contextlib.suppress(FileNotFoundError):
            stamp = path.stat().st_mtime_ns
            if done.get(key) != stamp:
                s3.upload_file(str(path), bucket, key)
                done[key] = stamp
    return done
