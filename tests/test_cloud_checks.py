"""What each mistake prints before anything is created: expected, found, what to do next."""

import os
import re
import traceback
from collections.abc import Callable
from types import SimpleNamespace

import boto3
import jmespath
import pytest
from botocore.exceptions import ClientError, NoCredentialsError, TokenRetrievalError
from moto import mock_aws

from helpers.cloud import session as cloud
from helpers.cloud.checks import (
    check_bucket,
    check_quota,
    check_region,
    check_role,
    told_what_is_wrong,
)
from helpers.cloud.job import PRICES, describe_price
from helpers.common import WorkshopError, cloud_world, read_json

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "a-secret"}
REGION, ACCOUNT = "us-east-1", "123456789012"


def session(region: str | None = REGION) -> boto3.Session:
    return boto3.Session(**KEYS, region_name=region)


class Refusing:
    """A boto3 session whose every call fails in one way."""

    region_name = REGION

    def __init__(self, error: Exception):
        self.error = error

    def client(self, *_, **__):
        def fail(*_, **__):
            raise self.error

        return SimpleNamespace(
            get_caller_identity=fail,
            get_role=fail,
            head_bucket=fail,
            describe_endpoint=fail,
            get_paginator=lambda _: SimpleNamespace(paginate=fail),
        )


def refused(code: str, status: int = 400, **headers: str) -> Refusing:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    answer = {"Error": {"Code": code, "Message": "said AWS"}, "ResponseMetadata": metadata}
    return Refusing(ClientError(answer, "Call"))


def with_quotas(**quotas: float) -> SimpleNamespace:
    """A session whose account has these quotas."""
    found = [
        {"QuotaName": f"ml.{name} for training job usage", "Value": v} for name, v in quotas.items()
    ]
    pages = SimpleNamespace(
        search=lambda query: iter(jmespath.search(query, {"Quotas": found}) or [])
    )
    client = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: pages))
    return SimpleNamespace(client=lambda _: client, region=REGION, boto=session())


def check_credentials(boto) -> str:
    """Asks for the account as `open_session` does."""
    with told_what_is_wrong():
        return boto.client("sts").get_caller_identity()["Account"]


@pytest.mark.parametrize(
    "region, found",
    [(None, "found none"), ("us-eats-1", "Did you mean 'us-east-1'?"), ("xx", "'xx'")],
)
def test_wrong_region(region, found, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(WorkshopError, match="expected a region of AWS") as raised:
        check_region(session_of_region(region))
    assert found in str(raised.value) and "AWS_DEFAULT_REGION" in str(raised.value)


def session_of_region(region: str | None) -> SimpleNamespace:
    """A boto3 session that knows three regions."""
    known = {"aws": ["eu-central-1", "us-east-1", "us-west-2"]}
    return SimpleNamespace(
        region_name=region,
        get_available_partitions=lambda: list(known),
        get_available_regions=lambda _, partition: known[partition],
    )


@pytest.mark.parametrize("region", ["eu-central-1", "cn-north-1", "us-gov-west-1"])
def test_a_region_of_any_partition(region):
    assert check_region(session(region)) == region


def test_no_credentials(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(WorkshopError, match="expected credentials for AWS, found none"):
        check_credentials(boto3.Session(region_name=REGION))


@pytest.mark.parametrize(
    "boto, found",
    [
        (Refusing(NoCredentialsError()), "found none"),
        (Refusing(TokenRetrievalError(provider="sso", error_msg="x")), "sign-in has ended"),
        (refused("ExpiredToken"), r"refuses them \(ExpiredToken\)"),
    ],
)
def test_credentials_that_do_not_work(boto, found):
    with pytest.raises(WorkshopError, match=found) as raised:
        check_credentials(boto)
    assert "aws configure" in str(raised.value)


SECRET = "FIRSTPART\nSECONDPART"
BROKEN_FILE = "[default]\naws_secret_access_key FIRSTPART\nSECONDPART = [["
WRONG = {
    "the token": ({"AWS_SESSION_TOKEN": SECRET}, "expected (settings for AWS|to reach AWS)"),
    "the id": ({"AWS_ACCESS_KEY_ID": SECRET}, "expected (settings for AWS|to reach AWS)"),
    "the secret": ({"AWS_SECRET_ACCESS_KEY": SECRET}, "expected (settings for AWS|to reach AWS)"),
    "an umlaut": ({"AWS_SESSION_TOKEN": "FIRSTPARTü"}, "expected (settings for AWS|to reach AWS)"),
    "a space": ({"AWS_ACCESS_KEY_ID": " FIRSTPART"}, "expected (settings for AWS|to reach AWS)"),
    "a return": ({"AWS_SESSION_TOKEN": "FIRSTPART\r"}, "expected (settings for AWS|to reach AWS)"),
    "half": ({"AWS_ACCESS_KEY_ID": "FIRSTPART", "AWS_SECRET_ACCESS_KEY": None}, "found none"),
    "the profile": ({"AWS_PROFILE": "FIRSTPART"}, "expected a profile of ~/.aws/config"),
    "no endpoint": ({"AWS_ENDPOINT_URL": "FIRSTPART"}, "Look at .*AWS_ENDPOINT_URL"),
    "a port": ({"AWS_ENDPOINT_URL": "http://FIRSTPART@localhost:99999"}, "AWS_ENDPOINT_URL"),
    "nobody there": ({"AWS_ENDPOINT_URL": "http://FIRSTPART@127.0.0.1:9"}, "expected to reach AWS"),
    "attempts": ({"AWS_MAX_ATTEMPTS": "FIRSTPART"}, "Look at .*AWS_MAX_ATTEMPTS"),
    "retries": ({"AWS_RETRY_MODE": "FIRSTPART"}, "Look at .*AWS_RETRY_MODE"),
    "defaults": ({"AWS_DEFAULTS_MODE": "FIRSTPART"}, "Look at .*AWS_DEFAULTS_MODE"),
    "certificates": ({"AWS_CA_BUNDLE": "/FIRSTPART"}, "expected"),
    "the region": ({"AWS_DEFAULT_REGION": "us east\n1"}, "expected a region"),
    "no region": ({"AWS_DEFAULT_REGION": ""}, "expected a region"),
    "a folder": ({"AWS_CONFIG_FILE": "/"}, "expected"),
}
FILES = {
    "broken": ("AWS_SHARED_CREDENTIALS_FILE", BROKEN_FILE),
    "broken config": ("AWS_CONFIG_FILE", BROKEN_FILE),
    "bytes": ("AWS_SHARED_CREDENTIALS_FILE", "[default]\nx = \udcff"),
    "twice": ("AWS_SHARED_CREDENTIALS_FILE", "[default]\n[default]\nx = FIRSTPART"),
}


@pytest.fixture
def account(monkeypatch, tmp_path):
    """Whole settings of an account, which a test spoils; nothing answers there."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    settings = {
        "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "whole",
        "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def opened(command: Callable) -> str:
    """What opening a session in an account prints when it is refused."""
    code, out, err = command(lambda: cloud.open_session("aws"))
    assert code == 2 and err.startswith("error: ") and "Traceback" not in err
    assert "FIRSTPART" not in out + err and "SECONDPART" not in out + err
    return err


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_told_and_no_secret(name, account, command, monkeypatch):
    settings, message = WRONG[name]
    for variable, value in settings.items():
        if value is None:
            monkeypatch.delenv(variable)
        else:
            monkeypatch.setenv(variable, value)
    assert re.search(message, opened(command))


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_is_told_and_no_secret(name, account, command, monkeypatch):
    variable, text = FILES[name]
    path = account / "broken"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    monkeypatch.setenv(variable, str(path))
    assert f"expected AWS's settings in {path}, found a file that cannot" in opened(command)


def test_a_traceback_has_no_secret_either(account, monkeypatch):
    """A notebook shows one, with all that led to the error."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRET)
    with pytest.raises(WorkshopError) as raised:
        check_credentials(boto3.Session())  # which does not look at the form
    shown = "".join(traceback.format_exception(raised.value))
    assert "FIRSTPART" not in shown and "SECONDPART" not in shown


def test_a_name_that_no_bucket_may_have():
    with pytest.raises(WorkshopError, match="expected a name that a bucket may have"):
        check_bucket(session(), "No Bucket!", ACCOUNT)


@mock_aws
def test_credentials_that_work_are_not_told(capsys):
    assert check_credentials(session()) == ACCOUNT
    assert "a-secret" not in capsys.readouterr().out


@mock_aws
def test_role():
    iam = session().client("iam")
    arn = iam.create_role(RoleName="Good", AssumeRolePolicyDocument=cloud.TRUST)["Role"]["Arn"]
    other = cloud.TRUST.replace("sagemaker", "lambda")
    iam.create_role(RoleName="Other", AssumeRolePolicyDocument=other)
    assert check_role(session(), "Good") == check_role(session(), arn) == arn
    with pytest.raises(WorkshopError, match=r"expected the role 'Missing'.*found no such role"):
        check_role(session(), "Missing")
    with pytest.raises(WorkshopError, match="'Other' does not trust sagemaker"):
        check_role(session(), "Other")
    with pytest.raises(WorkshopError, match="signed in as a user, who has none"):
        check_role(session(), "")


def test_a_role_that_may_not_be_looked_at_is_taken():
    arn = "arn:aws:iam::123456789012:role/service-role/AmazonSageMaker-1"
    assert check_role(refused("AccessDenied"), arn) == arn


@mock_aws
def test_bucket():
    assert not check_bucket(session(), "workshop-free", ACCOUNT)
    session().client("s3").create_bucket(Bucket="workshop-mine")
    assert check_bucket(session(), "workshop-mine", ACCOUNT)


def test_bucket_in_another_account():
    """AWS answers 403; moto lets every account into every bucket, so its answer is made here."""
    with pytest.raises(WorkshopError, match=r"belongs to another account.*WORKSHOP_BUCKET"):
        check_bucket(refused("403", 403), "workshop-theirs", ACCOUNT)


def test_bucket_in_another_region():
    there = refused("301", 301, **{"x-amz-bucket-region": "eu-west-1"})
    with pytest.raises(WorkshopError, match="in us-east-1, found it in eu-west-1"):
        check_bucket(there, "workshop-far", ACCOUNT)


def test_quota():
    check_quota(with_quotas(**{"m5.large": 2}), "ml.m5.large", 2)
    with pytest.raises(WorkshopError, match=r"quota of 1 or more for 'ml.p5.48xlarge'.*found 0"):
        check_quota(with_quotas(**{"p5.48xlarge": 0}), "ml.p5.48xlarge")


def test_a_type_without_a_quota_of_its_own_is_left_to_aws():
    """Service Quotas lists a default nowhere but among the defaults."""
    assert check_quota(with_quotas(), "ml.m7i.large") is None


def test_a_quota_that_is_too_small_links_the_console_of_the_partition():
    account = with_quotas(**{"m5.large": 0})
    account.boto, account.region = session("cn-north-1"), "cn-north-1"
    with pytest.raises(WorkshopError, match=r"https://console\.amazonaws\.cn/servicequotas/"):
        check_quota(account, "ml.m5.large")


@mock_aws
def test_the_role_of_the_caller_is_of_its_partition():
    """A Studio space in China: its role may not be looked at."""
    caller = "arn:aws-cn:sts::123456789012:assumed-role/AmazonSageMaker-1/SageMaker"
    denied = refused("AccessDenied")
    client = denied.client()
    client.get_caller_identity = lambda: {"Arn": caller}
    found = check_role(SimpleNamespace(client=lambda _: client), "")
    assert found == "arn:aws-cn:iam::123456789012:role/service-role/AmazonSageMaker-1"


def test_quotas_that_may_not_be_read_are_left_to_aws():
    hidden = SimpleNamespace(client=refused("AccessDeniedException").client)
    assert check_quota(hidden, "ml.m5.large") is None


def test_a_world_that_there_is_not(monkeypatch):
    monkeypatch.setenv("WORKSHOP_CLOUD", "azure")
    with pytest.raises(WorkshopError, match="expected WORKSHOP_CLOUD=rehearsal or aws"):
        cloud_world()
    monkeypatch.delenv("WORKSHOP_CLOUD")
    assert cloud_world() == "rehearsal"


def test_the_price_is_told_with_its_date_and_what_it_is_for():
    here = SimpleNamespace(region=REGION, billed=True)
    price = read_json(PRICES)["per_hour"]["ml.m5.xlarge"]
    told = describe_price(here, "ml.m5.xlarge", count=2, hours=0.5)
    assert f"2 x ml.m5.xlarge, ${2 * price:.3f} an hour, at most ${price:.2f}" in told
    assert "as of 20" in told and "rehearsal" not in told
    there = SimpleNamespace(region="eu-west-1", billed=True)
    assert "not eu-west-1" in describe_price(there, "ml.m5.large", 1, 1)


def test_what_has_no_price_is_not_guessed():
    here = SimpleNamespace(region=REGION, billed=False)
    told = describe_price(here, "ml.x9.large", 1, 1)
    assert "not in prices.json" in told and "$" not in told
    assert told.endswith("rehearsal: nothing is billed")
