"""A job, an endpoint and the clean-up, as in 07 and 08, under each fault of the rehearsal."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto.logs.models import LogsBackend

from helpers.cloud import CloudSession, delete_all, open_session, upload_folder, write_shards
from helpers.cloud.checks import check_quota
from helpers.cloud.job import Job
from helpers.cloud.ledger import Ledger
from helpers.cloud.rehearsal import answers, endpoints
from helpers.common import WorkshopError
from helpers.manifest import Manifest
from tests import faults

LINES = [f"line {number}" for number in range(7)]  # more than the first attempt of a spot machine
SCRIPT = r"""
echo "Executing command: python train.py"
for i in 0 1 2 3 4 5 6; do printf 'epoch: 10%%\repoch: 99%%\rline %d\n' $i; done
ls $SM_ML/input/data/training
echo made > $SM_ML/model/labels.json
"""
EACH = [
    "deleting",
    "creating",
    "logs",
    "conflict",
    "returns",
    "streams",
    "late",
    "quotas",
    "shards",
]
WORLDS = ["region=eu-central-1", "region=cn-north-1", "iam", "iam=full"]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch) -> Iterator[Callable[[str], CloudSession]]:
    """Opens a rehearsal with faults; its endpoints serve nothing, and are there at once."""

    def run(endpoint: endpoints.Endpoint) -> None:
        endpoint.record.endpoint_status = "InService"

    started: list[answers.Rehearsal] = []

    class Rehearsal(answers.Rehearsal):
        def __init__(self, region: str):
            super().__init__(region)
            started.append(self)

    def open_with(names: str) -> CloudSession:
        monkeypatch.setenv("WORKSHOP_FAULTS", names)
        return open_session("rehearsal")

    of = classmethod(lambda cls, *_: cls(tmp_path / "ledger.json"))
    monkeypatch.setattr(Ledger, "of", of)
    monkeypatch.setattr(answers, "Rehearsal", Rehearsal)
    monkeypatch.setattr(endpoints.Endpoint, "_run", run)
    yield open_with
    for rehearsal in started:
        rehearsal.close()


@pytest.fixture(scope="module")
def shards(people: Manifest, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "people"
    write_shards(people.rows(range(8)), folder, count=2)
    return folder


def start(session: CloudSession, address: str, machines: int = 1) -> Job:
    """A job that needs no TensorFlow."""
    name = f"workshop-job-{int(1000 * time.time())}"
    session.note("training job", name)
    session.note("log", f"/aws/sagemaker/TrainingJobs|{name}")
    session.note("s3 prefix", session.uri(name))
    command = SCRIPT.replace("$SM_ML", "/opt/ml/")
    kind = "ShardedByS3Key" if machines > 1 else "FullyReplicated"
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{address}/", "S3DataDistributionType": kind}
    session.client("sagemaker").create_training_job(
        TrainingJobName=name,
        RoleArn=session.role,
        AlgorithmSpecification={
            "TrainingImage": "image",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["bash", "-c", command],
        },
        InputDataConfig=[{"ChannelName": "training", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": session.uri(name, "output")},
        ResourceConfig={
            "InstanceCount": machines, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1,
        },
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        Tags=session.tags,
    )  # fmt: skip
    return Job(session, name)


def deploy(session: CloudSession, model: str) -> str:
    """An endpoint as in 08; returns its name."""
    sagemaker, name = session.client("sagemaker"), f"workshop-signs-{int(1000 * time.time())}"
    for kind in ("model", "endpoint config", "endpoint"):
        session.note(kind, name)
    session.note("log", f"/aws/sagemaker/Endpoints/{name}|")
    container = {"Image": "image", "ModelDataUrl": model}
    common = {"ExecutionRoleArn": session.role, "Tags": session.tags}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, **common)
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large"}
    variants = [variant | {"InitialInstanceCount": 1}]
    sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=variants, Tags=session.tags
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=session.tags)
    return name


@pytest.mark.parametrize("fault", [*EACH, *WORLDS, ",".join(EACH)])
def test_everything_passes_and_nothing_is_left(opened, shards, fault, capsys):
    session = opened(fault)
    check_quota(session, "ml.m5.xlarge")
    job = start(session, upload_folder(session, shards, "people")).follow()
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("line")]
    name = deploy(session, job.model_uri)
    left = delete_all(session)
    assert left.empty, left
    assert session.ledger.entries == []
    assert name not in answers.endpoints
    if not {"late", "streams"} & set(fault.split(",")):
        assert told == LINES
    assert set(told) == set(LINES)


def test_late_lines_of_one_millisecond_keep_their_order():
    backend, now = LogsBackend("us-east-1", "123456789012"), int(1000 * time.time())
    backend.create_log_group("group", {})
    backend.create_log_stream("group", "stream")
    with faults.played("late"):
        for line in LINES[:4]:
            backend.put_log_events("group", "stream", [{"timestamp": now, "message": line}])
    events, *_ = backend.get_log_events("group", None, "stream", None, None, None, None, True)
    assert [event["message"] for event in events] == LINES[:4]


def test_an_endpoint_is_not_reported_as_gone_before_it_is(opened):
    session = opened("deleting")
    name = deploy(session, "s3://b/model.tar.gz")
    began = time.monotonic()
    assert delete_all(session).empty
    assert time.monotonic() - began > faults.SECONDS and name not in answers.endpoints


def test_an_endpoint_that_is_not_there_yet_is_waited_for(opened):
    session = opened("creating")
    name = deploy(session, "s3://b/model.tar.gz")
    sagemaker = session.client("sagemaker")
    with pytest.raises(sagemaker.exceptions.ClientError, match="in-progress endpoint"):
        sagemaker.delete_endpoint(EndpointName=name)
    assert delete_all(session).empty and name not in answers.endpoints


@pytest.mark.parametrize("fault", ["logs", "iam=full"])
def test_logs_that_may_not_be_deleted_are_told(opened, shards, fault, capsys):
    session = opened(fault)
    start(session, upload_folder(session, shards, "people")).follow()
    assert delete_all(session).empty
    printed = capsys.readouterr().out
    assert "kept log /aws/sagemaker/TrainingJobs" in printed and "AccessDenied" in printed


@pytest.mark.parametrize("fault", ["", "shards"])
def test_each_machine_gets_shards(opened, shards, fault):
    session = opened(fault)
    job = start(session, upload_folder(session, shards, "people"), machines=2)
    job.follow()
    logs, group = session.client("logs"), "/aws/sagemaker/TrainingJobs"
    for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]:
        where = {"logGroupName": group, "logStreamName": stream["logStreamName"]}
        lines = [event["message"] for event in logs.get_log_events(**where)["events"]]
        assert any(line.endswith(".tar") for line in lines), lines


def test_an_account_that_allows_less_ends_in_one_message(opened, monkeypatch):
    monkeypatch.setattr(faults, "own_policy", lambda *_: {"Version": "2012-10-17", "Statement": []})
    with pytest.raises(WorkshopError, match="expected"):
        opened("iam")


def test_a_fault_that_there_is_not(opened):
    with pytest.raises(WorkshopError, match=r"WORKSHOP_FAULTS.*found 'rain'"):
        opened("deleting,rain")


def test_an_image_is_a_request_that_iam_lets_through(opened):
    """It is no text, and has an attribute."""
    runtime = opened("iam").client("sagemaker-runtime")
    request = {"EndpointName": "workshop-x", "ContentType": "image/png", "Body": b"\x89PNG\xff"}
    with pytest.raises(runtime.exceptions.ClientError, match="not found"):
        runtime.invoke_endpoint(**request, CustomAttributes="top=3")
