"""Deletes everything that the workshop made in the cloud, and shows that nothing is left.

    python -m helpers.cloud.cleanup [--list] [--yes]

What was made is known from the ledger, which outlives the notebook, and from the tags that
everything carries, in the ledger's regions and yours. What others made in the same account stays.
Deleting twice does no harm.
"""

import argparse
import contextlib
import sys
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import pandas as pd
from botocore.exceptions import ClientError, ParamValidationError, WaiterError

from helpers.cloud.ledger import KINDS
from helpers.cloud.session import PREFIX, CloudSession, open_session
from helpers.common import WorkshopError, expected, progress_bar, run_command

GONE = ("ResourceNotFound", "ResourceNotFoundException", "NoSuchBucket", "404")
# what a ValidationException says of things that are not there, or that no name like this can be
NOT_THERE = ("could not find", "not found", "failed to satisfy", "does not satisfy")
AGAIN = "Fix it, and run the clean-up again: it goes on where it was."
# kind to (operation that lists, key of the answer, key of the name)
LISTS = {
    "training job": ("list_training_jobs", "TrainingJobSummaries", "TrainingJobName"),
    "endpoint": ("list_endpoints", "Endpoints", "EndpointName"),
    "endpoint config": ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
    "model": ("list_models", "Models", "ModelName"),
}
Thing = namedtuple("Thing", "kind, name, region")  # that was made


def list_all(session: CloudSession) -> pd.DataFrame:
    """Returns what the workshop made and is still there: kind, name, region and `known by`."""
    for path in session.ledger.damaged:
        print(f"cannot read all of {path}: look for what it names in the console, then delete it")
    for account in session.ledger.other_accounts():
        print(f"account {account} has things too: sign in there, and run the clean-up again")
    known = {thing: by for thing, by in _noted(session).items() if _is_there(session, thing)}
    rows = [(*thing, " and ".join(by)) for thing, by in known.items()]
    return pd.DataFrame(rows, columns=[*Thing._fields, "known by"])


def delete_all(session: CloudSession) -> pd.DataFrame:
    """Deletes it all, what uses something before what is used; returns what is left.

    What cannot be deleted is told, and does not stop the rest. A log costs next to nothing: one
    that may not be deleted is told once, and does not count as left.
    """
    deleted = 0
    with progress_bar(iterable=_noted(session), desc="deleting", unit="thing") as bar:
        for thing in bar:
            try:
                if _delete(session, thing):
                    bar.write(f"deleted {thing.kind} {thing.name}")
                    deleted += 1
            except WorkshopError as error:
                bar.write(f"kept {thing.kind} {thing.name} in {thing.region}: {error}")
            if thing.kind == "log" or not _is_there(session, thing):
                session.ledger.remove(thing.kind, thing.name)
    left = list_all(session)
    print(f"deleted {deleted}; left: {len(left) or 'nothing'}")
    return left


def _noted(session: CloudSession) -> dict[Thing, list[str]]:
    """Returns what the owner made, with how that is known, in the order of deletion."""
    noted = {Thing(e.kind, e.name, e.region): ["ledger"] for e in session.ledger.entries}
    for region in {session.region, *(thing.region for thing in noted)}:
        sagemaker = session.client("sagemaker", region)
        for kind, (operation, key, name) in LISTS.items():
            pages = sagemaker.get_paginator(operation).paginate(NameContains=PREFIX)
            for summary in pages.search(f"{key}[]"):
                with _gone_is_fine():  # others may be deleting theirs
                    found = sagemaker.list_tags(ResourceArn=summary[name.replace("Name", "Arn")])
                    if all(tag in found["Tags"] for tag in session.tags):
                        noted.setdefault(Thing(kind, summary[name], region), []).append("tag")
    return dict(sorted(noted.items(), key=lambda item: (KINDS.index(item[0].kind), item[0])))


def _is_there(session: CloudSession, thing: Thing) -> bool:
    """Returns whether something is still there, or may be: where AWS does not say, it is."""
    try:
        return any(_found(session, thing))
    except WorkshopError:
        return thing.kind != "log"


def _objects(session: CloudSession, thing: Thing) -> Any:
    bucket, _, prefix = thing.name.removeprefix("s3://").partition("/")
    objects = session.boto.resource("s3", region_name=thing.region).Bucket(bucket).objects
    return objects.filter(Prefix=f"{prefix.rstrip('/')}/")


def _found(session: CloudSession, thing: Thing) -> Iterator[str]:
    """Yields what is there of something: itself, or the objects, streams or jobs below its name."""
    kind, name, region = thing
    with _gone_is_fine():
        if kind == "s3 prefix":
            yield from (item.key for item in _objects(session, thing))
        elif kind == "log":
            group, _, prefix = name.partition("|")
            where = {"logGroupName": group} | ({"logStreamNamePrefix": prefix} if prefix else {})
            pages = session.client("logs", region).get_paginator("describe_log_streams")
            yield from pages.paginate(**where).search("logStreams[].logStreamName")
        elif kind == "training job":  # the SDK adds the time to the name that was noted
            pages = session.client("sagemaker", region).get_paginator("list_training_jobs")
            jobs = pages.paginate(NameContains=name).search(f"{LISTS[kind][1]}[].TrainingJobName")
            yield from (job for job in jobs if job.startswith(name))
        else:
            _call(session, "describe", thing)
            yield name


def _delete(session: CloudSession, thing: Thing) -> bool:
    """Deletes something; returns whether it was there."""
    kind, name, region = thing
    found = list(_found(session, thing))
    with _gone_is_fine():
        if kind == "training job":
            for job in found:
                _delete_job(session, job, region)
        elif kind == "log":
            logs, group = session.client("logs", region), name.partition("|")[0]
            for stream in found:
                logs.delete_log_stream(logGroupName=group, logStreamName=stream)
            if name.endswith("|"):  # a group of its own, as each endpoint has one
                logs.delete_log_group(logGroupName=group)
        elif found and kind == "s3 prefix":
            refused = [e for a in _objects(session, thing).delete() for e in a.get("Errors", [])]
            if refused:
                raise expected("to delete it", "{Code}: {Message}".format_map(refused[0]), AGAIN)
        elif found and kind == "endpoint":
            _delete_endpoint(session, thing)
        elif found:
            _call(session, "delete", thing)
    return bool(found)


def _delete_endpoint(session: CloudSession, thing: Thing) -> None:
    get_waiter, name = session.client("sagemaker", thing.region).get_waiter, thing.name
    options = {"EndpointName": name, "WaiterConfig": session.patience}
    try:
        _call(session, "delete", thing)
    except ClientError:  # AWS deletes none that it is still creating
        with contextlib.suppress(WaiterError):  # it has failed, or is being deleted already
            get_waiter("endpoint_in_service").wait(**options)
        _call(session, "delete", thing)
    get_waiter("endpoint_deleted").wait(**options)  # AWS takes minutes, and bills until then


def _delete_job(session: CloudSession, name: str, region: str) -> None:
    client, job = session.client("sagemaker", region), {"TrainingJobName": name}
    with _gone_is_fine():
        if client.describe_training_job(**job)["TrainingJobStatus"] == "InProgress":
            client.stop_training_job(**job)
    waiter = client.get_waiter("training_job_completed_or_stopped")
    with contextlib.suppress(WaiterError):  # it has failed, or takes too long
        waiter.wait(**job, WaiterConfig=session.patience)
    with _gone_is_fine():
        client.delete_training_job(**job)


def _call(session: CloudSession, verb: str, thing: Thing) -> None:
    client = session.client("sagemaker", thing.region)
    operation = getattr(client, f"{verb}_{thing.kind.replace(' ', '_')}")
    operation(**{LISTS[thing.kind][2]: thing.name})


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except ParamValidationError:
        return  # a name that AWS does not allow: there never was such a thing
    except (ClientError, WaiterError) as error:
        response = error.response if isinstance(error, ClientError) else error.last_response
        found = response.get("Error", {"Code": "Waiting", "Message": str(error)})
        code, said = found["Code"], found["Message"]
        is_gone = code == "ValidationException" and any(w in said.lower() for w in NOT_THERE)
        if not (is_gone or code in GONE):
            raise expected("to delete it", f"{code}: {said}", AGAIN) from error


def main() -> None:
    """Deletes everything that the workshop made, or lists it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="delete nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask in a terminal")
    arguments = parser.parse_args()
    with open_session() as session:
        there = list_all(session)
        print(there.to_string(index=False) if len(there) else "nothing is there")
        is_sure = arguments.yes or not sys.stdin.isatty() or there.empty
        if arguments.list or not (is_sure or input("Delete all of it? [y/N] ").lower() == "y"):
            return
        if len(left := delete_all(session)):
            raise WorkshopError(f"{len(left)} things are left:\n{left.to_string(index=False)}")


if __name__ == "__main__":
    run_command(main)
