"""Faults of the rehearsal: an AWS that is slow, says no, or answers in another order.

    WORKSHOP_FAULTS=deleting,logs,late jupyter lab notebooks/07_train_on_sagemaker.ipynb

All of them are things that AWS does, and moto does not. Beside those below, `iam` lets the role of
cloud/workshop.yaml decide what is allowed, `iam=full` AmazonSageMakerFullAccess, and
`region=cn-north-1` rehearses in another region.
"""

import contextlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from moto.core.responses import EmptyResult
from moto.iam.models import iam_backends
from moto.logs.models import LogsBackend
from moto.sagemaker.exceptions import AWSValidationException
from moto.utilities.utils import get_partition

from helpers.cloud.rehearsal import answers, endpoints, jobs
from helpers.common import expected
from tests.iam_replay import ACCOUNT, Book, enforced, full_access, own_policy

SECONDS = 2.0  # that something takes in AWS and not in the rehearsal
KEY = ("AKIAREHEARSAL", "-")  # of the learner; moto knows users by its first letters
EARLIER = 5  # lines of a job before its spot machine was taken away
Put = Callable[..., Any]


def deleting() -> Any:
    """An endpoint is `Deleting` for some seconds, and cannot be deleted again meanwhile."""
    delete = answers.ControlPlane.delete_endpoint

    def late(plane: answers.ControlPlane) -> EmptyResult:
        name = plane._get_param("EndpointName")
        record = answers.endpoints[name].record if name in answers.endpoints else None
        if record is None:
            return delete(plane)  # which says that there is none
        if record.endpoint_status == "Deleting":
            raise in_progress(record)
        record.endpoint_status = "Deleting"
        _later(SECONDS, lambda: delete(plane))
        return EmptyResult()

    return patch.object(answers.ControlPlane, "delete_endpoint", late)


def creating() -> Any:
    """An endpoint is `Creating` for some seconds, and cannot be deleted before it is there."""
    run, delete = endpoints.Endpoint._run, answers.ControlPlane.delete_endpoint

    def slow(endpoint: endpoints.Endpoint) -> None:
        time.sleep(SECONDS)
        run(endpoint)

    def refuse(plane: answers.ControlPlane) -> Any:
        found = answers.endpoints.get(plane._get_param("EndpointName"))
        if found and found.record.endpoint_status == "Creating":
            raise in_progress(found.record)
        return delete(plane)

    stack = ExitStack()
    stack.enter_context(patch.object(endpoints.Endpoint, "_run", slow))
    stack.enter_context(patch.object(answers.ControlPlane, "delete_endpoint", refuse))
    return stack


def _later(seconds: float, what: Callable[[], Any]) -> None:
    def do() -> None:
        with contextlib.suppress(Exception):  # the rehearsal may have ended
            what()

    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()


def in_progress(record: Any) -> AWSValidationException:
    """AWS's refusal."""
    return AWSValidationException(f'Cannot update in-progress endpoint "{record.arn}".')


def logs() -> Any:
    """Of logs one may see and read streams, as with AmazonSageMakerFullAccess, and nothing else."""
    return _refusing("DeleteLogStream", "DeleteLogGroup", "FilterLogEvents")


def _refusing(*actions: str) -> Any:
    def refuse(request: Any) -> tuple[int, dict[str, str], str] | None:
        target = request.headers.get("X-Amz-Target", b"")
        action = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
        said = f"User: learner is not authorized to perform: {action}"
        body = json.dumps({"__type": "AccessDeniedException", "Message": said})
        return (400, {}, body) if action in actions else None

    return _before_answers(refuse)


def conflict() -> Any:
    """A bucket of this name was deleted a moment ago: the first attempt to make it fails."""
    seen = Counter[str]()

    def refuse(request: Any) -> tuple[int, dict[str, str], str] | None:
        place = urlsplit(request.url)
        parts = [place.hostname.partition(".s3.")[0], *place.path.strip("/").split("/")]
        is_bucket = ".s3." in place.hostname and parts[1:] == [""]
        is_bucket |= place.hostname.startswith("s3.") and len(parts) == 2 and parts[1] != ""
        if request.method != "PUT" or place.query or not is_bucket:
            return None
        seen[request.url] += 1
        said = "A conflicting conditional operation is currently in progress against this resource."
        body = f"<Error><Code>OperationAborted</Code><Message>{said}</Message></Error>"
        first = seen[request.url] == 1
        return (409, {"Content-Type": "application/xml"}, body) if first else None

    return _before_answers(refuse)


def _before_answers(refuse: Callable[[Any], tuple[int, dict[str, str], str] | None]) -> Any:
    answer = answers.Rehearsal.answer

    def faulty(self: answers.Rehearsal, request: Any, **more: Any) -> Any:
        if found := refuse(request):
            status, headers, body = found
            raw = answers.MockRawResponse(body)
            return answers.AWSResponse(request.url, status, headers, raw)
        return answer(self, request, **more)

    return patch.object(answers.Rehearsal, "answer", faulty)


def returns() -> Any:
    r"""CloudWatch has `#015` where a progress bar wrote `\r`."""

    def put(original: Put, backend: LogsBackend, group: str, stream: str, events: list) -> Any:
        changed = [e | {"message": e["message"].replace("\r", "#015")} for e in events]
        return original(backend, group, stream, changed)

    return _putting(put)


def streams() -> Any:
    """A spot machine was taken away after some lines; they are in a stream of their own."""
    seen = Counter[str]()

    def put(original: Put, backend: LogsBackend, group: str, stream: str, events: list) -> Any:
        seen[stream] += 1
        if seen[stream] <= EARLIER:
            name, _, began = stream.rpartition("-")
            before = f"{name}-{int(began) - 600}"
            backend.ensure_log_stream(group, before)
            original(backend, group, before, events)
        return original(backend, group, stream, events)

    return _putting(put)


def late() -> Any:
    """Lines come a second late, and each second one before the first."""
    kept: dict[str, list] = defaultdict(list)
    last: dict[str, int] = defaultdict(int)  # millisecond of each stream
    lock = threading.Lock()

    def put(original: Put, backend: LogsBackend, group: str, stream: str, events: list) -> None:
        def write() -> None:
            with lock:
                for event in reversed(kept.pop(stream, [])):
                    original(backend, group, stream, [event])

        with lock:
            for event in events:  # of one millisecond nothing would say which line came first
                last[stream] = event["timestamp"] = max(event["timestamp"], last[stream] + 1)
            kept[stream] += events
            is_pair = len(kept[stream]) > 1
        write() if is_pair else _later(1.0, write)

    return _putting(put)


def _putting(put: Callable[..., Any]) -> Any:
    original = LogsBackend.put_log_events

    def changed(backend: LogsBackend, group: str, stream: str, events: list) -> Any:
        return put(original, backend, group, stream, events)

    return patch.object(LogsBackend, "put_log_events", changed)


def quotas() -> Any:
    """No quota has an applied value, as in an account that never asked for more."""
    return patch.dict(answers.QUOTAS, clear=True)


def shards() -> Any:
    """The machines get their shards in another order."""
    download = jobs.download_prefix

    def turned(s3: Any, uri: str, folder: Any, part: tuple[int, int] = (0, 1)) -> int:
        number, count = part
        return download(s3, uri, folder, (count - 1 - number, count))

    return patch.object(jobs, "download_prefix", turned)


def iam(policy: str = "own") -> Any:
    """IAM asks the learner's policy, before anything is done."""
    stack, ready = ExitStack(), []
    answer, lonely, book = answers.Rehearsal.answer, answers.lonely_session, Book()

    def prepare(region: str) -> None:
        role = f"arn:{get_partition(region)}:iam::{ACCOUNT}:role/WorkshopRole"
        document = full_access() if policy == "full" else own_policy(role, region)
        # the rehearsal makes its role, and knows it by its name, not by its ARN as one would there
        first = ["iam:CreateRole", "iam:GetRole"] if policy == "full" else ["iam:CreateRole"]
        start = {"Effect": "Allow", "Action": first, "Resource": "*"}
        allowed = document | {"Statement": [*document["Statement"], start]}
        backend = iam_backends[ACCOUNT][get_partition(region)]
        backend.create_user(region, "learner")
        backend.put_user_policy("learner", "own", json.dumps(allowed))
        key = backend.create_access_key(user_name="learner")
        key.access_key_id, key.secret_access_key = KEY
        stack.enter_context(enforced(book))

    def faulty(self: answers.Rehearsal, request: Any, **more: Any) -> Any:
        if not ready:
            ready.append(True)
            prepare(region_in(request))
        return answer(self, request, **more)

    def signed(name: str) -> Any:
        session = lonely(name)
        session._session.set_credentials(*KEY)
        return session

    stack.enter_context(patch.object(answers.Rehearsal, "answer", faulty))
    stack.enter_context(patch.object(answers, "lonely_session", signed))
    return stack


def region_in(request: Any) -> str:
    """The region that a request was signed for."""
    signed = request.headers["Authorization"]
    text = signed.decode() if isinstance(signed, bytes) else signed
    return text.partition("Credential=")[2].split("/")[2]


FAULTS = {
    fault.__name__: fault
    for fault in (
        deleting, creating, logs, conflict, returns, streams, late, quotas, shards
    )
}  # fmt: skip


def region(name: str) -> Any:
    """Everything is in another region, or in another partition, such as China's."""
    lonely, stack = answers.lonely_session, ExitStack()
    stack.enter_context(patch.object(answers, "lonely_session", lambda _: lonely(name)))
    stack.enter_context(patch("helpers.cloud.session.REGION", name))
    return stack


FAULTS |= {"iam": iam, "region": region}


@contextlib.contextmanager
def played(names: str) -> Iterator[None]:
    """Puts faults into the rehearsal that starts next: their names, with commas between them."""
    with ExitStack() as stack:
        for name in filter(None, names.split(",")):
            kind, *values = name.split("=", 1)
            if kind not in FAULTS:
                what = f"WORKSHOP_FAULTS with some of {', '.join(FAULTS)}"
                raise expected(what, repr(kind), "Correct it, or leave it out.")
            stack.enter_context(FAULTS[kind](*values))
        yield
