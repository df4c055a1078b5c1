"""The rehearsal from start to end: real jobs, a real endpoint, and nothing that is left over.

One rehearsal and one trained job serve all tests of this file; each takes seconds to start.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from botocore.exceptions import WaiterError

from helpers.cloud import (
    SCRIPTS,
    CloudSession,
    EndpointClient,
    cleanup,
    job,
    open_session,
    upload_folder,
    write_shards,
)
from helpers.cloud.guard import Guarded
from helpers.cloud.ledger import Ledger
from helpers.cloud.smoke import serve
from helpers.common import ROOT, WorkshopError
from helpers.manifest import Manifest
from helpers.predict import archive_folder
from helpers.scores import score_manifest
from tests.conftest import SMALLEST
from tests.image_files import BROKEN
from tests.saved_model import SavedModelPredictor

QUICK = {**SMALLEST, "batch-size": 16, "no-check": True}
TASKS = ["top_color", "gender"]
NAME = "workshop-test"


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Iterator[CloudSession]:
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("cloud") / "ledger.json"
        patch.setattr(Ledger, "of", classmethod(lambda cls, world: cls(path)))
        with open_session("rehearsal") as opened:
            yield opened


@pytest.fixture(scope="module")
def data(session, people: Manifest, tmp_path_factory) -> str:
    shards = tmp_path_factory.mktemp("shards") / "people"
    write_shards(people.select(TASKS), shards, count=2)
    return upload_folder(session, shards, "people")


@pytest.fixture(scope="module")
def finished(session, data) -> job.Job:
    plan = job.plan_job(session, QUICK, TASKS)
    return job.start_job(session, plan, {"training": data}).follow()


@pytest.fixture(scope="module")
def export(finished, tmp_path_factory) -> Path:
    return finished.download(tmp_path_factory.mktemp("export") / "export")


@pytest.fixture(scope="module")
def client(session, export, tmp_path_factory) -> EndpointClient:
    archive = archive_folder(export, tmp_path_factory.mktemp("archive") / "model", SCRIPTS)
    return serve(session, archive, NAME)


def processes_with(text: str) -> list[str]:
    """Command lines of running processes that name `text`; only Linux has /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


def wait_until_none(text: str, seconds: float = 30) -> list[str]:
    end = time.monotonic() + seconds
    while (found := processes_with(text)) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def test_the_session_says_that_nothing_is_billed(session):
    assert session.describe().startswith("rehearsal: ")
    assert "nothing is billed" in session.describe()
    assert "AWS_ENDPOINT_URL" not in os.environ


def test_a_created_job_really_runs(finished, session):
    said = finished.describe()
    assert said["TrainingJobStatus"] == "Completed"
    steps = [step["Status"] for step in said["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert said["HyperParameters"]["image-size"] in ("32x32", '"32x32"')
    assert 0 <= finished.figures()["validation:gender:accuracy"] <= 1
    assert finished.model_uri.startswith(f"s3://{session.bucket}/workshop/")
    kept = said["CheckpointConfig"]["S3Uri"].removeprefix(f"s3://{session.bucket}/")
    s3 = session.client("s3")
    assert s3.head_object(Bucket=session.bucket, Key=f"{kept}/run/best.keras")


def test_what_a_job_leaves_is_an_export(export):
    names = {path.name for path in export.iterdir()}
    assert {"saved_model", "labels.json", "log.csv", "scores.json"} <= names


def test_a_job_that_fails_is_told_in_the_words_of_its_script(session, data):
    plan = job.plan_job(session, {**QUICK, "backbone": "nonsense"}, TASKS)
    failing = job.start_job(session, plan, {"training": data})
    with pytest.raises(job.JobError) as raised:
        failing.follow()
    first, _, rest = str(raised.value).partition("\n")
    assert "nonsense" in first and failing.name in first
    assert "helpers.train" in rest and "sagemaker/core" not in str(raised.value)
    assert failing.describe()["FailureReason"].startswith("AlgorithmError:")


def test_an_instance_type_without_quota_is_refused_before_anything_is_made(session, data):
    before = [entry.name for entry in session.ledger.entries]
    plan = job.plan_job(session, QUICK, TASKS, instance_type="ml.p4d.24xlarge")
    with pytest.raises(WorkshopError, match=r"quota of 1 or more for 'ml.p4d.24xlarge'.*found 0"):
        job.start_job(session, plan, {"training": data})
    assert [entry.name for entry in session.ledger.entries] == before


def test_the_endpoint_says_what_the_network_says(client, export, people: Manifest):
    test = people.select(TASKS).subset("test")
    probabilities = client.predict_manifest(test)
    files = [Path(path).read_bytes() for path in test.paths]
    expected = SavedModelPredictor(export).predict_bytes(files)
    for task, values in probabilities.items():
        np.testing.assert_allclose(values, expected[task], atol=1e-4)
    assert len(score_manifest(test, probabilities)) == len(TASKS)


def test_broken_images_do_not_end_the_server(client, people: Manifest):
    good = Path(people.paths[0]).read_bytes()
    answers = client.predict_files([good, *BROKEN.values(), good], top=1)
    assert ["error" in answer for answer in answers] == [False, *[True] * len(BROKEN), False]
    for name, file in BROKEN.items():
        with pytest.raises(WorkshopError, match=r"refused the request \(400\)"):
            client.send(file, "image/jpeg")
            pytest.fail(name)
    with pytest.raises(WorkshopError, match=r"\(415\): expected the content type"):
        client.send(good, "text/csv")
    assert client.predict_files([good], top=1) == answers[:1]


def test_the_front_has_the_limits_of_aws(client):
    with pytest.raises(WorkshopError, match=r"\(413\): it is larger"):
        client.send(bytes(6 * 2**20 + 1), "image/jpeg")


def test_a_job_is_stopped_before_it_is_deleted(session, data):
    plan = job.plan_job(session, {**QUICK, "epochs": 1000}, TASKS)
    running = job.start_job(session, plan, {"training": data})
    sagemaker, name = session.client("sagemaker"), {"TrainingJobName": running.name}
    with pytest.raises(sagemaker.exceptions.ClientError, match=r"Conflict.* is running"):
        sagemaker.delete_training_job(**name)
    sagemaker.stop_training_job(**name)
    with pytest.raises(WorkshopError, match=r"found that it was stopped \(Stopped\)"):
        running.follow()
    sagemaker.delete_training_job(**name)
    with pytest.raises(sagemaker.exceptions.ResourceNotFound):
        sagemaker.stop_training_job(**name)


def test_an_endpoint_that_is_deleted_answers_no_more(session, export, people, tmp_path):
    archive = archive_folder(export, tmp_path / "model", SCRIPTS)
    other = serve(session, archive, f"{NAME}-other")
    file = Path(people.paths[0]).read_bytes()
    other.predict_files([file])
    session.client("sagemaker").delete_endpoint(EndpointName=other.name)
    with pytest.raises(WorkshopError, match=r"ValidationError: Endpoint .* not found"):
        other.predict_files([file])


def test_an_asynchronous_endpoint_is_refused_and_not_made_up(session):
    sagemaker, name = session.client("sagemaker"), f"{NAME}-asynchronous"
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large"}
    output = {"OutputConfig": {"S3OutputPath": session.uri("answers")}}
    variants = [{**variant, "InitialInstanceCount": 1}]
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=session.role)
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=variants, AsyncInferenceConfig=output
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    described = partial(sagemaker.describe_endpoint, EndpointName=name)
    assert wait_until(lambda: described()["EndpointStatus"] == "Failed")
    assert "no asynchronous endpoints" in described()["FailureReason"]
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)


@pytest.mark.parametrize("name", ["../../outside", "..", "a/b", "a" * 64, "a\n"])
def test_a_name_that_aws_does_not_allow(session, name):
    sagemaker, before = session.client("sagemaker"), sorted(session.rehearsal.folder.rglob("*"))
    with pytest.raises(sagemaker.exceptions.ClientError, match="ValidationException"):
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="x")
    what = {"AlgorithmSpecification": {"TrainingInputMode": "File"}, "RoleArn": session.role}
    what["OutputDataConfig"] = {"S3OutputPath": session.uri("out")}
    what["ResourceConfig"] = {"InstanceCount": 1, "InstanceType": "x", "VolumeSizeInGB": 1}
    with pytest.raises(sagemaker.exceptions.ClientError, match="ValidationException"):
        sagemaker.create_training_job(TrainingJobName=name, StoppingCondition={}, **what)
    assert sorted(session.rehearsal.folder.rglob("*")) == before


def test_an_archive_that_cannot_be_served_is_told(session, tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "empty.tar.gz", "w:gz") as archive:
        archive.add(SCRIPTS[0], "code/inference.py")
    name = f"{NAME}-empty"
    with pytest.raises(WaiterError, match="Failed"):
        serve(session, tmp_path / "empty.tar.gz", name)
    said = session.client("sagemaker").describe_endpoint(EndpointName=name)
    assert "no 1/saved_model.pb" in said["FailureReason"]


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc (Linux)")
def test_at_the_end_nothing_is_left(client, session):
    assert len(cleanup.list_all(session)) > 4
    assert len(cleanup.delete_all(session)) == 0
    assert len(cleanup.delete_all(session)) == 0
    assert session.ledger.entries == []
    folder = str(session.rehearsal.folder)
    assert processes_with(folder), "the rehearsal's own process"
    session.close()
    session.close()
    assert wait_until_none(folder) == []
    assert not Path(folder).exists()


NOTEBOOK = """
import time
from helpers.cloud import open_session
session = open_session("rehearsal")
what = {"AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "File"}}
what["AlgorithmSpecification"]["ContainerEntrypoint"] = ["sh", "-c", "sleep 600 & sleep 600"]
what["OutputDataConfig"] = {"S3OutputPath": session.uri("out")}
what["ResourceConfig"] = {"InstanceCount": 1, "InstanceType": "x", "VolumeSizeInGB": 1}
what["StoppingCondition"] = {"MaxRuntimeInSeconds": 900}
session.client("sagemaker").create_training_job(
    TrainingJobName="sleeper", RoleArn=session.role, **what
)
name = {"TrainingJobName": "sleeper"}
while session.client("sagemaker").describe_training_job(**name)["SecondaryStatus"] != "Training":
    time.sleep(0.1)
print("ready", flush=True)
time.sleep(600)
"""


def numbers_with(text: str) -> list[int]:
    """Running processes whose command line or working folder has `text`."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if text in line or text in os.readlink(path / "cwd"):  # noqa: PTH115
                found.append(int(path.name))
    return found


def wait_until(what: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc (Linux)")
@pytest.mark.parametrize("moment", [0.0, 1.0, None])  # None: while a job runs
def test_when_the_notebook_is_killed_no_process_or_folder_stays(tmp_path, moment):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", NOTEBOOK]
    notebook = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert wait_until(lambda: bool(numbers_with(f"{tmp_path}/workshop-rehearsal-")))
        if moment is None:
            assert any(line == "ready\n" for line in notebook.stdout)
            assert wait_until(lambda: len(numbers_with(str(tmp_path))) >= 4)  # two guards and all
        else:
            time.sleep(moment)
        notebook.kill()
        assert wait_until(lambda: not numbers_with(str(tmp_path))), "a process is left"
        assert wait_until(lambda: not list(tmp_path.glob("workshop-rehearsal-*")), 15)
    finally:
        notebook.kill()
        notebook.wait()


def test_a_guarded_program_ends_with_its_owner_and_all_that_it_started(tmp_path):
    command = ["bash", "-c", f"sleep 600 & echo $! > {tmp_path}/child; sleep 600"]
    program = Guarded(command, os.environ, tmp_path, subprocess.DEVNULL)
    while not (tmp_path / "child").exists() or not (tmp_path / "child").read_text():
        time.sleep(0.05)
    child = int((tmp_path / "child").read_text())
    program.stop()
    state = ["ps", "-o", "stat=", "-p", str(child)]  # Z: it has ended, and nobody has noticed yet
    found = subprocess.run(state, capture_output=True, text=True).stdout.strip()
    assert not found or found.startswith("Z")


def test_a_guarded_program_tells_how_it_ended(tmp_path):
    for code, command in ((3, "exit 3"), (0, "true"), (137, "kill -9 $$")):
        program = Guarded(["bash", "-c", command], os.environ, tmp_path, subprocess.DEVNULL)
        assert program.wait(30) == code
        program.stop()
