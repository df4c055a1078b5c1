"""Deletes everything that the workshop made in the cloud, and shows that nothing is left.

    python -m helpers.cloud.cleanup [--list]

What was made is known from the ledger, which outlives the notebook, and from the tag that
everything carries. Deleting twice does no harm.
"""

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any

import pandas as pd
from botocore.exceptions import ClientError, ParamValidationError, WaiterError

from helpers.cloud.ledger import KINDS
from helpers.cloud.session import PREFIX, TAG, CloudSession, open_session
from helpers.common import WorkshopError, expected, progress_bar, run_command

GONE = (
    "ValidationException", "ResourceNotFound", "ResourceNotFoundException", "NoSuchBucket", "404",
)  # fmt: skip
# kind to (operation that lists, key of the answer, key of the name)
LISTS = {
    "training job": ("list_training_jobs", "TrainingJobSummaries", "TrainingJobName"),
    "endpoint": ("list_endpoints", "Endpoints", "EndpointName"),
    "endpoint config": ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
    "model": ("list_models", "Models", "ModelName"),
}


def list_all(session: CloudSession) -> pd.DataFrame:
    """Returns what the workshop made and is still there: `kind`, `name` and `known by`."""
    for path in session.ledger.damaged:
        print(f"cannot read all of {path}: look for what it names in the console, then delete it")
    rows = [
        {"kind": kind, "name": name, "known by": " and ".join(by)}
        for (kind, name), by in _noted(session).items()
        if "tag" in by or any(_found(session, kind, name))
    ]
    return pd.DataFrame(rows, columns=["kind", "name", "known by"])


def delete_all(session: CloudSession) -> pd.DataFrame:
    """Deletes it all, what uses something before what is used; returns what is left."""
    deleted = 0
    with progress_bar(iterable=_noted(session), desc="deleting", unit="thing") as bar:
        for kind, name in bar:
            with _gone_is_fine():
                if _delete(session, kind, name):
                    bar.write(f"deleted {kind} {name}")
                    deleted += 1
            if not any(_found(session, kind, name)):
                session.ledger.remove(kind, name)
    left = list_all(session)
    print(f"deleted {deleted}; left: {len(left) or 'nothing'}")
    return left


def _noted(session: CloudSession) -> dict[tuple[str, str], list[str]]:
    """Returns kind and name of what was made to how that is known, in the order of deletion."""
    noted = {(entry.kind, entry.name): ["ledger"] for entry in session.ledger.entries}
    sagemaker = session.client("sagemaker")
    for kind, (operation, key, name) in LISTS.items():
        for summary in _pages(session, "sagemaker", operation, f"{key}[]", NameContains=PREFIX):
            arn = summary[name.replace("Name", "Arn")]
            if TAG in sagemaker.list_tags(ResourceArn=arn)["Tags"]:
                noted.setdefault((kind, summary[name]), []).append("tag")
    return dict(sorted(noted.items(), key=lambda item: (KINDS.index(item[0][0]), item[0][1])))


def _pages(session: CloudSession, service: str, operation: str, query: str, **options) -> Iterator:
    """Yields what a query in JMESPath finds on all pages."""
    return session.client(service).get_paginator(operation).paginate(**options).search(query)


def _objects(session: CloudSession, uri: str) -> Any:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return _bucket(session, bucket).objects.filter(Prefix=f"{prefix.rstrip('/')}/")


def _bucket(session: CloudSession, name: str) -> Any:
    return session.boto.resource("s3").Bucket(name)


def _found(session: CloudSession, kind: str, name: str) -> Iterator[str]:
    """Yields what is there of something: itself, or the objects, streams or jobs below its name."""
    with _gone_is_fine():
        if kind == "s3 prefix":
            yield from (item.key for item in _objects(session, name))
        elif kind == "log":
            group, _, prefix = name.partition("|")
            where = {"logGroupName": group} | ({"logStreamNamePrefix": prefix} if prefix else {})
            query = "logStreams[].logStreamName"
            yield from _pages(session, "logs", "describe_log_streams", query, **where)
        elif kind == "training job":  # the SDK adds the time to the name that was noted
            where, query = {"NameContains": name}, "TrainingJobSummaries[].TrainingJobName"
            jobs = _pages(session, "sagemaker", "list_training_jobs", query, **where)
            yield from (job for job in jobs if job.startswith(name))
        elif kind == "bucket":
            session.client("s3").head_bucket(Bucket=name)
            yield name
        else:
            _call(session, "describe", kind, name)
            yield name


def _delete(session: CloudSession, kind: str, name: str) -> bool:
    """Deletes something; returns whether it was there."""
    found = list(_found(session, kind, name))
    if kind == "training job":
        return any([_delete_job(session, job) for job in found])
    if kind == "log":
        logs, group = session.client("logs"), name.partition("|")[0]
        for stream in found:
            with _gone_is_fine():
                logs.delete_log_stream(logGroupName=group, logStreamName=stream)
        if name.endswith("|"):  # a group of its own, as each endpoint has one
            logs.delete_log_group(logGroupName=group)
    elif found and kind == "s3 prefix":
        _objects(session, name).delete()
    elif found and kind == "bucket":
        if any(_bucket(session, name).objects.limit(1)):
            print(f"kept bucket {name}: there is more in it than the workshop made")
            return False
        _bucket(session, name).delete()
    elif found:
        _call(session, "delete", kind, name)
    return bool(found)


def _delete_job(session: CloudSession, name: str) -> bool:
    client, job = session.client("sagemaker"), {"TrainingJobName": name}
    with _gone_is_fine():  # as it is for one that has ended
        client.stop_training_job(**job)
    delay = {"Delay": 5 if session.billed else 1, "MaxAttempts": 60}
    with contextlib.suppress(WaiterError):  # it has failed, or takes too long
        client.get_waiter("training_job_completed_or_stopped").wait(**job, WaiterConfig=delay)
    with _gone_is_fine():
        client.delete_training_job(**job)
    return True


def _call(session: CloudSession, verb: str, kind: str, name: str) -> None:
    operation = getattr(session.client("sagemaker"), f"{verb}_{kind.replace(' ', '_')}")
    operation(**{LISTS[kind][2]: name})


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except ParamValidationError:
        return  # a name that AWS does not allow: there never was such a thing
    except ClientError as error:
        found = error.response["Error"]
        if found["Code"] not in GONE:
            fix = "Fix it, and run the clean-up again: it goes on where it was."
            reason = f"{found['Code']}: {found['Message']}"
            raise expected("to delete what the workshop made", reason, fix) from error


def main() -> None:
    """Deletes everything that the workshop made, or lists it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="delete nothing")
    arguments = parser.parse_args()
    with open_session() as session:
        if arguments.list:
            left = list_all(session)
            print(left.to_string(index=False) if len(left) else "nothing is there")
        elif len(left := delete_all(session)):
            raise WorkshopError(f"{len(left)} things are left:\n{left.to_string(index=False)}")


if __name__ == "__main__":
    run_command(main)
