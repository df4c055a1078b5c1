"""08 creates an endpoint in the open; the package finds all of it, and scores the same."""

import boto3
import numpy as np
import pandas as pd
import pytest
from moto import mock_aws

from helpers.cloud import CloudSession, cleanup
from helpers.cloud.ledger import Ledger
from helpers.cloud.session import create_bucket
from helpers.manifest import Labels, Manifest
from helpers.scores import per_class, score_manifest
from tests.open_cells import run_cells

NAME, REGION, ACCOUNT = "08_deploy_and_predict", "us-east-1", "123456789012"


@pytest.fixture
def session(tmp_path):
    with mock_aws():
        boto = boto3.Session("testing", "testing", region_name=REGION)
        role = f"arn:aws:iam::{ACCOUNT}:role/x"
        ledger = Ledger(tmp_path / "ledger.json")
        found = CloudSession("rehearsal", boto, ACCOUNT, role, "workshop-bucket", ledger)
        create_bucket(found)
        yield found


@pytest.fixture
def opened(session, tmp_path, monkeypatch) -> dict:
    """What the notebook's own cells leave, up to the endpoint."""
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(b"archive")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    return run_cells(NAME, "open", {"session": session, "archive": archive})


def test_all_of_it_is_in_the_ledger_and_the_clean_up_deletes_it(session, opened):
    noted = {(entry.kind, entry.name) for entry in session.ledger.entries}
    wanted = {(kind, opened["NAME"]) for kind in ("model", "endpoint config", "endpoint")}
    assert wanted <= noted and ("s3 prefix", opened["address"]) in noted
    assert ("log", f"/aws/sagemaker/Endpoints/{opened['NAME']}|") in noted
    assert cleanup.delete_all(session).empty
    assert session.client("sagemaker").list_endpoints()["Endpoints"] == []


def test_what_the_notebook_deletes_is_gone(session, opened):
    run_cells(NAME, "open-delete", opened)
    assert set(cleanup.list_all(session)["kind"]) == {"s3 prefix"}


def test_accuracy_and_recall_are_those_of_the_package():
    rng = np.random.default_rng(0)
    classes = ("stop", "yield", "left")
    frame = pd.DataFrame({"image_path": "x", "sign": rng.choice(classes, 200)})
    test = Manifest(frame.assign(group=np.arange(200) // 4), Labels({"sign": classes}), None)
    truth = frame["sign"].map(classes.index).to_numpy()
    probabilities = rng.random((200, 3)) + np.eye(3)[truth] * 0.4
    probabilities = (probabilities / probabilities.sum(axis=1, keepdims=True)).astype("float32")
    names = {"np": np, "pd": pd, "test": test, "probabilities": probabilities}
    names = run_cells(NAME, "open-score", names)
    score = score_manifest(test, {"sign": probabilities}).loc["sign"]
    assert names["result"]["right"].mean() == pytest.approx(score.accuracy)
    mine = names["by_class"]["accuracy"]
    assert mine.mean() == pytest.approx(score.balanced_accuracy)
    theirs = per_class(test.targets("sign"), probabilities, classes)["recall"]
    assert mine.to_dict() == pytest.approx(theirs.to_dict())
