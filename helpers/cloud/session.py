"""Opens the cloud: your AWS account, or the rehearsal of one on this machine.

You may set `WORKSHOP_ROLE`, the role of jobs and endpoints (in SageMaker Studio the space's own),
`WORKSHOP_BUCKET`, and `WORKSHOP_OWNER`, where several share an account.
"""

import importlib
import importlib.util
import logging
import os
import re
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any
from unittest.mock import patch

import boto3
from botocore.exceptions import ClientError

import helpers.cloud.checks as checks
from helpers.cloud.ledger import Ledger
from helpers.common import cloud_world, expected, read_json

REGION = "us-east-1"  # of the rehearsal
TAG = {"Key": "workshop", "Value": "traffic-signs"}  # on everything that is made
PREFIX = "workshop"  # of every name and every S3 key
STUDIO = Path("/opt/ml/metadata/resource-metadata.json")  # where AWS describes a Studio space
MOST_OWNER = 24  # characters: of the 63 of a job's name, the SDK's time and ours take the rest
ACCOUNT = "123456789012"  # moto's
ROLE = "WorkshopRole"
TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal":
{"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"""


def find_owner() -> str:
    """Returns whose things a session makes: WORKSHOP_OWNER, the Studio space, or the user."""
    space = read_json(STUDIO).get("SpaceName") if STUDIO.exists() else ""
    name = os.environ.get("WORKSHOP_OWNER") or space or Path.home().name
    owner = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    if not 1 <= len(owner) <= MOST_OWNER:
        fix = "Set it: export WORKSHOP_OWNER=<a name that no one else in your account has>."
        raise expected(f"an owner of 1 to {MOST_OWNER} letters and digits", repr(name), fix)
    return owner


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
    owner: str = field(default_factory=find_owner)  # the learner, in a shared account
    _clients: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def tags(self) -> list[dict[str, str]]:
        """What everything that is made must carry, so that its owner's clean-up finds it."""
        return [TAG, {"Key": "owner", "Value": self.owner}]

    @property
    def region(self) -> str:
        """The region that everything is in."""
        return self.boto.region_name

    @property
    def billed(self) -> bool:
        """Whether what is started costs money."""
        return self.world == "aws"

    @property
    def patience(self) -> dict[str, int]:
        """How boto3's waiters wait: 15 minutes at most, in the rehearsal three."""
        return {"Delay": 5 if self.billed else 1, "MaxAttempts": 180}

    def client(self, service: str, region: str = "") -> Any:
        """Returns a boto3 client, always the same one."""
        key = service, region or self.region
        if key not in self._clients:
            self._clients[key] = self.boto.client(service, region_name=key[1])
        return self._clients[key]

    def uri(self, *parts: str) -> str:
        """Returns an address in the bucket, below the owner's prefix."""
        return "/".join([f"s3://{self.bucket}", PREFIX, self.owner, *parts])

    def name(self, what: str) -> str:
        """Returns a name that nothing else has, not even the beginning of it."""
        return f"{PREFIX}-{self.owner}-{what}-{token_hex(3)}"

    def sdk(self) -> Any:
        """Returns the session of the SageMaker SDK, without telemetry."""
        if "sdk" not in self._clients:
            quiet_sdk()
            from sagemaker.core.helper.session_helper import Session

            modules = {"Modules": {"TelemetryOptOut": True}}
            config = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": modules}}
            prefix = f"{PREFIX}/{self.owner}"
            where = {"default_bucket": self.bucket, "default_bucket_prefix": prefix}
            self._clients["sdk"] = Session(self.boto, sagemaker_config=config, **where)
        return self._clients["sdk"]

    def note(self, kind: str, name: str) -> None:
        """Writes down something that is about to be made."""
        self.ledger.add(kind, name, self.region)

    def describe(self) -> str:
        """Returns one line: which world this is, and whether it costs money."""
        if self.billed:
            text = f"aws: account {self.account}, region {self.region}, bucket {self.bucket}, "
            return f"{text}owner {self.owner}; what you start from here on costs money"
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
    # AWS's own name, which AmazonSageMakerFullAccess lets a role read and write
    bucket = os.environ.get("WORKSHOP_BUCKET") or f"sagemaker-{region}-{account}"
    role = os.environ.get("WORKSHOP_ROLE", "")
    return CloudSession("aws", boto, account, role, bucket, Ledger.of(account))


def _rehearse() -> CloudSession:
    if importlib.util.find_spec("moto") is None:
        fix = "Install it: make install-all"
        raise expected("the package moto for the rehearsal", "none", fix)
    from helpers.cloud.rehearsal.answers import Rehearsal

    rehearsal = Rehearsal(REGION)
    boto = rehearsal.boto
    boto.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=TRUST)
    bucket, ledger = f"sagemaker-{REGION}-{ACCOUNT}", Ledger.of("rehearsal")
    return CloudSession("rehearsal", boto, ACCOUNT, ROLE, bucket, ledger, rehearsal)


def create_bucket(session: CloudSession) -> None:
    """Makes the session's bucket, which stays: others of the account may use it too."""
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": session.region}}
    where = {} if session.region == "us-east-1" else elsewhere
    for pause in (1, 10, 60):
        try:
            session.client("s3").create_bucket(Bucket=session.bucket, **where)
        except ClientError as error:  # 409: it is being made or deleted now, or another account's
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 409:
                raise
        if checks.check_bucket(session.boto, session.bucket, session.account):
            return
        time.sleep(pause)
    raise expected(f"AWS to make the bucket {session.bucket}", "that it does not", "Try again.")


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
    # Its check of the role asks for rights that our jobs do not need, such as network interfaces.
    os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")
    for name in ("sagemaker", "sagemaker.core", "sagemaker.train", "sagemaker.core.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
