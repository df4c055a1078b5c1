"""07 describes, starts, reads and prices a job in the open; the package asks for the same."""

import json
import re
import time

import boto3
import pytest
from moto import mock_aws
from moto.iam.responses import IamResponse
from packaging.version import Version

from helpers.cloud import CloudSession, cleanup
from helpers.cloud.job import ENVIRONMENT, PRICES, plan_job, start_job
from helpers.cloud.ledger import Ledger
from helpers.cloud.rehearsal.answers import Permissions
from helpers.cloud.session import ROLE, TRUST, create_bucket
from helpers.common import read_json
from tests.notebook_form import NOTEBOOKS, code_cells, read
from tests.open_cells import run_cells

NAME, REGION, ACCOUNT = "07_train_on_sagemaker", "us-east-1", "123456789012"


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session in moto, inside this process, with the role and the bucket."""
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    allow = Permissions.simulate_principal_policy  # the SDK asks what the role may do
    monkeypatch.setattr(IamResponse, "simulate_principal_policy", allow, raising=False)
    with mock_aws():
        boto = boto3.Session("testing", "testing", region_name=REGION)
        role = boto.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=TRUST)
        ledger = Ledger(tmp_path / "ledger.json")
        arn = role["Role"]["Arn"]
        found = CloudSession("rehearsal", boto, ACCOUNT, arn, "workshop-bucket", ledger)
        create_bucket(found)
        yield found


def opened(session: CloudSession, folder) -> dict:
    """What the notebook's own cells leave, up to the job that they start."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "signs.npz").write_bytes(b"arrays")
    names = {"session": session, "sdk": session.sdk(), "folder": folder}
    names |= {"data": folder / "data", "choose": lambda full, fast: full}
    return run_cells(NAME, "open", names)


def test_the_job_is_asked_for_as_the_package_asks(session, tmp_path, monkeypatch):
    names = opened(session, tmp_path / "signs")
    client = session.client("sagemaker")
    mine = client.describe_training_job(TrainingJobName=names["name"])
    monkeypatch.setattr("helpers.cloud.job.check_quota", lambda *_: None)
    plan = plan_job(session, {"epochs": 5, "learning-rate": 0.001}, ["sign"])
    theirs = start_job(session, plan, {"training": names["address"]}).describe()
    for key in ("RoleArn", "ResourceConfig", "StoppingCondition", "HyperParameters"):
        assert mine[key] == theirs[key], key
    images = {job["AlgorithmSpecification"]["TrainingImage"] for job in (mine, theirs)}
    assert images == {names["image"]}
    tags = [client.list_tags(ResourceArn=j["TrainingJobArn"])["Tags"] for j in (mine, theirs)]
    assert all(tag in found for found in tags for tag in session.tags)
    assert names["shared"]["environment"] == ENVIRONMENT
    channels = {channel["ChannelName"]: channel for channel in mine["InputDataConfig"]}
    source = channels["training"]["DataSource"]["S3DataSource"]
    assert source["S3Uri"].rstrip("/") == names["address"]
    assert source["S3DataType"] == "S3Prefix"


def test_the_clean_up_finds_what_the_notebook_made(session, tmp_path, monkeypatch):
    opened(session, tmp_path / "signs")
    s3, client = session.client("s3"), session.client("sagemaker")
    assert s3.list_objects_v2(Bucket=session.bucket)["KeyCount"] >= 2  # data, source code
    assert len(client.list_training_jobs()["TrainingJobSummaries"]) == 1
    kinds = {entry.kind for entry in session.ledger.entries}
    assert kinds == {"training job", "log", "s3 prefix"}
    deleted = set()  # moto itself cannot delete a job
    monkeypatch.setattr(cleanup, "_delete_job", lambda _, name, region: deleted.add(name))
    cleanup.delete_all(session)
    assert len(deleted) == 1 and deleted.pop().startswith(f"workshop-{session.owner}-script-")
    assert "Contents" not in s3.list_objects_v2(Bucket=session.bucket)


@pytest.mark.parametrize("newest", ["2.19.0", "2.21.0"])
def test_the_image_is_the_newest_that_the_sdk_knows(session, tmp_path, monkeypatch, newest):
    """The SDK of SageMaker Distribution 4.4.1 knows 2.19, and refuses to name a newer one."""
    from sagemaker.core import image_uris

    config = json.loads(json.dumps(image_uris.config_for_framework("tensorflow")))
    for scope in ("training", "inference"):
        known = config[scope]["versions"]
        newer = [version for version in known if Version(version) > Version(newest)]
        config[scope]["versions"] = {v: known[v] for v in known if v not in newer}
    monkeypatch.setattr(image_uris, "config_for_framework", lambda _: config)
    names = opened(session, tmp_path / "signs")
    assert f":{newest}-" in names["image"]
    plan = plan_job(session, {}, ["sign"])
    assert plan.trainer.training_image == names["image"]


def test_read_log_returns_the_lines_of_every_machine(session):
    logs, group = session.client("logs"), "/aws/sagemaker/TrainingJobs"
    logs.create_log_group(logGroupName=group)
    for machine in ("algo-1", "algo-2"):
        where = {"logGroupName": group, "logStreamName": f"workshop-x/{machine}"}
        logs.create_log_stream(**where)
        event = {"timestamp": int(time.time() * 1000), "message": f"val_accuracy: 0.5 {machine}"}
        logs.put_log_events(**where, logEvents=[event])
    read_log = run_cells(NAME, "open-log", {"session": session})["read_log"]
    assert read_log("workshop-x") == ["val_accuracy: 0.5 algo-1", "val_accuracy: 0.5 algo-2"]


def test_the_price_counts_billable_seconds_of_every_machine():
    resources = {"InstanceCount": 2, "InstanceType": "ml.m5.xlarge"}
    metrics = [{"MetricName": f"{n}:accuracy", "Value": 0.5} for n in ("validation", "test")]
    job = {"BillableTimeInSeconds": 1800, "TrainingTimeInSeconds": 3600}
    job |= {"ResourceConfig": resources, "FinalMetricDataList": metrics}
    names = {"job": job, "PRICE_PER_HOUR": read_json(PRICES)["per_hour"]}
    assert run_cells(NAME, "open-price", names)["price"](job) == pytest.approx(0.23)


def test_the_prices_are_those_of_the_table(session, tmp_path):
    prices = opened(session, tmp_path / "signs")["PRICE_PER_HOUR"]
    table = read_json(PRICES)["per_hour"]
    assert prices == {kind: table[kind] for kind in prices}


def test_the_patterns_find_what_the_script_prints():
    source = "\n".join(code_cells(read(NOTEBOOKS / f"{NAME}.ipynb")))
    patterns = re.findall(r'"(\w+_accuracy: \(\[0-9\.\]\+\))"', source)
    keras = "3/3 - 7s - 2s/step - accuracy: 0.1 - loss: 3.7 - val_accuracy: 0.25 - val_loss: 3.8"
    found = [re.search(p, f"{keras}\ntest_accuracy: 0.75") for p in patterns]
    assert [float(match[1]) for match in found] == [0.25, 0.75]
