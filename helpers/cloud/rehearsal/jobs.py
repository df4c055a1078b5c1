"""Runs the training jobs that were created, and tells the truth about them."""

import os
import re
import shutil
import tarfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.cloud.processes import free_port
from helpers.cloud.rehearsal.host import Host, split_uri

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
LOG_SECONDS = 0.5  # between two deliveries to the log
SYNC_SECONDS = 2  # between two copies of the checkpoints to S3
REASON_LENGTH = 1024  # SageMaker cuts its FailureReason there


class Job:
    """One training job: its hosts run in processes, a thread watches over them.

    Args:
        name: of the job.
        clients: service name to a client of the rehearsal.
        folder: for its hosts; removed at the end.
    """

    def __init__(self, name: str, clients: Mapping[str, Any], folder: Path):
        self.name, self.folder = name, folder
        self._clients = clients
        self._hosts: list[Host] = []
        self._pending: list[tuple[str, int, str]] = []  # (host, milliseconds, line)
        self._lock = threading.Lock()
        self._stopping, self._late = False, False
        self._failed: Host | None = None  # the first one; it takes the others with it
        self._metrics: dict[str, tuple[float, float]] = {}
        self._copied: dict[str, int] = {}  # key of a checkpoint to when it was written
        self.status, self.secondary, self.reason = "InProgress", "", ""
        self.transitions: list[dict[str, Any]] = []
        self.began, self.ended = time.time(), None
        self._change("Starting")
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def truth(self) -> dict[str, Any]:
        """Returns what DescribeTrainingJob has to say instead of what moto says."""
        found = {
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            "SecondaryStatusTransitions": self.transitions,
            "TrainingStartTime": self.began,
            "LastModifiedTime": self.transitions[-1]["StartTime"],
            "FinalMetricDataList": [
                {"MetricName": metric, "Value": value, "Timestamp": moment}
                for metric, (value, moment) in self._metrics.items()
            ],
        }
        if self.ended:
            seconds = max(1, round(self.ended - self.began))
            found |= {"TrainingEndTime": self.ended, "TrainingTimeInSeconds": seconds}
        return found | ({"FailureReason": self.reason} if self.reason else {})

    def stop(self) -> None:
        """Ends the job before its time."""
        with self._lock:
            if self.status != "InProgress":
                return
            self._stopping, self.status = True, "Stopping"
        for host in self._hosts:
            if host.process:
                host.process.stop()
        self.thread.join(30)

    def _change(self, secondary: str) -> None:
        now = time.time()
        if self.transitions:
            self.transitions[-1]["EndTime"] = now
        self.secondary = secondary
        self.transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": ""})

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self._end("Failed", f"ClientError: {error}")
        finally:
            self._deliver()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _work(self) -> None:
        job = self._clients["sagemaker"].describe_training_job(TrainingJobName=self.name)
        self._definitions = job["AlgorithmSpecification"].get("MetricDefinitions", [])
        count = job["ResourceConfig"]["InstanceCount"]
        places = {f"algo-{i + 1}": f"127.0.0.1:{free_port()}" for i in range(count)}
        self._hosts = [Host(name, places, self.folder / name, job) for name in places]
        self._change("Downloading")
        for host in self._hosts:
            host.fill(self._clients["s3"])
            host.relocate()
        if self._stopping:
            return self._end("Stopped")
        self._change("Training")
        codes = self._train(job)
        if self._stopping or self._late:
            return self._end("Stopped", secondary="MaxRuntimeExceeded" if self._late else "")
        if any(codes):
            return self._end("Failed", self._failure(codes))
        self._change("Uploading")
        self._upload(job)
        return self._end("Completed")

    def _train(self, job: Mapping[str, Any]) -> list[int]:
        readers = []
        for host in self._hosts:
            host.start()
            reader = threading.Thread(target=self._read, args=(host,), daemon=True)
            readers.append(reader)
            reader.start()
        limit = time.monotonic() + job["StoppingCondition"]["MaxRuntimeInSeconds"]
        last_copy = time.monotonic()
        while any(host.process.running() for host in self._hosts):
            time.sleep(LOG_SECONDS)
            self._deliver()
            if time.monotonic() - last_copy > SYNC_SECONDS:
                self._copy_checkpoints(job)
                last_copy = time.monotonic()
            self._late = time.monotonic() > limit
            self._failed = self._failed or next(filter(_has_failed, self._hosts), None)
            if self._failed or self._late:  # one host that fails ends the job
                self._end_hosts()
        for reader in readers:
            reader.join(10)
        self._copy_checkpoints(job)
        return [host.process.wait() for host in self._hosts]

    def _end_hosts(self) -> None:
        for host in self._hosts:
            host.process.stop()

    def _read(self, host: Host) -> None:
        for line in host.lines():
            with self._lock:
                self._pending.append((host.name, int(time.time() * 1000), line))
            for definition in self._definitions:
                if found := re.search(definition["Regex"], line):
                    self._metrics[definition["Name"]] = (float(found[1]), time.time())

    def _deliver(self) -> None:
        """Puts what was printed into the log, as CloudWatch gets it."""
        with self._lock:
            lines, self._pending = self._pending, []
        logs = self._clients["logs"]
        for name in dict.fromkeys(host for host, _, _ in lines):
            stream = f"{self.name}/{name}"
            events = [
                {"timestamp": moment, "message": line or " "}
                for host, moment, line in lines
                if host == name
            ]
            make_stream(logs, LOG_GROUP, stream)
            logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=stream, logEvents=events)

    def _failure(self, codes: list[int]) -> str:
        first = self._failed or next(h for h, code in zip(self._hosts, codes) if code)
        said, code = first.failure() or "the program failed", first.process.wait()
        return f"AlgorithmError: {said}, exit code: {code}"[:REASON_LENGTH]

    def _upload(self, job: Mapping[str, Any]) -> None:
        first = self._hosts[0].ml
        bucket, prefix = split_uri(job["OutputDataConfig"]["S3OutputPath"])
        place = f"{prefix.rstrip('/')}/{self.name}/output".lstrip("/")
        for folder, name in (("model", "model.tar.gz"), ("output/data", "output.tar.gz")):
            if any((first / folder).iterdir()) or folder == "model":
                path = first.parent / name
                with tarfile.open(path, "w:gz", compresslevel=1) as archive:
                    for item in sorted((first / folder).iterdir()):
                        archive.add(item, item.name)
                self._clients["s3"].upload_file(str(path), bucket, f"{place}/{name}")

    def _copy_checkpoints(self, job: Mapping[str, Any]) -> None:
        uri = job.get("CheckpointConfig", {}).get("S3Uri")
        if uri:
            self._copied = copy_folder(
                self._clients["s3"], self._hosts[0].ml / "checkpoints", uri, self._copied
            )

    def _end(self, status: str, reason: str = "", secondary: str = "") -> None:
        self._deliver()  # whoever sees the end must find the whole log
        self.ended, self.reason = time.time(), reason
        self._change(secondary or status)
        self.status = status


def _has_failed(host: Host) -> bool:
    return not host.process.running() and bool(host.process.wait())


def copy_folder(s3, folder: Path, uri: str, copied: Mapping[str, int]) -> dict[str, int]:
    """Copies to S3 the files of a folder in which a program is at work.

    A file that the program has removed since the folder was listed is left out: a run replaces
    its state of the last epoch by that of the next.

    Args:
        s3: a client.
        folder: what is copied.
        uri: the prefix that it goes to, as `s3://bucket/prefix`.
        copied: key to modification time, in nanoseconds, of what was copied before.

    Returns:
        `copied`, with what was copied now.
    """
    bucket, prefix = split_uri(uri)
    done = dict(copied)
    # os.walk skips a folder that vanishes meanwhile; Path.rglob raises.
    places = sorted(Path(root) / name for root, _, names in os.walk(folder) for name in names)
    for path in places:
        key = f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}"
        try:
            stamp = path.stat().st_mtime_ns
            if done.get(key) != stamp:
                s3.upload_file(str(path), bucket, key)
                done[key] = stamp
        except FileNotFoundError:
            continue
    return done


def make_stream(logs, group: str, stream: str) -> None:
    """Makes a log stream and its group where they are not there yet."""
    for make in (
        lambda: logs.create_log_group(logGroupName=group),
        lambda: logs.create_log_stream(logGroupName=group, logStreamName=stream),
    ):
        try:
            make()
        except logs.exceptions.ResourceAlreadyExistsException:
            continue
