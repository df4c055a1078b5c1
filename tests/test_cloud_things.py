"""Upload by content, the ledger, the clean-up, batches for an endpoint, and what a job prints."""

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.exceptions import JsonRESTError
from moto.logs.models import LogsBackend
from moto.sagemaker.exceptions import AWSValidationException
from moto.sagemaker.models import SageMakerModelBackend

from helpers.cloud import CloudSession, EndpointClient, cleanup, upload_folder
from helpers.cloud.client import LIMIT, as_arrays, refusal
from helpers.cloud.job import Job, JobError, script_lines
from helpers.cloud.ledger import Ledger
from helpers.cloud.script import __main__ as script
from helpers.cloud.script.environment import metric_definitions, metric_line
from helpers.cloud.session import create_bucket, find_owner
from helpers.cloud.source import copy_source
from helpers.common import ROOT, WorkshopError
from helpers.manifest import Labels
from tests.conftest import small_recipe

ACCOUNT, REGION = "123456789012", "us-east-1"
LABELS = Labels({"sign": ("stop", "yield", "other")})


@pytest.fixture
def session(tmp_path):
    """A session with a bucket, in moto inside this process."""
    with mock_aws():
        boto = boto3.Session("testing", "testing", region_name=REGION)
        role = f"arn:aws:iam::{ACCOUNT}:role/x"
        ledger = Ledger(tmp_path / "ledger.json")
        found = CloudSession("rehearsal", boto, ACCOUNT, role, "workshop-bucket", ledger)
        create_bucket(found)
        yield found


def keys(session: CloudSession) -> list[str]:
    found = session.client("s3").list_objects_v2(Bucket=session.bucket)
    return [item["Key"] for item in found.get("Contents", [])]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shards" / "deep").mkdir(parents=True)
    (tmp_path / "shards" / "a.tar").write_bytes(b"one")
    (tmp_path / "shards" / "deep" / "b.tar").write_bytes(b"two")
    (tmp_path / "shards" / ".hidden").write_bytes(b"three")
    return tmp_path / "shards"


# upload by content


def test_the_same_content_is_sent_once(session, folder, capsys):
    first = upload_folder(session, folder, "signs")
    assert "sent 2 of 2 files" in capsys.readouterr().out
    before = keys(session)
    assert upload_folder(session, folder, "signs") == first
    assert "sent 0 of 2 files" in capsys.readouterr().out
    assert keys(session) == before
    assert [f"s3://{session.bucket}/{key}".removeprefix(f"{first}/") for key in before] == [
        "a.tar",
        "deep/b.tar",
    ]
    (folder / "a.tar").write_bytes(b"new")
    assert upload_folder(session, folder, "signs") != first


def test_an_upload_that_was_cut_off_goes_on(session, folder, capsys):
    uri = upload_folder(session, folder, "signs")
    before = keys(session)
    session.client("s3").delete_object(Bucket=session.bucket, Key=before[0])
    assert upload_folder(session, folder, "signs") == uri
    assert "sent 1 of 2 files" in capsys.readouterr().out
    assert keys(session) == before


def test_names_count_as_content(session, folder):
    before = upload_folder(session, folder, "signs")
    (folder / "a.tar").rename(folder / "c.tar")
    assert upload_folder(session, folder, "signs") != before


def test_an_empty_folder_is_told(session, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WorkshopError, match="expected files to upload"):
        upload_folder(session, tmp_path / "empty", "signs")


# ledger and clean-up


def test_the_ledger_outlives_the_session_and_is_sorted(tmp_path):
    path = tmp_path / "ledger.json"
    Ledger(path).add("model", "workshop-m", REGION)
    Ledger(path).add("endpoint", "workshop-e", REGION)
    Ledger(path).add("endpoint", "workshop-e", REGION)
    assert [entry.kind for entry in Ledger(path).entries] == ["endpoint", "model"]
    Ledger(path).remove("model", "workshop-m")
    Ledger(path).remove("endpoint", "workshop-e")
    assert Ledger(path).entries == []
    with pytest.raises(WorkshopError, match=r"kind: expected .* found 'planet'"):
        Ledger(path).add("planet", "x", REGION)


WRITER = """
import sys
from helpers.cloud.ledger import Ledger
ledger = Ledger(sys.argv[1])
for number in range(60):
    ledger.add("model", f"workshop-{sys.argv[2]}-{number}", "us-east-1")
    if number % 3 == 0:
        ledger.remove("model", f"workshop-{sys.argv[2]}-{number}")
"""


def test_two_writers_lose_nothing(tmp_path):
    path = tmp_path / "ledger.json"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, name], cwd=ROOT) for name in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    names = {entry.name for entry in Ledger(path).entries}
    kept = {f"workshop-{w}-{number}" for w in "abc" for number in range(60) if number % 3}
    assert names == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "\0\0\0",
        "null",
        "[1, null]",
        "[" * 100_000,
        json.dumps({"kind": "model", "name": "workshop-other", "region": REGION, "made": "x"}),
        json.dumps({"kind": "planet", "name": "x", "region": REGION, "made": "x"}),
        json.dumps({"kind": "training job", "name": "", "region": REGION, "made": "x"}),
        json.dumps({"kind": "model", "name": ["x"], "region": REGION, "made": "x"}),
        json.dumps({"kind": "model"}),
    ],
)
def test_a_damaged_entry_hides_no_other(tmp_path, text):
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.add("model", "workshop-signs", REGION)
    damaged = ledger.folder / "0123.json"
    damaged.write_text(text)
    assert [entry.name for entry in ledger.entries] == ["workshop-signs"]
    assert ledger.damaged == [damaged]
    ledger.remove("model", "workshop-signs")
    assert ledger.entries == []


def test_a_damaged_entry_does_not_stop_the_clean_up(session, capsys):
    make_endpoint(session, "workshop-signs", tags=[])
    for kind in ("endpoint", "endpoint config", "model"):
        session.ledger.add(kind, "workshop-signs", REGION)
    damaged = next(session.ledger.folder.iterdir())
    whole = damaged.read_text()
    damaged.write_text(whole.replace("workshop", "workshup"))
    cleanup.delete_all(session)
    assert session.ledger.entries == [] and session.ledger.damaged == [damaged]
    assert f"cannot read all of {damaged}" in capsys.readouterr().out


def test_a_name_that_aws_does_not_allow_was_never_made(session):
    for kind in ("s3 prefix", "log", "endpoint", "training job"):
        session.ledger.add(kind, "s3:// \n?", REGION)
    cleanup.delete_all(session)
    assert session.ledger.entries == []


def make_endpoint(session: CloudSession, name: str, tags: list | None = None) -> None:
    sagemaker = session.client("sagemaker")
    tags = session.tags if tags is None else tags
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=session.role, Tags=tags)
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[{**variant, "InitialInstanceCount": 1}],
        Tags=tags,
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)


def test_all_is_listed_and_deleted_twice(session, folder, capsys):
    upload_folder(session, folder, "signs")
    for kind in ("model", "endpoint config", "endpoint"):
        session.ledger.add(kind, "workshop-signs", REGION)
    session.ledger.add("log", "/aws/sagemaker/Endpoints/workshop-signs|", REGION)
    make_endpoint(session, "workshop-signs")
    found = cleanup.list_all(session)
    assert found["kind"].tolist() == ["endpoint", "endpoint config", "model", "s3 prefix"]
    assert found["known by"].tolist()[0] == "ledger and tag"
    assert len(cleanup.delete_all(session)) == 0
    printed = capsys.readouterr().out
    assert "deleted endpoint workshop-signs" in printed and "deleted 4; left: nothing" in printed
    assert len(cleanup.delete_all(session)) == 0
    assert "deleted 0; left: nothing" in capsys.readouterr().out
    assert session.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert session.ledger.entries == []


def test_what_no_ledger_knows_is_found_by_its_tag(session):
    make_endpoint(session, "workshop-lost")
    make_endpoint(session, "workshop-of-somebody-else", tags=[])
    found = cleanup.list_all(session)
    assert set(found["name"]) == {"workshop-lost"}
    cleanup.delete_all(session)
    left = session.client("sagemaker").list_endpoints()["Endpoints"]
    assert [endpoint["EndpointName"] for endpoint in left] == ["workshop-of-somebody-else"]


def test_what_was_noted_and_never_made_is_struck_out(session):
    session.ledger.add("endpoint", "workshop-never", REGION)
    session.ledger.add("s3 prefix", "s3://a-bucket-that-never-was/workshop/x", REGION)
    assert "workshop-never" not in set(cleanup.list_all(session)["name"])
    cleanup.delete_all(session)
    assert session.ledger.entries == []


def test_the_bucket_stays(session, folder):
    """It is AWS's own, of this account and region: others may use it as well."""
    session.client("s3").put_object(Bucket=session.bucket, Key="theirs", Body=b"x")
    upload_folder(session, folder, "signs")
    assert cleanup.delete_all(session).empty
    assert keys(session) == ["theirs"]


def refuse(monkeypatch, backend: type, operation: str, error: Exception) -> None:
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(backend, operation, fail)


def test_logs_that_may_not_be_deleted_are_told_and_stay(session, monkeypatch, capsys):
    """AmazonSageMakerFullAccess does not allow DeleteLogStream and DeleteLogGroup."""
    group = "/aws/sagemaker/Endpoints/workshop-signs"
    logs = session.client("logs")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="a")
    make_endpoint(session, "workshop-signs")
    for kind in ("endpoint", "endpoint config", "model"):
        session.ledger.add(kind, "workshop-signs", REGION)
    session.ledger.add("log", f"{group}|", REGION)
    for operation in ("delete_log_stream", "delete_log_group"):
        refuse(monkeypatch, LogsBackend, operation, JsonRESTError("AccessDeniedException", "no"))
    assert cleanup.delete_all(session).empty
    printed = capsys.readouterr().out
    assert f"kept log {group}|" in printed and "AccessDeniedException: no" in printed
    assert "deleted model workshop-signs" in printed and session.ledger.entries == []


def test_what_cannot_be_deleted_stops_nothing_and_is_left(session, monkeypatch, capsys, folder):
    upload_folder(session, folder, "signs")
    make_endpoint(session, "workshop-signs", tags=session.tags)
    error = JsonRESTError("AccessDeniedException", "no")
    refuse(monkeypatch, SageMakerModelBackend, "delete_endpoint_config", error)
    left = cleanup.delete_all(session)
    assert left["kind"].tolist() == ["endpoint config"]
    assert "kept endpoint config workshop-signs in us-east-1: " in capsys.readouterr().out
    assert keys(session) == [] and session.client("sagemaker").list_models()["Models"] == []


def test_an_object_that_may_not_be_deleted_is_told(session, folder, monkeypatch, capsys):
    uri = upload_folder(session, folder, "signs")
    refused = [{"Errors": [{"Code": "AccessDenied", "Message": "no"}]}]  # with status 200
    objects = SimpleNamespace(delete=lambda: refused)
    whole = cleanup._objects
    monkeypatch.setattr(cleanup, "_objects", lambda *_: objects)
    monkeypatch.setattr(cleanup, "_found", lambda *_: ["a"])
    assert cleanup.delete_all(session)["name"].tolist() == [uri]
    assert "AccessDenied: no" in capsys.readouterr().out
    assert whole is not cleanup._objects and len(session.ledger.entries) == 1


def test_an_endpoint_that_aws_deletes_slowly_is_waited_for(session, monkeypatch):
    """AWS answers at once, and describes it as `Deleting` for minutes; moto deletes at once."""
    monkeypatch.setattr(CloudSession, "patience", {"Delay": 0, "MaxAttempts": 9})
    make_endpoint(session, "workshop-signs", tags=session.tags)
    statuses = iter(["Deleting", "Deleting"])
    describe, delete = (
        getattr(SageMakerModelBackend, f"{verb}_endpoint") for verb in ("describe", "delete")
    )

    def describe_slowly(self, name):
        endpoint = self.endpoints.get(name)
        if endpoint and endpoint.endpoint_status == "Deleting" and not next(statuses, ""):
            delete(self, name)
        return describe(self, name)

    def delete_slowly(self, name):
        self.endpoints[name].endpoint_status = "Deleting"

    monkeypatch.setattr(SageMakerModelBackend, "describe_endpoint", describe_slowly)
    monkeypatch.setattr(SageMakerModelBackend, "delete_endpoint", delete_slowly)
    assert cleanup.delete_all(session).empty


def test_an_endpoint_that_is_being_created_is_deleted_afterwards(session, monkeypatch):
    monkeypatch.setattr(CloudSession, "patience", {"Delay": 0, "MaxAttempts": 9})
    make_endpoint(session, "workshop-signs", tags=[])
    session.ledger.add("endpoint", "workshop-signs", REGION)
    describe, delete = (
        getattr(SageMakerModelBackend, f"{verb}_endpoint") for verb in ("describe", "delete")
    )
    looks = []

    def describe_creating(self, name):
        looks.append(name)
        if name in self.endpoints:
            self.endpoints[name].endpoint_status = "InService" if len(looks) > 3 else "Creating"
        return describe(self, name)

    def delete_if_done(self, name):
        if self.endpoints[name].endpoint_status == "Creating":
            raise AWSValidationException("Cannot update in-progress endpoint")
        delete(self, name)

    monkeypatch.setattr(SageMakerModelBackend, "describe_endpoint", describe_creating)
    monkeypatch.setattr(SageMakerModelBackend, "delete_endpoint", delete_if_done)
    cleanup.delete_all(session)
    assert session.ledger.entries == []
    assert session.client("sagemaker").list_endpoints()["Endpoints"] == []


def elsewhere(session: CloudSession, region: str, **changes) -> CloudSession:
    """The same account, seen from another region or by another owner."""
    boto = boto3.Session("testing", "testing", region_name=region)
    return replace(session, boto=boto, _clients={}, **changes)


def test_a_clean_up_from_another_region_deletes_what_is_here(session):
    """Also what only the tag knows, in the regions of the ledger."""
    make_endpoint(session, "workshop-signs", tags=[])
    session.ledger.add("endpoint", "workshop-signs", REGION)
    make_endpoint(session, "workshop-lost", tags=session.tags)
    there = elsewhere(session, "eu-west-1")
    assert set(cleanup.list_all(there)["region"]) == {REGION}
    cleanup.delete_all(there)
    assert session.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert session.ledger.entries == []


def test_two_owners_in_one_account_and_two_regions(session, folder, tmp_path):
    anna = replace(session, owner="anna", _clients={})
    ben = elsewhere(session, "eu-west-1", owner="ben", ledger=Ledger(tmp_path / "ben"))
    for learner in (anna, ben):
        upload_folder(learner, folder, "signs")  # the same content
        make_endpoint(learner, learner.name("signs"), tags=learner.tags)
        assert learner.owner in learner.name("x")
    here = replace(ben, boto=anna.boto, _clients={})
    make_endpoint(here, here.name("signs"), tags=here.tags)
    cleanup.delete_all(anna)
    assert {key.split("/")[1] for key in keys(ben)} == {"ben"}
    for bens in (ben, here):
        (endpoint,) = bens.client("sagemaker").list_endpoints()["Endpoints"]
        assert endpoint["EndpointName"].startswith("workshop-ben-")
    cleanup.delete_all(ben)
    assert keys(ben) == []
    assert ben.client("sagemaker").list_endpoints()["Endpoints"] == []


def test_the_ledger_of_another_account_is_told(session, tmp_path, capsys):
    ledgers = [Ledger(tmp_path / "ledgers" / account) for account in (ACCOUNT, "210987654321")]
    ledgers[1].add("endpoint", "workshop-signs", REGION)
    assert cleanup.list_all(replace(session, ledger=ledgers[0])).empty
    assert "account 210987654321 has things too" in capsys.readouterr().out


def test_make_clean_keeps_the_ledger():
    (line,) = re.findall(r"\n\trm -rf (artifacts .*)", (ROOT / "Makefile").read_text())
    place = Ledger.of(ACCOUNT).folder.relative_to(ROOT)
    assert place.parts[0] not in line.split() and place.parts[0] == "ledger"


@pytest.mark.parametrize("answer, kept", [("y", 0), ("", 1), ("n", 1)])
def test_a_terminal_is_asked_first(session, command, monkeypatch, answer, kept):
    make_endpoint(session, "workshop-signs", tags=session.tags)
    monkeypatch.setattr(cleanup, "open_session", lambda: session)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda _: answer)
    code, printed, _ = command(cleanup.main)
    assert code == 0 and "workshop-signs" in printed
    assert len(session.client("sagemaker").list_endpoints()["Endpoints"]) == kept


@pytest.mark.parametrize("given, owner", [("Anna K.", "anna-k"), ("../x", "x")])
def test_an_owner_fits_into_names(monkeypatch, given, owner):
    monkeypatch.setenv("WORKSHOP_OWNER", given)
    assert find_owner() == owner


@pytest.mark.parametrize("given", ["///", "a" * 25])
def test_an_owner_that_fits_into_no_name_is_told(monkeypatch, given):
    monkeypatch.setenv("WORKSHOP_OWNER", given)
    with pytest.raises(WorkshopError, match="WORKSHOP_OWNER=<a name"):
        find_owner()


# the job


EPOCHS = [
    metric_line({"training loss": 0.9, "validation loss": 0.75, "validation accuracy": 0.5}),
    metric_line({"training loss": 0.4, "validation sign accuracy": 0.75}),
]
LOG = [
    "Executing command: python -m helpers.train",
    "+ eval 'python -m helpers.train'",
    *EPOCHS,
    "epoch 1: 50%\repoch 1: 100%\rValueError: the learner's own mistake",
    "An error occurred with exit code 1",
    "+ echo 'Training Execution failed. For more details, see CloudWatch logs.",
    "TrainingJob - j'",
]


class FakeLogs:
    """CloudWatch, as far as a job is followed: streams, and two events on a page."""

    def __init__(self, streams: dict[str, list[str]]):
        self.streams = streams

    def get_paginator(self, operation: str):
        # AmazonSageMakerFullAccess allows logs:Describe* and GetLogEvents, not FilterLogEvents
        assert operation == "describe_log_streams"

        def paginate(logStreamNamePrefix, **_):
            names = sorted(n for n in self.streams if n.startswith(logStreamNamePrefix))
            return SimpleNamespace(search=lambda _: iter(names))

        return SimpleNamespace(paginate=paginate)

    def get_log_events(self, logStreamName, nextToken="f/0", **_):
        lines, start = self.streams[logStreamName], int(nextToken[2:])
        events = [{"message": line} for line in lines[start : start + 2]]
        return {"events": events, "nextForwardToken": f"f/{start + len(events)}"}


def fake_job(status: str, log: list[str], **streams: list[str]) -> Job:
    """A job whose state and log are given, and other streams by the name of their end."""
    said = {"TrainingJobStatus": status, "SecondaryStatus": status, "FailureReason": "exit code: 1"}
    said |= {"ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"}, "TrainingTimeInSeconds": 7}
    said |= {"FinalMetricDataList": [{"MetricName": "test:accuracy", "Value": 0.5}]}
    logs = {"j/algo-1-100": log} | {f"j/algo-{name}": lines for name, lines in streams.items()}
    clients = {
        "sagemaker": SimpleNamespace(describe_training_job=lambda **_: said),
        "logs": FakeLogs(logs),
    }
    session = SimpleNamespace(client=lambda name: clients[name], world="rehearsal", billed=False)
    return Job(session, "j")


def test_a_spot_job_that_went_on_has_a_second_log(capsys):
    again = ["preparing the machine again", "Executing command: x", "epoch 2: resumed"]
    others = {"1-200": again, "2-100": ["Executing command: x", "the other machine"]}
    fake_job("Completed", LOG, **others).follow()
    printed = capsys.readouterr().out
    assert printed.index("the learner's own mistake") < printed.index("epoch 2: resumed")
    assert "preparing" not in printed and "the other machine" not in printed


def test_lines_that_come_late_and_swapped_are_all_shown_once():
    lines = ["+ echo 'Executing command: x'", "one", "same", "same"]
    job = fake_job("InProgress", lines)
    assert job._new_lines() == ["one", "same", "same"]
    lines[2:2] = ["late", "same"]  # CloudWatch sorts by time
    assert job._new_lines() == ["late", "same"]
    lines.append("An error occurred with exit code 1")
    lines.append("Traceback: standard error came last")
    assert job._new_lines() == ["Traceback: standard error came last"]
    assert job._new_lines() == []


def test_what_a_progress_bar_overwrote_is_not_shown():
    """SageMaker writes its carriage returns as #015."""
    log = ["Executing command: x", "epoch 1: 10%#015epoch 1: 100%#015", "1%\r2%"]
    assert script_lines(log) == ["epoch 1: 100%", "2%"]


def test_a_log_that_may_not_be_read_is_told_once(capsys):
    job, denied = fake_job("Completed", []), {"Error": {"Code": "AccessDeniedException"}}

    def fail(**_):
        raise ClientError(denied, "GetLogEvents")

    job.session.client("logs").get_log_events = fail
    job.follow().follow()
    printed = capsys.readouterr().out
    assert printed.count("its log cannot be read: AccessDeniedException") == 1
    assert "completed after 7 s" in printed


def test_a_job_that_fails_shows_the_last_lines_and_the_reason():
    with pytest.raises(JobError) as raised:
        fake_job("Failed", ["+ cat resourceconfig.json", *LOG]).follow()
    message = str(raised.value)
    assert message.startswith("the job j failed: ValueError: the learner's own mistake\n")
    assert "eval" not in message and "resourceconfig" not in message
    assert raised.value._render_traceback_() == [f"JobError: {message}"]
    assert raised.value.__cause__ is None


def test_a_job_that_was_stopped_is_told():
    with pytest.raises(WorkshopError, match="found that it was stopped"):
        fake_job("Stopped", LOG).follow()


def test_the_figures_of_a_job_that_completed(capsys):
    job = fake_job("Completed", LOG).follow()
    assert job.figures() == {"test:accuracy": 0.5}
    printed = capsys.readouterr().out
    assert "loss=" not in printed, "figures are for SageMaker"
    assert "completed after 7 s" in printed and "the learner's own mistake" in printed
    job.follow()
    assert "the learner's own mistake" not in capsys.readouterr().out, "nothing is shown twice"


def test_the_patterns_find_what_a_training_prints(trained, command, monkeypatch, tmp_path):
    """The lines are those of `helpers.cloud.script`, not ones that this test makes up."""
    manifest = trained_manifest(trained)
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(small_recipe(epochs=1).to_json()))
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path))
    arguments = ["--manifest", manifest.source, "--recipe", recipe, "--out", tmp_path / "again"]
    arguments += ["--tasks", "gender"]
    code, printed, _ = command(script.main, *arguments)
    assert code == 0
    for name, pattern in metric_definitions(["gender"]).items():
        if name.startswith(("training", "validation")):
            assert re.search(pattern, printed), name


def trained_manifest(run):
    from helpers.common import read_json
    from helpers.manifest import read_manifest

    return read_manifest(read_json(run.folder / "run.json")["manifest"])


def test_the_source_of_a_job_runs_and_holds_no_cloud(tmp_path):
    source = copy_source(tmp_path / "code")
    assert (source / "helpers" / "train" / "loop.py").exists()
    assert not (source / "helpers" / "cloud" / "session.py").exists()
    assert not list(source.rglob("__pycache__"))
    wanted = (source / "requirements.txt").read_text().splitlines()
    assert any(re.match(r"keras[<>]", line) for line in wanted)
    # AWS's image has its own TensorFlow, and cv2 as opencv-python, whose files would be mixed
    assert not any(line.startswith(("tensorflow", "sagemaker", "opencv")) for line in wanted)


def test_the_source_of_a_job_imports_nothing_that_is_not_sent(tmp_path):
    source = copy_source(tmp_path / "code")
    for path in source.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree) if path.parent.name == "script" else tree.body:
            if isinstance(node, ast.ImportFrom) and node.module.startswith(("helpers", "bench")):
                sent = source / node.module.replace(".", "/")
                assert sent.is_dir() or sent.with_suffix(".py").exists(), (path, node.module)


# the client


class Runtime:
    """Stands in for an endpoint: every image is a stop sign, but one that says BROKEN."""

    def __init__(self):
        self.sizes: list[int] = []
        self.boto = self

    def client(self, *_, **__):
        return SimpleNamespace(invoke_endpoint=self.invoke)

    def invoke(self, Body, ContentType, **_):
        self.sizes.append(len(Body))
        if ContentType == "text/csv":
            raise model_error(415, "wrong type")
        count = len(json.loads(Body)["instances"]) if ContentType == "application/json" else 1
        good = {"sign": [{"class": "yield", "probability": 0.25}]}
        good["sign"].insert(0, {"class": "stop", "probability": 0.75})
        answer = json.dumps({"predictions": [good] * count}).encode()
        return {"Body": SimpleNamespace(read=lambda: answer)}


def model_error(status: int, message: str) -> ClientError:
    answer = {"Error": {"Code": "ModelError", "Message": "Received client error"}}
    answer |= {"OriginalStatusCode": status, "OriginalMessage": json.dumps({"error": message})}
    return ClientError(answer, "InvokeEndpoint")


def test_batches_stay_below_the_limit():
    runtime = Runtime()
    client = EndpointClient(runtime, "e")
    files = [bytes(500_000)] * 20 + [b"small"] * 200
    answers = client.predict_files(files)
    assert len(answers) == 220 and len(runtime.sizes) > 3
    assert max(runtime.sizes) < LIMIT


def test_an_image_over_the_limit_is_told():
    answer = {"Error": {"Code": "413"}, "ResponseMetadata": {"HTTPStatusCode": 413}}
    assert "(413): it is larger than it may be. Send smaller" in refusal(
        "e", ClientError(answer, "InvokeEndpoint")
    )


def test_a_refusal_is_told_in_the_words_of_the_script():
    with pytest.raises(WorkshopError, match=r"refused the request \(415\): wrong type"):
        EndpointClient(Runtime(), "e").send(b"x", "text/csv")
    busy = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "Invoke")
    assert "too busy" in refusal("e", busy)


def test_answers_become_arrays_in_the_order_of_the_labels():
    answers = EndpointClient(Runtime(), "e").predict_files([b"a", b"b"], top="all")
    table = as_arrays(answers, LABELS)["sign"]
    np.testing.assert_allclose(table, [[0.75, 0.25, 0]] * 2)
    assert table.dtype == np.float32
