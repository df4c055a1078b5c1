"""IAM as AWS decides it, put into moto's enforcement, and the account of cloud/workshop.yaml.

moto collects the caller's policies for each call, but it knows neither the
resources of SageMaker and CloudWatch, nor `NotResource`, and takes a condition that does not hold
for a refusal. What each call needs is from
https://docs.aws.amazon.com/service-authorization/latest/reference/ (pages of each service).
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from moto.core.authorization import enable_iam_authentication
from moto.core.exceptions import JsonRESTError
from moto.iam.access_control import IAMRequestBase
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.utilities.utils import get_partition

from helpers.common import ROOT

TEMPLATE = ROOT / "cloud" / "workshop.yaml"
ACCOUNT, REGION = "123456789012", "us-east-1"
SERVICE = "sagemaker.amazonaws.com"
KINDS = {
    "TrainingJob": "training-job",
    "EndpointConfig": "endpoint-config",
    "Endpoint": "endpoint",
    "Model": "model",
}
IN_JSON = ("sagemaker", "logs")
Need = tuple[str, str, frozenset]  # action, ARN of the resource, values for conditions


# What a policy says


def permits(policy: Mapping[str, Any], need: Need) -> bool:
    """Whether a policy allows something: a statement must allow it, and none may deny it."""
    effects = {s["Effect"] for s in policy["Statement"] if _concerns(s, need)}
    return effects == {"Allow"}


def _concerns(statement: Mapping[str, Any], need: Need) -> bool:
    action, resource, context = need
    if not _matches(statement["Action"], action, re.IGNORECASE):
        return False
    if "NotResource" in statement:
        is_meant = not _matches(statement["NotResource"], resource)
    else:
        is_meant = _matches(statement["Resource"], resource)
    return is_meant and _holds(statement.get("Condition", {}), dict(context))


def _matches(patterns: str | list[str], text: str, flags: int = 0) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    texts = (re.escape(p).replace(r"\*", ".*").replace(r"\?", ".") for p in patterns)
    return any(re.fullmatch(pattern, text, flags) for pattern in texts)


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Whether the context has what all conditions ask for; those of the policies here compare."""
    return all(
        key in context and _matches(values, context[key])
        for kind, asked in conditions.items()
        for key, values in asked.items()
        if not (kind == "Null" and key not in context)
    )


# What a call needs


def needs(service: str, action: str, params: Mapping[str, Any], region: str) -> Iterator[Need]:
    """Yields what the caller of an API must be allowed to do."""
    own = f"arn:{get_partition(region)}:{service}:{region}:{ACCOUNT}"
    nothing: frozenset = frozenset()
    if service == "sagemaker":
        yield f"sagemaker:{action}", _sagemaker_resource(action, params, own), nothing
        if action.startswith("Create") and params.get("Tags"):
            yield "sagemaker:AddTags", _sagemaker_resource(action, params, own), nothing
        if role := params.get("RoleArn") or params.get("ExecutionRoleArn"):
            yield "iam:PassRole", role, frozenset({("iam:PassedToService", SERVICE)})
        if action == "CreateEndpoint":
            config = f"{own}:endpoint-config/{params['EndpointConfigName'].lower()}"
            yield "sagemaker:CreateEndpoint", config, nothing
    elif service == "logs":
        group = f"{own}:log-group:{params['logGroupName']}"
        stream = f":log-stream:{params.get('logStreamName', '')}"
        yield f"logs:{action}", group + (stream if "logStreamName" in params else ""), nothing
    elif service == "ecr" and "repositoryName" in params:
        yield f"ecr:{action}", f"{own}:repository/{params['repositoryName']}", nothing
    else:
        yield f"{'cloudwatch' if service == 'monitoring' else service}:{action}", "*", nothing


def _sagemaker_resource(action: str, params: Mapping[str, Any], own: str) -> str:
    if "ResourceArn" in params:
        return params["ResourceArn"]
    for name, kind in KINDS.items():
        if action.endswith(name) and f"{name}Name" in params:
            return f"{own}:{kind}/{params[f'{name}Name'].lower()}"
    return "*"


# moto's enforcement


@dataclass
class Book:
    """What was asked for: by whom, and whether the policies allowed it."""

    asked: dict[Need, bool] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)  # in JSON

    def under(self, policy: Mapping[str, Any]) -> dict[str, bool]:
        """Each action that was asked for, and whether a policy allows it wherever it was."""
        found: dict[str, bool] = {}
        for need in sorted(self.asked, key=str):
            found[need[0]] = found.get(need[0], True) and permits(policy, need)
        return found

    def check(self, request: IAMRequestBase, resource: str) -> None:
        """Stands in for moto's `check_action_permitted`."""
        service, _, action = request._action.partition(":")
        if service == "sts":
            return
        if service in IN_JSON and action != "InvokeEndpoint":
            self.requests.append((service, action, json.loads(request._body)))
        documents = [_document(text) for text in map(_text, request._access_key.collect_policies())]
        for need in list(_needs_of(request, service, action, resource)):
            self.asked[need] = any(permits(document, need) for document in documents)
            if not self.asked[need]:
                _refuse(request, service, need)


def _needs_of(request: Any, service: str, action: str, resource: str) -> Iterator[Need]:
    if service == "s3":
        action = {"HeadBucket": "ListBucket"}.get(action, action)
        found = re.findall(r"<Key>(.*?)</Key>", (request._body or b"").decode("utf-8", "replace"))
        many = [f"{resource}/{key}" for key in found] if action == "DeleteObject" else []
        yield from ((f"s3:{action}", one, frozenset()) for one in many or [resource])
        return
    if action == "InvokeEndpoint":
        params = {"EndpointName": request._path.split("/")[2]}
        yield from needs(service, action, params, request._region)
        return
    if service == "iam":
        yield f"iam:{action}", resource, frozenset()
    else:
        yield from needs(service, action, json.loads(request._body or b"{}"), request._region)


def _refuse(request: Any, service: str, need: Need) -> None:
    if service in ("s3", "iam", "monitoring"):
        request._raise_access_denied()
    said = f"User: {request._access_key.arn} is not authorized to perform: {need[0]} on resource: "
    said += f"{need[1]} because no identity-based policy allows the {need[0]} action"
    raise JsonRESTError("AccessDeniedException", said)


def _text(policy: Any) -> str:
    if hasattr(policy, "versions"):
        return next(version.document for version in policy.versions if version.is_default)
    return policy if isinstance(policy, str) else policy["policy_document"]


_document = functools.cache(json.loads)


@contextmanager
def enforced(book: Book) -> Iterator[Book]:
    """moto asks the caller's policies from here on, and `book` knows what it asked."""

    def check(request: IAMRequestBase, resource: str) -> None:
        book.check(request, resource)

    with ExitStack() as stack:
        stack.enter_context(patch.object(IAMRequestBase, "check_action_permitted", check))
        # moto signs a body that is no text in another way than boto3
        stack.enter_context(patch.object(IAMRequestBase, "check_signature", lambda _: None))
        stack.enter_context(enable_iam_authentication())
        yield book


# The account that the template makes


def own_policy(role: str, region: str = REGION) -> dict[str, Any]:
    """The policy of cloud/workshop.yaml in the account of the tests, for a role's ARN."""
    template = read_template(TEMPLATE)
    document = template["Resources"]["Policy"]["Properties"]["PolicyDocument"]
    names = {"AWS::Partition": get_partition(region), "AWS::AccountId": ACCOUNT}
    return _resolved(document, names, role)


def full_access() -> dict[str, Any]:
    """AWS's managed policy for SageMaker, in the version that moto has."""
    return json.loads(aws_managed_policies_data)["AmazonSageMakerFullAccess"]["Document"]


def read_template(path: Path) -> dict[str, Any]:
    """The template, with `!Sub X` and the like as {"Sub": X}."""

    class Loader(yaml.SafeLoader):
        """Knows CloudFormation's short forms."""

    def long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
        kinds = {yaml.ScalarNode: "scalar", yaml.SequenceNode: "sequence"}
        construct = getattr(loader, f"construct_{kinds.get(type(node), 'mapping')}")
        return {suffix: construct(node)}

    Loader.add_multi_constructor("!", long_form)
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


def _resolved(value: Any, names: Mapping[str, str], role: str) -> Any:
    if isinstance(value, list):
        return [_resolved(item, names, role) for item in value]
    if not isinstance(value, dict):
        return value
    if "GetAtt" in value:
        return role
    if "Sub" in value:
        return re.sub(r"\$\{(.*?)\}", lambda found: names[found[1]], value["Sub"])
    return {key: _resolved(item, names, role) for key, item in value.items()}


def without(policy: Mapping[str, Any], action: str) -> dict[str, Any]:
    """The policy as it is, less one action."""
    statements = [
        {**statement, "Action": [name for name in _listed(statement) if name != action]}
        for statement in policy["Statement"]
    ]
    return {**policy, "Statement": statements}


def actions_of(policy: Mapping[str, Any]) -> list[str]:
    """All actions that a policy names."""
    return [action for statement in policy["Statement"] for action in _listed(statement)]


def _listed(statement: Mapping[str, Any]) -> list[str]:
    found = statement["Action"]
    return [found] if isinstance(found, str) else list(found)
