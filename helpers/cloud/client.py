"""Images to an endpoint: one file, or many in batches that it accepts."""

import base64
import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from botocore.config import Config
from botocore.exceptions import ClientError

from helpers.cloud.session import CloudSession
from helpers.common import WorkshopError, expected, more, progress_bar
from helpers.manifest import Labels, Manifest

LIMIT = 6 * 2**20  # bytes of a request: AWS re:Post on the error 413 of invoke_endpoint
ROOM = 0.95  # of the limit
BATCH = 64  # images in a request: an answer comes in a fraction of a second
ATTEMPTS = 8  # of boto3, with growing pauses, where the endpoint says that it is too busy


class EndpointClient:
    """Sends images to an endpoint."""

    def __init__(self, session: CloudSession, name: str):
        self.name = name
        retries = Config(retries={"mode": "standard", "max_attempts": ATTEMPTS})
        self._runtime = session.boto.client("sagemaker-runtime", config=retries)

    def predict_files(self, files: Sequence[bytes], top: int | str = 5) -> list[dict[str, Any]]:
        """Sends many files in few requests; returns for each file and task its best classes.

        A class has `class`, `name` where there is one for display, and `probability`. For a broken
        file it is `{"error": ...}`.
        """
        answers: list[dict[str, Any]] = []
        with progress_bar(total=len(files), unit="image", desc=self.name) as bar:
            for batch in batches_of(files):
                instances = [{"b64": base64.b64encode(file).decode()} for file in batch]
                body = json.dumps({"instances": instances}).encode()
                try:
                    answers += self.send(body, "application/json", top)["predictions"]
                except WorkshopError as error:
                    if "image 0:" not in str(error):
                        raise
                    answers += [{"error": str(error)}] * len(batch)  # all of them are broken
                bar.update(len(batch))
        return answers

    def predict_manifest(self, manifest: Manifest) -> dict[str, np.ndarray]:
        """Sends every image of a manifest; returns for each task float32 (images, classes)."""
        files = [Path(path).read_bytes() for path in manifest.paths]
        answers = self.predict_files(files, top="all")
        broken = [i for i, answer in enumerate(answers) if "error" in answer]
        if broken:
            shown = "; ".join(f"{manifest.path(i)}: {answers[i]['error']}" for i in broken[:3])
            found = f"{len(broken)} that cannot: {shown}"
            raise expected("images that can be read", found, "Fix them or delete their rows.")
        return as_arrays(answers, manifest.labels)

    def send(self, body: bytes, kind: str, top: int | str = 5) -> dict[str, Any]:
        """Sends one request; an error has the endpoint's own words, or says it does not answer."""
        options = {"EndpointName": self.name, "ContentType": kind, "CustomAttributes": f"top={top}"}
        try:
            answer = self._runtime.invoke_endpoint(Body=body, **options)["Body"].read()
        except ClientError as error:
            raise WorkshopError(refusal(self.name, error)) from None
        return json.loads(answer)


def batches_of(files: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yields files in batches that stay below the endpoint's limit."""
    batch, size = [], 0
    for file in files:
        cost = len(file) * 4 / 3 + 20  # as base64, with what stands around it
        if batch and (size + cost > LIMIT * ROOM or len(batch) == BATCH):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += cost
    if batch:
        yield batch


def refusal(name: str, error: ClientError) -> str:
    """Returns why an endpoint did not answer."""
    code, answer = error.response["Error"]["Code"], error.response
    said = answer.get("OriginalMessage") or answer["Error"].get("Message", "")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        said = json.loads(said)["error"]  # the script's own words, not their envelope
    refused = f"the endpoint {name} refused the request"
    if code == "ModelError":
        return f"{refused} ({answer.get('OriginalStatusCode', '')}): {said}"
    if answer.get("ResponseMetadata", {}).get("HTTPStatusCode") == 413:
        fix = "Send smaller images." + more("413-the-request-is-too-large")
        return f"{refused} (413): it is larger than it may be. {fix}"
    if code in ("ThrottlingException", "ServiceUnavailable"):
        code = f"it too busy after {ATTEMPTS} attempts. Wait a minute, or send less at once"
    return f"expected an answer of the endpoint {name}, found {code}: {said}"


def as_arrays(answers: Sequence[dict[str, Any]], labels: Labels) -> dict[str, np.ndarray]:
    """Puts answers with all classes into the order of the labels: float32 (answers, classes)."""
    tables = {}
    for task, classes in labels.tasks.items():
        column = {name: number for number, name in enumerate(classes)}
        table = np.zeros((len(answers), len(classes)), np.float32)
        for row, answer in enumerate(answers):
            for entry in answer[task]:
                table[row, column[entry["class"]]] = entry["probability"]
        tables[task] = table
    return tables
