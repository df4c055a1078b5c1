"""Mistakes that can be found before anything is created, each with a message of its own.

None of these functions makes or changes anything, and none prints a credential.
"""

import difflib
from typing import Any

from helpers.common import WorkshopError

REHEARSE = "Or rehearse without an account: leave WORKSHOP_CLOUD out."
QUOTAS_PAGE = "https://console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas"
HIDDEN = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


def check_region(boto: Any) -> str:
    """Returns the session's region.

    Raises:
        WorkshopError: there is none, or SageMaker does not know it.
    """
    known = boto.get_available_regions("sagemaker")
    region = boto.region_name
    if region in known:
        return region
    near = difflib.get_close_matches(region or "", known, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise WorkshopError(
        f"expected a region of AWS such as us-east-1 or eu-central-1, found "
        f"{repr(region) if region else 'none'}. {hint}Set it: export AWS_DEFAULT_REGION="
        f"{near[0] if near else 'us-east-1'}, or type aws configure. {REHEARSE}"
    )


def check_credentials(boto: Any) -> str:
    """Returns the number of the account that the credentials belong to.

    Raises:
        WorkshopError: there are none, or AWS refuses them.
    """
    from botocore import exceptions as boto_errors

    advice = (
        "Type aws configure or aws sso login in a terminal; in SageMaker Studio they are there "
        f"without it. {REHEARSE}"
    )
    try:
        return boto.client("sts").get_caller_identity()["Account"]
    except (boto_errors.NoCredentialsError, boto_errors.PartialCredentialsError):
        raise WorkshopError(f"expected credentials for AWS, found none. {advice}") from None
    except (boto_errors.TokenRetrievalError, boto_errors.SSOError):
        raise WorkshopError(
            f"expected credentials for AWS, found that your sign-in has ended. {advice}"
        ) from None
    except boto_errors.ClientError as error:
        code = error.response["Error"]["Code"]
        raise WorkshopError(
            f"expected credentials that AWS accepts, found that it refuses them ({code}): they "
            f"are wrong, or have expired. {advice}"
        ) from None
    except (boto_errors.EndpointConnectionError, boto_errors.ConnectTimeoutError):
        raise WorkshopError(
            f"expected to reach AWS in {boto.region_name}, found no way there. Look at the "
            f"network and the region. {REHEARSE}"
        ) from None


def check_role(boto: Any, name: str) -> str:
    """Returns the ARN of the role that jobs and endpoints run with.

    Args:
        boto: the session.
        name: of the role, or its ARN; the role of the caller where empty (SageMaker Studio).

    Raises:
        WorkshopError: there is none, or SageMaker may not use it.
    """
    from botocore.exceptions import ClientError

    name = name or _role_of_caller(boto)
    short = name.rpartition("/")[2]
    try:
        role = boto.client("iam").get_role(RoleName=short)["Role"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in HIDDEN and name.startswith("arn:"):
            return name  # a role may be used by somebody who may not look at it
        found = "no such role" if code == "NoSuchEntity" else f"no answer ({code})"
        raise WorkshopError(
            f"expected the role {short!r} in your account, found {found}. Name an existing one: "
            "export WORKSHOP_ROLE=<name>, with the policy AmazonSageMakerFullAccess. In the "
            "console: IAM, Roles, Create role, SageMaker."
        ) from None
    if "sagemaker" not in str(role.get("AssumeRolePolicyDocument", "sagemaker")):
        raise WorkshopError(
            f"expected a role that SageMaker may use, found that {short!r} does not trust "
            "sagemaker.amazonaws.com. Choose another one with WORKSHOP_ROLE, or add the trust "
            "in the console: IAM, Roles, Trust relationships."
        )
    return role["Arn"]


def _role_of_caller(boto: Any) -> str:
    arn = boto.client("sts").get_caller_identity()["Arn"]
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    if kind != "assumed-role":
        raise WorkshopError(
            "expected a role for jobs and endpoints, found that you are signed in as a user, who "
            "has none. Name one: export WORKSHOP_ROLE=<name of a role for SageMaker>."
        )
    account = arn.split(":")[4]
    path = "service-role/" if rest.startswith("AmazonSageMaker-") else ""
    return f"arn:aws:iam::{account}:role/{path}{rest.split('/')[0]}"


def check_bucket(boto: Any, bucket: str, account: str) -> bool:
    """Tells whether the bucket is there, and yours.

    Raises:
        WorkshopError: it belongs to another account, or lies in another region.
    """
    from botocore.exceptions import ClientError

    try:
        boto.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            return False
        another = "Choose another name: export WORKSHOP_BUCKET=<a name that nobody has>."
        if status == 403:
            raise WorkshopError(
                f"expected the bucket {bucket!r} to be yours or free, found that it belongs to "
                f"another account, or that you may not use it. {another}"
            ) from None
        if status == 301:
            place = error.response["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
            raise WorkshopError(
                f"expected the bucket {bucket!r} in {boto.region_name}, found it in "
                f"{place or 'another region'}. {another}"
            ) from None
        raise
    return True


def check_quota(session: Any, instance_type: str, use: str, count: int = 1) -> None:
    """Looks whether the account may run so many instances at once.

    Args:
        session: a `CloudSession`.
        instance_type: such as "ml.m5.xlarge".
        use: "training job usage", "spot training job usage" or "endpoint usage".
        count: instances.

    Raises:
        WorkshopError: it may not. Where the quotas cannot be read, nothing is said: SageMaker
            itself refuses what is over them.
    """
    from botocore.exceptions import ClientError

    try:
        found = _quotas(session).get(f"{instance_type} for {use}")
    except ClientError as error:
        if error.response["Error"]["Code"] in HIDDEN:
            return
        raise
    if found is None:
        raise WorkshopError(
            f"expected an instance type of SageMaker, found {instance_type!r}, of which your "
            f"account has no quota for {use}. Choose one such as ml.m5.xlarge."
        )
    if found < count:
        raise WorkshopError(
            f"expected a quota of {count} or more for {instance_type!r} ({use}) in "
            f"{session.region}, found {found:g}. Choose another instance type, or ask for more "
            f"(it takes a day or two): {QUOTAS_PAGE}"
        )


def _quotas(session: Any) -> dict[str, float]:
    if "quotas" not in session._clients:  # there are thousands; they are read once
        pages = session.client("service-quotas").get_paginator("list_service_quotas")
        session._clients["quotas"] = {
            quota["QuotaName"]: quota["Value"]
            for page in pages.paginate(ServiceCode="sagemaker")
            for quota in page["Quotas"]
        }
    return session._clients["quotas"]


def check_name_is_free(session: Any, name: str) -> None:
    """Looks whether an endpoint of that name is there already.

    Raises:
        WorkshopError: it is.
    """
    from botocore.exceptions import ClientError

    try:
        found = session.client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ValidationException", "ResourceNotFound"):
            return
        raise
    raise WorkshopError(
        f"expected a free name for the endpoint, found that {name!r} is taken (state "
        f"{found['EndpointStatus']}). Choose another name, or delete that one first: "
        "helpers.cloud.cleanup.delete_all(session)"
    )
