"""What the account must allow: the calls of 07 and 08, replayed under moto's enforcement of IAM."""

import json
import re
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.responses import EmptyResult
from moto.sagemaker.models import sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse
from moto.servicequotas.responses import ServiceQuotasResponse

from helpers.cloud import delete_all, job, open_session, upload_folder
from helpers.cloud.ledger import Ledger
from helpers.cloud.rehearsal.answers import Quotas
from helpers.cloud.session import TRUST
from helpers.common import WorkshopError
from tests.botocore_model import violations
from tests.iam_replay import (
    ACCOUNT,
    REGION,
    TEMPLATE,
    Book,
    actions_of,
    enforced,
    full_access,
    own_policy,
    without,
)

NAME = "workshop-signs-replay"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/WorkshopRole"
GROUPS = {"job": "/aws/sagemaker/TrainingJobs", "endpoint": f"/aws/sagemaker/Endpoints/{NAME}"}
IMAGES = {"registryId": "763104351884", "repositoryName": "tensorflow-training"}


# What the SDK asks for, and does without: may the role be used, and is the bucket in the list?
TRIED = {"iam:SimulatePrincipalPolicy", "s3:ListAllMyBuckets"}
# What AmazonSageMakerFullAccess does not allow: the sessions and the clean-up do without.
REFUSED_BY_AWS = {
    "iam:GetRole",
    "logs:DeleteLogGroup",
    "logs:DeleteLogStream",
    "servicequotas:ListServiceQuotas",
}


@contextmanager
def account(policy: dict[str, Any], folder: Path) -> Iterator[None]:
    """An account in moto; the learner, with whose key boto3 works, and the role have the policy."""
    listed = Quotas.list_service_quotas
    patch_of = pytest.MonkeyPatch.context
    with mock_aws(), patch_of() as patch:
        for name, value in {"AWS_DEFAULT_REGION": REGION, "WORKSHOP_ROLE": ROLE}.items():
            patch.setenv(name, value)
        patch.setattr(SageMakerResponse, "stop_training_job", stop, raising=False)
        patch.setattr(SageMakerResponse, "delete_training_job", delete, raising=False)
        patch.setattr(ServiceQuotasResponse, "list_service_quotas", listed, raising=False)
        patch.setattr(Ledger, "of", classmethod(lambda cls, *_: cls(folder / "ledger.json")))
        patch.setattr(job, "copy_source", small_source)
        patch.setattr(time, "sleep", lambda _: None)
        iam = boto3.Session("first", "first", region_name=REGION).client("iam")
        made = iam.create_policy(PolicyName="own", PolicyDocument=json.dumps(policy))
        arn = made["Policy"]["Arn"]
        iam.create_role(RoleName="WorkshopRole", AssumeRolePolicyDocument=TRUST)
        iam.attach_role_policy(RoleName="WorkshopRole", PolicyArn=arn)
        iam.create_user(UserName="learner")
        iam.attach_user_policy(UserName="learner", PolicyArn=arn)
        key = iam.create_access_key(UserName="learner")["AccessKey"]
        patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        yield


def stop(response: SageMakerResponse) -> EmptyResult:
    """What moto leaves out."""
    job_of(response).training_job_status = "Stopped"
    return EmptyResult()


def delete(response: SageMakerResponse) -> EmptyResult:
    """What moto leaves out."""
    del sagemaker_backends[ACCOUNT][REGION].training_jobs[job_of(response).training_job_name]
    return EmptyResult()


def job_of(response: SageMakerResponse) -> Any:
    jobs = sagemaker_backends[ACCOUNT][REGION].training_jobs
    return jobs[response._get_param("TrainingJobName")]


def small_source(folder: Path) -> Path:
    """The source of a job, as few files."""
    folder.mkdir()
    (folder / "requirements.txt").write_text("keras")
    return folder


@contextmanager
def as_service() -> Iterator[boto3.Session]:
    """SageMaker with the role, as a job or an endpoint has it."""
    sts = boto3.client("sts")
    key = sts.assume_role(RoleArn=ROLE, RoleSessionName="SageMaker")["Credentials"]
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    yield boto3.Session(*(key[name] for name in names), region_name=REGION)


def run_on_machine(session: boto3.Session, bucket: str, kind: str, reads: str) -> None:
    """What AWS does with the role for a job or an endpoint, by the guide to the roles.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html, CreateTrainingJob API and
    CreateModel API: execution role permissions.
    """
    s3, logs, ecr = (session.client(name) for name in ("s3", "logs", "ecr"))
    ecr.get_authorization_token()
    with only_refusals():
        ecr.batch_check_layer_availability(**IMAGES, layerDigests=["sha256:0"])
    with only_refusals():
        ecr.get_download_url_for_layer(**IMAGES, layerDigest="sha256:0")
    with only_refusals():
        ecr.batch_get_image(**IMAGES, imageIds=[{"imageTag": "2.21.0-cpu-py312"}])
    for key in s3.list_objects_v2(Bucket=bucket, Prefix=reads)["Contents"]:
        s3.get_object(Bucket=bucket, Key=key["Key"])
    stream = {"logGroupName": GROUPS[kind], "logStreamName": f"{NAME}/algo-1-1700000000"}
    with suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=GROUPS[kind])
    logs.create_log_stream(**stream)
    logs.put_log_events(**stream, logEvents=[{"timestamp": 1700000000000, "message": "hello"}])
    logs.describe_log_streams(logGroupName=GROUPS[kind])
    metric = {"MetricName": "accuracy", "Value": 0.5}
    namespace = f"/aws/sagemaker/{kind}"
    session.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=[metric])


@contextmanager
def only_refusals() -> Iterator[None]:
    """moto has neither these images nor all calls of ECR; who refuses them is heard."""
    try:
        yield
    except NotImplementedError:
        return
    except ClientError as error:
        if "AccessDenied" in error.response["Error"]["Code"]:
            raise


def train(session: Any, folder: Path) -> None:
    """What 07 calls."""
    s3, sagemaker = session.client("s3"), session.client("sagemaker")
    (folder / "data").mkdir()
    (folder / "data/a.tar").write_bytes(b"signs")
    address = upload_folder(session, folder / "data", "signs")
    bucket, key = address.removeprefix("s3://").split("/", 1)
    s3.head_object(Bucket=bucket, Key=f"{key}/a.tar")
    large = s3.create_multipart_upload(Bucket=bucket, Key=f"{key}/large")["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key=f"{key}/large", UploadId=large)
    plan = job.plan_job(session, {"epochs": 1}, ["sign"])
    training = job.start_job(session, plan, {"training": address})
    name = {"TrainingJobName": training.name}
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(**name)
    with as_service() as service:
        run_on_machine(service, bucket, "job", key)
        packed = folder / "model.tar.gz"
        with tarfile.open(packed, "w:gz") as archive:
            archive.add(folder / "data/a.tar", "labels.json")
        _, _, place = training.model_uri.removeprefix("s3://").partition("/")
        service.client("s3").upload_file(str(packed), bucket, place)
    where = {"logGroupName": GROUPS["job"]}
    stream = session.client("logs").describe_log_streams(**where)["logStreams"][0]["logStreamName"]
    session.client("logs").get_log_events(**where, logStreamName=stream)
    session.note("log", f"{GROUPS['job']}|{NAME}")
    training.follow()
    s3.get_object(Bucket=bucket, Key=place)
    record = sagemaker_backends[ACCOUNT][REGION].training_jobs[training.name]
    record.training_job_status = "InProgress"  # the clean-up finds it at work


def deploy(session: Any, folder: Path) -> None:
    """What 08 calls."""
    sagemaker = session.client("sagemaker")
    address = upload_folder(session, folder / "data", "model")
    bucket, key = address.removeprefix("s3://").split("/", 1)
    for kind in ("model", "endpoint config", "endpoint"):
        session.note(kind, NAME)
    session.note("log", f"{GROUPS['endpoint']}|")
    common = {"ExecutionRoleArn": session.role, "Tags": session.tags}
    container = {"Image": "image", "ModelDataUrl": f"{address}/a.tar"}
    sagemaker.create_model(ModelName=NAME, PrimaryContainer=container, **common)
    variant = {"VariantName": "AllTraffic", "ModelName": NAME, "InitialInstanceCount": 1}
    variants = [variant | {"InstanceType": "ml.m5.large"}]
    sagemaker.create_endpoint_config(
        EndpointConfigName=NAME, ProductionVariants=variants, Tags=session.tags
    )
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME, Tags=session.tags)
    with as_service() as service:
        run_on_machine(service, bucket, "endpoint", key)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=NAME)
    session.client("sagemaker-runtime").invoke_endpoint(EndpointName=NAME, Body=b"image")
    for call in ("endpoints", "endpoint_configs", "models"):
        getattr(sagemaker, f"list_{call}")(NameContains=NAME)


def replay(folder: Path, book: Book) -> None:
    """Everything, from opening the account to a clean-up that leaves nothing."""
    with enforced(book), open_session("aws") as session:
        train(session, folder)
        deploy(session, folder)
        left = delete_all(session)
        assert left.empty, left


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Book:
    """What a replay asked for, under exactly the policy of the template."""
    folder, found = tmp_path_factory.mktemp("replay"), Book()
    with account(own_policy(ROLE), folder):
        replay(folder, found)
    return found


def test_both_notebooks_pass_under_the_policy(book):
    asked = book.under(own_policy(ROLE))
    assert {action for action in asked if asked[action]} == set(actions_of(own_policy(ROLE)))
    assert {action for action in asked if not asked[action]} <= TRIED


@pytest.mark.parametrize("action", actions_of(own_policy(ROLE)))
def test_no_action_of_the_policy_is_too_much(book, action):
    assert not book.under(without(own_policy(ROLE), action))[action]


def test_a_replay_under_less_ends_in_a_clear_message(tmp_path):
    less = without(own_policy(ROLE), "s3:CreateBucket")
    with account(less, tmp_path), pytest.raises(WorkshopError, match="AccessDenied"):
        replay(tmp_path, Book())


def test_what_the_policy_of_aws_allows(book):
    """The notebooks run, in a bucket that is named like this one; the clean-up keeps the logs."""
    asked = book.under(full_access())
    assert {action for action in asked if not asked[action]} - TRIED == REFUSED_BY_AWS


def test_what_aws_would_not_take_is_found():
    name = {"TrainingJobName": "-job_1", "Colour": "red", "RoleArn": "arn:aws:iam::1:role/x"}
    found = "; ".join(violations("sagemaker", "CreateTrainingJob", name))
    for text in ("OutputDataConfig is missing", "no Colour", "'-job_1' does not match"):
        assert text in found
    status = {"StatusEquals": "Asleep", "MaxResults": 1000}
    found = violations("sagemaker", "ListTrainingJobs", status)
    assert ["none of" in found[0], "between" in found[1]] == [True, True]


def test_every_request_is_as_aws_describes_it(book):
    names = {action for _, action, _ in book.requests}
    assert {"CreateTrainingJob", "CreateEndpointConfig", "DescribeLogStreams"} <= names
    found = [line for request in book.requests for line in violations(*request)]
    assert found == []


def test_the_template_is_one_that_cloudformation_takes(monkeypatch):
    """cfn-lint knows every property, and every action that IAM has."""
    from cfnlint.api import lint

    text = TEMPLATE.read_text(encoding="utf-8")
    assert lint(text) == []
    wrong = text.replace("sagemaker:CreateModel ", "sagemaker:CreateModle ")
    assert "createmodle" in str(lint(wrong)[0])


def test_every_action_has_its_reason():
    """Behind it, or behind the word Action for all below it."""
    shared, actions, told = False, set(actions_of(own_policy(ROLE))), set()
    for line in TEMPLATE.read_text(encoding="utf-8").splitlines():
        shared = "Action:  # " in line or (shared and line.lstrip()[:2] == "- ")
        code, _, reason = line.partition("  #")
        if reason or shared:
            told.update(re.findall(r"\b[a-z0-9]+:[A-Z]\w+", code))
    assert actions - told == set()
