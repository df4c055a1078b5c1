"""One machine of a training job: its /opt/ml folder, its channels and its process."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from helpers.cloud.processes import Guarded

CONTAINER_FOLDER = "/opt/ml"  # where the job expects everything
RELOCATED = (".py", ".sh", ".json")  # files of the SDK's own channel that name that folder
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")  # no secrets, no switches


class Host:
    """A folder that looks like a training container, and what runs in it.

    Args:
        name: as in `SM_CURRENT_HOST`.
        addresses: name of every host, in order, to where it listens.
        folder: its own; `opt/ml` goes below it.
        job: the answer of DescribeTrainingJob.
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
            channels[name] = {
                "TrainingInputMode": "File",
                "S3DistributionType": kind,
                "RecordWrapperType": "None",
            }
        if checkpoints := self.job.get("CheckpointConfig", {}).get("S3Uri"):
            download_prefix(s3, checkpoints, self.ml / "checkpoints")
        self._configure("inputdataconfig", channels)
        self._configure("hyperparameters", self.job.get("HyperParameters", {}))
        kind = self.job["ResourceConfig"]["InstanceType"]
        group = {"instance_group_name": "homogeneousCluster", "instance_type": kind}
        self._configure(
            "resourceconfig",
            {
                "current_host": self.name,
                "current_instance_type": kind,
                "current_group_name": "homogeneousCluster",
                "hosts": self.names,
                "instance_groups": [{**group, "hosts": self.names}],
                "network_interface_name": "lo",
            },
        )

    def _configure(self, name: str, value: Any) -> None:
        path = self.ml / "input" / "config" / f"{name}.json"
        path.write_text(json.dumps(value), encoding="utf-8")

    def relocate(self) -> None:
        """Makes the SDK's own scripts look for `/opt/ml` where this host has it."""
        for path in (self.ml / "input" / "data" / "sm_drivers").rglob("*"):
            if path.suffix in RELOCATED:
                path.write_text(self._here(path.read_text(encoding="utf-8")), encoding="utf-8")

    def _here(self, text: str) -> str:
        return re.sub(rf"{CONTAINER_FOLDER}(?=[/\"'\s]|$)", str(self.ml), text)

    def environment(self) -> dict[str, str]:
        """Returns the container's environment: nothing of the learner's but what a program needs.

        A real container has no notebook's variables either, and credentials must not get into
        a log.
        """
        own = {name: os.environ[name] for name in INHERITED if name in os.environ}
        first = str(Path(sys.executable).parent)  # its python3 is this notebook's
        given = self.job.get("Environment") or {}
        return {
            **own,
            "PATH": f"{first}{os.pathsep}{own.get('PATH', os.defpath)}",
            "TRAINING_JOB_NAME": self.job["TrainingJobName"],
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONUNBUFFERED": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "WORKSHOP_HOST_ADDRESSES": self._addresses,  # nobody here knows where algo-1 is
            **{name: self._here(value) for name, value in given.items()},
        }

    def start(self) -> None:
        """Starts what the container would start."""
        algorithm = self.job["AlgorithmSpecification"]
        words = algorithm["ContainerEntrypoint"] + algorithm.get("ContainerArguments", [])
        command = [self._here(word) for word in words]
        self.process = Guarded(command, self.environment(), self.ml, subprocess.PIPE)

    def has_failed(self) -> bool:
        """Whether its program ended with an error."""
        return not self.process.running() and self.process.wait() != 0

    def failure(self) -> str:
        """Returns how its program failed, in the words that it left."""
        path = self.ml / "output" / "failure"
        said = path.read_text(encoding="utf-8", errors="replace").strip() if path.exists() else ""
        return f"{said or 'the program failed'}, exit code: {self.process.wait()}"


def split_uri(uri: str) -> tuple[str, str]:
    """Returns bucket and key of an `s3://` address."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def download_prefix(s3: Any, uri: str, folder: Path, part: tuple[int, int] = (0, 1)) -> int:
    """Downloads all objects below a prefix, or every n-th of them; returns how many there are.

    Args:
        s3: a client.
        uri: the prefix, or one object.
        folder: where it goes.
        part: (number, parts): which objects, in the order of their keys.

    Raises:
        ValueError: a key that would leave the folder.
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
