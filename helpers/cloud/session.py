"""Opens the cloud: your AWS account, or the rehearsal of one on this machine.

You may set `WORKSHOP_ROLE`, the role of jobs and endpoints (in SageMaker Studio the space's own),
and `WORKSHOP_BUCKET`.
"""

import importlib
import importlib.util
import logging
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import boto3

import helpers.cloud.checks as checks
from helpers.cloud.ledger import Ledger
from helpers.common import cloud_world, expected

REGION = "us-east-1"  # of the rehearsal; prices.json is for it as well
TAG = {"Key": "workshop", "Value": "traffic-signs"}  # on everything that is made
PREFIX = "workshop"  # of every name and every S3 key
ACCOUNT = "123456789012"  # moto's
ROLE = "WorkshopRole"
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal":
{"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""


@dataclass
class CloudSession(AbstractContextManager):
    """Where things are made: everything that differs between the worlds."""

    world: str  # "rehearsal" or "aws"
    boto: boto3.Session
    account: str
    role: str  # the ARN of the role that jobs and endpoints run with
    bucket: str  # for data, jobs and models
    ledger: Ledger  # of what was made, and is not deleted yet
    rehearsal: Any = None  # what plays AWS
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)
    tags = [TAG]  # what everything that is made must carry, so that the clean-up finds it

    @property
    def region(self) -> str:
        """The region that everything is in."""
        return self.boto.region_name

    @property
    def billed(self) -> bool:
        """Whether what is started costs money."""
        return self.world == "aws"

    def client(self, service: str) -> Any:
        """Returns a boto3 client, always the same one."""
        if service not in self._clients:
            self._clients[service] = self.boto.client(service)
        return self._clients[service]

    def uri(self, *parts: str) -> str:
        """Returns an address in the bucket, below the workshop's prefix."""
        return "/".join([f"s3://{self.bucket}", PREFIX, *parts])

    def sdk(self) -> Any:
        """Returns the session of the SageMaker SDK, without telemetry."""
        if "sdk" not in self._clients:
            quiet_sdk()
            from sagemaker.core.helper.session_helper import Session

            modules = {"Modules": {"TelemetryOptOut": True}}
            config = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": modules}}
            where = {"default_bucket": self.bucket, "default_bucket_prefix": PREFIX}
            self._clients["sdk"] = Session(self.boto, sagemaker_config=config, **where)
        return self._clients["sdk"]

    def note(self, kind: str, name: str) -> None:
        """Writes down something that is about to be made."""
        self.ledger.add(kind, name, self.region)

    def describe(self) -> str:
        """Returns one line: which world this is, and whether it costs money."""
        if self.billed:
            text = f"aws: account {self.account}, region {self.region}, bucket {self.bucket}"
            return f"{text}; what you start from here on costs money"
        return "rehearsal: AWS is played on this machine; nothing is billed, and nothing leaves it"

    def close(self) -> None:
        """Ends the rehearsal; in "aws" there is nothing to end. May be called twice."""
        if self.rehearsal:
            self.rehearsal.close()

    def __exit__(self, *_: object) -> None:
        self.close()


def open_session(world: str | None = None) -> CloudSession:
    """Opens the cloud, checks credentials, region, role and bucket, and says where it is.

    The world is "rehearsal" or "aws"; where None, what `WORKSHOP_CLOUD` says.
    """
    is_rehearsed = (world or cloud_world()) == "rehearsal"
    with nullcontext() if is_rehearsed else checks.told_what_is_wrong():
        session = _rehearse() if is_rehearsed else _connect()
        session.role = checks.check_role(session.boto, session.role)
        if not checks.check_bucket(session.boto, session.bucket, session.account):
            create_bucket(session)
    print(session.describe())
    return session


def _connect() -> CloudSession:
    boto = boto3.Session()
    region = checks.check_region(boto)
    account = boto.client("sts").get_caller_identity()["Account"]
    bucket = os.environ.get("WORKSHOP_BUCKET") or f"{PREFIX}-{account}-{region}"
    role = os.environ.get("WORKSHOP_ROLE", "")
    return CloudSession("aws", boto, account, role, bucket, Ledger.of("aws"))


def _rehearse() -> CloudSession:
    if importlib.util.find_spec("moto") is None:
        fix = "Install it: make install-all"
        raise expected("the package moto for the rehearsal", "none", fix)
    from helpers.cloud.rehearsal.answers import Rehearsal

    rehearsal = Rehearsal(REGION)
    boto = rehearsal.boto
    boto.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=TRUST)
    bucket, ledger = f"{PREFIX}-{ACCOUNT}-{REGION}", Ledger.of("rehearsal")
    return CloudSession("rehearsal", boto, ACCOUNT, ROLE, bucket, ledger, rehearsal)


def create_bucket(session: CloudSession) -> None:
    """Makes the session's bucket; clean-up deletes it again."""
    session.note("bucket", session.bucket)
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": session.region}}
    s3 = session.client("s3")
    s3.create_bucket(Bucket=session.bucket, **({} if session.region == "us-east-1" else elsewhere))
    s3.put_bucket_tagging(Bucket=session.bucket, Tagging={"TagSet": [TAG]})


def quiet_sdk() -> None:
    """Imports the SageMaker SDK, and lets it say errors only: it prints boxes and internals.

    When imported it opens a session, which nothing uses, with this machine's profile and files: the
    rehearsal does not need them to be right.
    """
    nothing = dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    with patch.dict(os.environ, nothing):
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
            os.environ.pop(name, None)
        importlib.import_module("sagemaker.core.image_uris")
    for name in ("sagemaker", "sagemaker.core", "sagemaker.train", "sagemaker.core.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
