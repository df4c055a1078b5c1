"""Finds mistakes before anything is created; nothing here changes anything."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore import exceptions as boto_errors
from botocore.exceptions import ClientError

from helpers.common import expected, more
from helpers.manifest import did_you_mean

REHEARSE = "Or rehearse without an account: leave WORKSHOP_CLOUD out."
SIGN_IN = "Type aws configure or aws sso login in a terminal; in SageMaker Studio they are there "
SIGN_IN += f"without it. {REHEARSE}"
QUOTAS_PAGE = "servicequotas/home/services/sagemaker/quotas"
CONSOLE = "console.aws.amazon.com"
CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
HIDDEN = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
EXPLAINED = {**dict.fromkeys(HIDDEN, "access-denied"), "ResourceLimitExceeded": "over-the-quota"}


def check_region(boto: Any) -> str:
    """Returns the session's region; refuses one that SageMaker does not know."""
    region, partitions = boto.region_name, boto.get_available_partitions()  # one is China
    known = [r for p in partitions for r in boto.get_available_regions("sagemaker", p)]
    if region in known:
        return region
    fix = f"Set it: export AWS_DEFAULT_REGION=us-east-1, or type aws configure. {REHEARSE}"
    what = "a region of AWS such as us-east-1 or eu-central-1"
    found = repr(region) if region else "none"
    raise expected(what, found, f"{did_you_mean(region or '', known)}{fix}")


@contextmanager
def told_what_is_wrong() -> Iterator[None]:
    """Tells what boto3 raises for credentials and settings: no value, as it may be a secret."""
    what, fix = "credentials for AWS", SIGN_IN + more("no-credentials")
    try:
        yield
        return
    except (boto_errors.NoCredentialsError, boto_errors.PartialCredentialsError):
        found = "none"
    except (boto_errors.TokenRetrievalError, boto_errors.SSOError):
        found = "that your sign-in has ended"
    except ClientError as error:
        code = error.response["Error"]["Code"]
        found = f"that AWS refuses them ({code}): they are wrong, have expired, or may not do this"
        fix = SIGN_IN + more("access-denied")
    except boto_errors.ProfileNotFound:
        what, found = "a profile of ~/.aws/config as AWS_PROFILE", "another name"
    except boto_errors.ConfigParseError as error:
        what, found = f"AWS's settings in {error.kwargs['path']}", "a file that cannot be read"
    except (boto_errors.ConnectionError, boto_errors.HTTPClientError) as error:
        what, found = "to reach AWS", f"no connection ({type(error).__name__})"
        fix = f"Look at the network, the region, AWS_ENDPOINT_URL and the proxy. {REHEARSE}"
        fix += more("aws-cannot-be-reached")
    except (boto_errors.BotoCoreError, ValueError, OSError) as error:
        names = ", ".join(sorted(name for name in os.environ if name.startswith("AWS_")))
        what, found = "settings for AWS that boto3 takes", f"others ({type(error).__name__})"
        fix = f"Look at {names or 'the environment'} and at the files in ~/.aws. {REHEARSE}"
    raise expected(what, found, fix) from None


def check_role(boto: Any, name: str) -> str:
    """Returns the ARN of the role that jobs and endpoints run with; refuses one that cannot.

    `name` may be an ARN; where it is empty, it is the role of the caller (SageMaker Studio).
    """
    name = name or _role_of_caller(boto)
    short = name.rpartition("/")[2]
    try:
        role = boto.client("iam").get_role(RoleName=short)["Role"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in HIDDEN and name.startswith("arn:"):
            return name  # a role may be used by somebody who may not look at it
        found = "no such role" if code == "NoSuchEntity" else f"no answer ({code})"
        fix = "Name an existing one: export WORKSHOP_ROLE=<its name, or its ARN, where you may not "
        fix += "look at roles>. In the console: IAM, Roles, Create role, SageMaker."
        raise expected(f"the role {short!r} in your account", found, fix) from None
    if "sagemaker" not in str(role.get("AssumeRolePolicyDocument", "sagemaker")):
        fix = "Choose another one with WORKSHOP_ROLE, or add the trust in the console: IAM, Roles, "
        found = f"that {short!r} does not trust sagemaker.amazonaws.com"
        raise expected("a role that SageMaker may use", found, f"{fix}Trust relationships.")
    return role["Arn"]


def _role_of_caller(boto: Any) -> str:
    arn = boto.client("sts").get_caller_identity()["Arn"]
    _, partition, _, _, account, caller = arn.split(":", 5)
    kind, _, rest = caller.partition("/")
    if kind != "assumed-role":
        fix = "Name one: export WORKSHOP_ROLE=<name of a role for SageMaker>."
        found = "that you are signed in as a user, who has none"
        raise expected("a role for jobs and endpoints", found, fix)
    path = "service-role/" if rest.startswith("AmazonSageMaker-") else ""
    return f"arn:{partition}:iam::{account}:role/{path}{rest.split('/')[0]}"


def check_bucket(boto: Any, bucket: str, account: str) -> bool:
    """Returns whether the bucket exists; refuses one of another account or region."""
    fix = "Choose another name: export WORKSHOP_BUCKET=<a name that nobody has>."
    try:
        boto.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except boto_errors.ParamValidationError:
        raise expected("a name that a bucket may have", repr(bucket), fix) from None
    except ClientError as error:
        answer = error.response["ResponseMetadata"]
        status = answer["HTTPStatusCode"]
        if status == 404:
            return False
        if status not in (301, 403):
            raise
        wanted = "to be yours or free"
        found = "that it belongs to another account, or that you may not use it"
        if status == 301:
            wanted = f"in {boto.region_name}"
            found = f"it in {answer['HTTPHeaders'].get('x-amz-bucket-region') or 'another region'}"
        raise expected(f"the bucket {bucket!r} {wanted}", found, fix) from None
    return True


def check_quota(session: Any, instance_type: str, count: int = 1) -> None:
    """Refuses more instances at once than the account may use for a training job.

    Where they cannot be read, or the account has none of its own for the type, nothing is said:
    SageMaker itself refuses what is over its defaults.
    """
    pages = session.client("service-quotas").get_paginator("list_service_quotas")
    query = f"Quotas[?QuotaName=='{instance_type} for training job usage'].Value"
    try:
        quota = next(pages.paginate(ServiceCode="sagemaker").search(query), None)
    except ClientError as error:
        if error.response["Error"]["Code"] in HIDDEN:
            return
        raise
    if quota is not None and quota < count:
        console = CONSOLES.get(session.boto.get_partition_for_region(session.region), CONSOLE)
        what = f"a quota of {count} or more for {instance_type!r} in {session.region}"
        fix = "Choose another instance type, or ask for more (it takes a day or two)"
        fix = f"{fix}: https://{console}/{QUOTAS_PAGE}{more('over-the-quota')}"
        raise expected(what, f"{quota:g}", fix)
