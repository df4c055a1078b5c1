"""A job through the SDK's own container entrypoint, unchanged, with /opt/ml where AWS has it.

The rehearsal runs the same scripts with their folder moved, because only root can put one at
/opt/ml. Here a mount namespace of its own does what a container would.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.cloud import job, open_session, upload_folder, write_shards
from helpers.cloud.guard import Guarded
from helpers.cloud.ledger import Ledger
from helpers.cloud.rehearsal.jobs import Host, free_port
from helpers.manifest import Manifest
from tests.conftest import SMALLEST

SECONDS = 300  # for both hosts together
MOUNT = 'mount --bind "$0/opt" /opt && mount --bind "$0/hosts" /etc/hosts && exec "$@"'


def obstacle() -> str:
    """Says why this machine cannot run the test; empty where it can."""
    if not sys.platform.startswith("linux") or not shutil.which("unshare"):
        return "needs Linux and the program unshare"
    if os.geteuid() != 0:
        return "needs root, to mount a folder at /opt in a namespace of its own"
    if Path(sys.executable).resolve().is_relative_to("/opt"):
        return "this Python lies in /opt, which the test would hide"
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    return "" if tried.returncode == 0 else "this machine allows no mount namespaces"


pytestmark = pytest.mark.skipif(bool(obstacle()), reason=obstacle() or "none")


def start(host: Host, folder: Path) -> Guarded:
    """Starts the container's own command in a namespace in which /opt/ml is the host's."""
    algorithm = host.job["AlgorithmSpecification"]
    command = algorithm["ContainerEntrypoint"] + algorithm["ContainerArguments"]
    lines = [f"127.0.0.{n + 1} {name}" for n, name in enumerate(host.names)]
    (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
    unshare = ["unshare", "-m", "--propagation", "private", "bash", "-c", MOUNT, str(folder)]
    environment = host.environment() | host.job["Environment"]
    with (folder / "log.txt").open("wb") as log:
        return Guarded([*unshare, *command], environment, folder, log)


def test_two_hosts_train_through_the_entrypoint_of_the_sdk(
    people: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "of", classmethod(lambda cls, _: cls(tmp_path / "ledger.json")))
    first = (people.frame["split"] == "train").to_numpy()
    write_shards(people.rows(first), tmp_path / "training", count=2)
    write_shards(people.rows(~first), tmp_path / "validation", count=2)
    with open_session("rehearsal") as session:
        inputs = [
            job._channel(name, upload_folder(session, tmp_path / name, name), 2)
            for name in ("training", "validation")
        ]
        hyperparameters = {**SMALLEST, "batch-size": 16}
        plan = job.plan_job(session, hyperparameters, people.tasks, instance_count=2)
        request = plan.trainer._create_training_job_args(inputs, boto3=True)
        hosts = {name: tmp_path / name for name in ("algo-1", "algo-2")}
        # TensorFlow listens on every address of a machine, and here both hosts are the same one.
        places = {name: f"127.0.0.1:{free_port()}" for name in hosts}
        running = []
        for name, folder in hosts.items():
            host = Host(name, places, folder, request)
            host.fill(session.client("s3"))
            running.append(start(host, folder))
        try:
            codes = [program.wait(SECONDS) for program in running]
        finally:
            for program in running:
                program.stop()
    logs = {name: (folder / "log.txt").read_text() for name, folder in hosts.items()}
    assert codes == [0, 0], logs["algo-1"][-3000:]
    model = tmp_path / "algo-1" / "opt" / "ml" / "model"
    assert (model / "saved_model" / "saved_model.pb").exists()
    assert "Training Container Execution Completed" in logs["algo-2"]
    assert not any((tmp_path / "algo-2" / "opt" / "ml" / "model").iterdir())
    assert not Path("/opt/ml/input/config/resourceconfig.json").exists()
