"""The smallest real run: its record, and its clean-up whatever happens."""

import json
from types import SimpleNamespace

import boto3
import numpy as np
import pytest
from moto import mock_aws
from PIL import Image

from helpers.cloud import CloudSession, smoke
from helpers.cloud.ledger import Ledger
from helpers.cloud.session import create_bucket

ACCOUNT, REGION = "123456789012", "us-east-1"


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session in moto; the record goes to a folder of the test."""
    monkeypatch.setattr(smoke, "artifacts_folder", lambda name: tmp_path / name)
    with mock_aws():
        boto = boto3.Session("testing", "testing", region_name=REGION)
        role, ledger = f"arn:aws:iam::{ACCOUNT}:role/x", Ledger(tmp_path / "ledger")
        found = CloudSession("rehearsal", boto, ACCOUNT, role, "sagemaker-x", ledger)
        create_bucket(found)
        monkeypatch.setattr(smoke, "open_session", lambda: found)
        yield found


def fake_job(folder, session) -> SimpleNamespace:
    """A job of two minutes, which AWS bills for one."""
    said = {"BillableTimeInSeconds": 60, "AlgorithmSpecification": {"TrainingImage": "i"}}
    said["ResourceConfig"] = {"InstanceType": "ml.m5.xlarge"}
    job = SimpleNamespace(describe=lambda: said, download=lambda folder: folder)
    job.follow = lambda: job
    return job


def test_the_record_has_minutes_and_dollars(session, tmp_path, monkeypatch, command):
    planned = []
    client = SimpleNamespace(predict_files=lambda files: [len(files)])
    monkeypatch.setattr(smoke, "plan_job", lambda *_: planned.append(_))
    monkeypatch.setattr(smoke, "start_job", lambda *_: fake_job(tmp_path, session))
    monkeypatch.setattr(smoke, "archive_folder", lambda *_: tmp_path)
    monkeypatch.setattr(smoke, "serve", lambda *_: client)
    code, _printed, error = command(smoke.main)
    assert code == 0, error
    (path,) = (tmp_path / "cloud").glob("smoke-20??-??-??.json")
    record = json.loads(path.read_text())
    assert set(record["minutes"]) == {"upload", "job", "endpoint", "request"}
    assert record["dollars"]["job"] == pytest.approx(0.23 / 60)
    assert record["left"] == 0 and record["answer"] == [1] and record["world"] == "rehearsal"
    assert session.ledger.entries == [] and planned
    assert "Contents" not in session.client("s3").list_objects_v2(Bucket=session.bucket)


def test_the_clean_up_comes_last_whatever_happens(session, monkeypatch, command):
    monkeypatch.setattr(smoke, "plan_job", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command(smoke.main)
    assert session.ledger.entries == []
    assert "Contents" not in session.client("s3").list_objects_v2(Bucket=session.bucket)


def test_nothing_of_yours_is_deleted_that_was_there_before(session, command):
    model = {"ModelName": "workshop-mine", "ExecutionRoleArn": session.role}
    session.client("sagemaker").create_model(**model, Tags=session.tags)
    code, _, error = command(smoke.main)
    assert code == 2 and "found 1 things. Delete it first" in error
    assert len(session.client("sagemaker").list_models()["Models"]) == 1


def test_the_images_can_be_told_apart(tmp_path):
    manifest = smoke._drawn(tmp_path / "images")
    light = [np.asarray(Image.open(path)).mean() > 125 for path in manifest.paths]
    assert light == manifest.targets("light").astype(bool).tolist()
    assert {"train", "validation"} == set(manifest.frame["split"])


def test_what_is_served_is_in_s3_and_in_the_ledger(session, tmp_path):
    (tmp_path / "archive").mkdir()
    archive = tmp_path / "archive" / "model.tar.gz"
    archive.write_bytes(b"archive")
    assert smoke.serve(session, archive, "workshop-x").name == "workshop-x"
    model = session.client("sagemaker").describe_model(ModelName="workshop-x")
    bucket, _, key = model["PrimaryContainer"]["ModelDataUrl"].removeprefix("s3://").partition("/")
    found = session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert found == b"archive" and ":2." in model["PrimaryContainer"]["Image"]
    kinds = {entry.kind for entry in session.ledger.entries}
    assert kinds == {"endpoint", "endpoint config", "model", "s3 prefix", "log"}
    assert smoke.delete_all(session).empty
