"""Deletes everything that the workshop made in the cloud, and shows that nothing is left.

    python -m helpers.cloud.cleanup [--list]

What was made is known twice: from the ledger, a file that outlives the notebook, and from the tag
that everything carries. Deleting twice does no harm.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from helpers.cloud.ledger import KINDS
from helpers.cloud.session import PREFIX, TAG, CloudSession, open_session
from helpers.common import WorkshopError, progress_bar, run_command

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
STOP_SECONDS = 180  # for a job to stop


def list_all(session: CloudSession) -> pd.DataFrame:
    """Returns what the workshop made and what is still there: `kind`, `name` and `known by`."""
    ledger = {(entry.kind, entry.name) for entry in session.ledger.entries}
    tagged = set(_tagged(session))
    rows = []
    for kind, name in sorted(ledger | tagged, key=lambda item: (KINDS.index(item[0]), item[1])):
        known = [w for w, found in (("ledger", ledger), ("tag", tagged)) if (kind, name) in found]
        if "tag" in known or _is_there(session, kind, name):
            rows.append({"kind": kind, "name": name, "known by": " and ".join(known)})
    return pd.DataFrame(rows, columns=["kind", "name", "known by"])


def delete_all(session: CloudSession) -> pd.DataFrame:
    """Deletes it all, what uses something before what is used, and prints what it deleted.

    Returns:
        What is left, as of `list_all`; empty where all went well.
    """
    ledger = [(entry.kind, entry.name) for entry in session.ledger.entries]
    things = sorted({*ledger, *_tagged(session)}, key=lambda item: KINDS.index(item[0]))
    deleted = 0
    with progress_bar(iterable=things, desc="deleting", unit="thing") as bar:
        for kind, name in bar:
            if _delete(session, kind, name):
                bar.write(f"deleted {kind} {name}")
                deleted += 1
            if not _is_there(session, kind, name):
                session.ledger.remove(kind, name)
    left = list_all(session)
    print(f"deleted {deleted}; left: {len(left) or 'nothing'}")
    return left


def _tagged(session: CloudSession) -> Iterator[tuple[str, str]]:
    """Yields what carries the workshop's tag, whoever wrote it down."""
    client = session.client("sagemaker")
    for kind, (operation, key, name) in LISTS.items():
        pages = client.get_paginator(operation).paginate(NameContains=PREFIX)
        for summary in (item for page in pages for item in page[key]):
            arn = summary[name.replace("Name", "Arn")]
            if TAG in client.list_tags(ResourceArn=arn)["Tags"]:
                yield kind, summary[name]


def _is_there(session: CloudSession, kind: str, name: str) -> bool:
    if kind == "s3 prefix":
        return any(_objects(session, name))
    if kind == "log":
        return any(_streams(session, name))
    if kind == "training job":
        return any(_jobs(session, name))
    if kind == "bucket":
        return _try(lambda: session.client("s3").head_bucket(Bucket=name))
    describe = getattr(session.client("sagemaker"), f"describe_{kind.replace(' ', '_')}")
    return _try(lambda: describe(**{LISTS[kind][2]: name}))


def _delete(session: CloudSession, kind: str, name: str) -> bool:
    """Deletes a thing; tells whether there was one."""
    if kind == "training job":
        return any([_delete_job(session, job) for job in _jobs(session, name)])
    if kind == "s3 prefix":
        return _delete_objects(session, name)
    if kind == "log":
        return _delete_log(session, name)
    if kind == "bucket":
        return _delete_bucket(session, name)
    delete = getattr(session.client("sagemaker"), f"delete_{kind.replace(' ', '_')}")
    return _try(lambda: delete(**{LISTS[kind][2]: name}))


def _jobs(session: CloudSession, name: str) -> Iterator[str]:
    """Yields the jobs whose name begins so: the SDK adds the time to the name that was noted."""
    pages = session.client("sagemaker").get_paginator("list_training_jobs")
    for page in pages.paginate(NameContains=name):
        for summary in page["TrainingJobSummaries"]:
            if summary["TrainingJobName"].startswith(name):
                yield summary["TrainingJobName"]


def _delete_job(session: CloudSession, name: str) -> bool:
    import time

    client, end = session.client("sagemaker"), time.monotonic() + STOP_SECONDS
    while time.monotonic() < end:
        status = client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
        if status == "InProgress":
            _try(lambda: client.stop_training_job(TrainingJobName=name))
        elif status != "Stopping":
            return _try(lambda: client.delete_training_job(TrainingJobName=name))
        time.sleep(1 if session.world == "rehearsal" else 5)
    return False


def _objects(session: CloudSession, uri: str) -> Iterator[dict[str, str]]:
    from botocore.exceptions import ClientError

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    pages = session.client("s3").get_paginator("list_objects_v2")
    try:
        for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix.rstrip('/')}/"):
            yield from ({"Key": item["Key"]} for item in page.get("Contents", []))
    except ClientError as error:
        _raise_unless_gone(error)


def _delete_objects(session: CloudSession, uri: str) -> bool:
    keys = list(_objects(session, uri))
    bucket = uri.removeprefix("s3://").partition("/")[0]
    for start in range(0, len(keys), 1000):  # S3 takes a thousand at once
        some = {"Objects": keys[start : start + 1000], "Quiet": True}
        session.client("s3").delete_objects(Bucket=bucket, Delete=some)
    return bool(keys)


def _delete_bucket(session: CloudSession, name: str) -> bool:
    """Deletes a bucket that the workshop made, if nothing of somebody else lies in it."""
    s3 = session.client("s3")
    if not _try(lambda: s3.head_bucket(Bucket=name)):
        return False
    if s3.list_objects_v2(Bucket=name, MaxKeys=1)["KeyCount"]:
        print(f"kept bucket {name}: there is more in it than the workshop made")
        return False
    return _try(lambda: s3.delete_bucket(Bucket=name))


def _streams(session: CloudSession, name: str) -> Iterator[str]:
    from botocore.exceptions import ClientError

    group, _, prefix = name.partition("|")
    options = {"logStreamNamePrefix": prefix} if prefix else {}
    pages = session.client("logs").get_paginator("describe_log_streams")
    try:
        for page in pages.paginate(logGroupName=group, **options):
            yield from (stream["logStreamName"] for stream in page["logStreams"])
    except ClientError as error:
        _raise_unless_gone(error)


def _delete_log(session: CloudSession, name: str) -> bool:
    logs, group = session.client("logs"), name.partition("|")[0]
    streams = list(_streams(session, name))
    for stream in streams:
        _try(lambda s=stream: logs.delete_log_stream(logGroupName=group, logStreamName=s))
    if name.endswith("|"):  # a group of its own, as each endpoint has one
        _try(lambda: logs.delete_log_group(logGroupName=group))
    return bool(streams)


def _try(call: Callable[[], Any]) -> bool:
    """Tells whether there was something to do it to."""
    from botocore.exceptions import ClientError

    try:
        call()
    except ClientError as error:
        _raise_unless_gone(error)
        return False
    return True


def _raise_unless_gone(error: Any) -> None:
    found = error.response["Error"]
    if found["Code"] not in GONE:
        raise WorkshopError(
            f"expected to delete what the workshop made, found {found['Code']}: "
            f"{found['Message']}. Mend it, and run the clean-up again: it goes on where it was."
        ) from error


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
