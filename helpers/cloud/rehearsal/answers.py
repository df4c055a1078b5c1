"""What AWS answers: moto does, and for the services below its subclasses add what it leaves out.

Jobs and endpoints change moto's records of themselves, so that its Describe and List are true: moto
by itself reports a job as Completed when it is created.
"""

import atexit
import importlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import boto3
import botocore.session
import urllib3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse
from moto.core.exceptions import HTTPException
from moto.core.request import normalize_request
from moto.core.responses import ActionResult, EmptyResult
from moto.iam.responses import IamResponse
from moto.logs.models import logs_backends
from moto.sagemaker.exceptions import AWSValidationException, ConflictException, ResourceNotFound
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse
from moto.servicequotas.responses import ServiceQuotasResponse

from helpers.cloud.guard import Guarded, inherited
from helpers.cloud.rehearsal.endpoints import Endpoint
from helpers.cloud.rehearsal.jobs import RunningJob
from helpers.common import ROOT, expected

# Instances of each kind that may run at once: none of the large types, as in a new account.
QUOTAS = {"ml.m5.large": 4, "ml.m5.xlarge": 4, "ml.c5.xlarge": 4, "ml.c5.2xlarge": 4}
QUOTAS |= {"ml.g4dn.xlarge": 1, "ml.p4d.24xlarge": 0, "ml.p5.48xlarge": 0}
NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"  # of a job or endpoint, as AWS has it
FORWARDED = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")  # to a container

jobs: dict[str, RunningJob] = {}
endpoints: dict[str, Endpoint] = {}


class ControlPlane(SageMakerResponse):
    """SageMaker, where creating something starts it."""

    s3: ClassVar[Any]  # a client of this rehearsal
    folder: ClassVar[Path]  # for jobs and endpoints

    def serialized(self, action_result: ActionResult) -> Any:
        """Leaves out empty dicts, as AWS does: SDK v3 refuses them."""
        result = action_result.result
        if isinstance(result, dict):
            for name in [key for key, value in result.items() if value == {}]:
                del result[name]
        return super().serialized(action_result)

    def create_training_job(self) -> ActionResult:
        """Starts the job."""
        name, given = self._get_param("TrainingJobName"), self._get_param("AlgorithmSpecification")
        place = self._place("jobs", name)
        definitions = given.get("MetricDefinitions", [])
        answer = super().create_training_job()
        record = self.sagemaker_backend.training_jobs[name]
        record.algorithm_specification["MetricDefinitions"] = definitions  # moto has its own there
        record.environment = self._get_param("Environment")
        logs = logs_backends[self.current_account][self.region]
        jobs[name] = RunningJob(record, self.s3, logs, place)
        return answer

    def stop_training_job(self) -> ActionResult:
        """Ends a job."""
        self._job().stop()
        return EmptyResult()

    def delete_training_job(self) -> ActionResult:
        """Forgets a job that has ended."""
        name, records = self._job().name, self.sagemaker_backend.training_jobs
        if records[name].training_job_status in ("InProgress", "Stopping"):
            raise ConflictException(f"The training job {name} is running.")
        del jobs[name], records[name]
        return EmptyResult()

    def _place(self, kind: str, name: str) -> Path:
        """Returns the folder for something; moto takes any name, such as one that leads out."""
        if not re.fullmatch(NAME, name):
            raise AWSValidationException(f"The name {name!r} does not satisfy {NAME}")
        return self.folder / kind / name

    def _job(self) -> RunningJob:
        name = self._get_param("TrainingJobName")
        if name not in jobs:
            raise ResourceNotFound(f"Requested resource not found: training job {name}.")
        return jobs[name]

    def create_endpoint(self) -> ActionResult:
        """Starts the endpoint's container."""
        name, backend = self._get_param("EndpointName"), self.sagemaker_backend
        place = self._place("endpoints", name)
        answer = super().create_endpoint()
        endpoints[name] = Endpoint(backend.endpoints[name], backend, self.s3, place)
        return answer

    def delete_endpoint(self) -> ActionResult:
        """Ends the endpoint's container."""
        answer = super().delete_endpoint()
        endpoints.pop(self._get_param("EndpointName")).stop()
        return answer


class Runtime(SageMakerRuntimeResponse):
    """SageMaker's runtime, in front of the containers."""

    use_raw_body = True  # it may be an image
    _pool = urllib3.PoolManager()  # knows of no proxy

    def invoke_endpoint(self) -> Any:
        """Passes a request on to the container, or says why none answers."""
        name = self.path.split("/")[2]
        endpoint = endpoints.get(name)
        if not endpoint or endpoint.record.endpoint_status != "InService":
            found = f"in state {endpoint.record.endpoint_status}" if endpoint else "not found"
            return refuse(400, "ValidationError", f"Endpoint {name} of account is {found}.")
        if len(self.body) > endpoint.limit:
            return refuse(413, "413", f"more than {endpoint.limit} bytes")
        headers = {name: self.headers[name] for name in FORWARDED if name in self.headers}
        url = f"{endpoint.address}{self.path}"
        answer = self._pool.request("POST", url, body=self.body, headers=headers, retries=False)
        if answer.status == 200:
            return answer.data, {"Content-Type": answer.headers["Content-Type"]}
        said, side = answer.data.decode(), "client" if answer.status < 500 else "server"
        message = f'Received {side} error ({answer.status}) from primary with message "{said}".'
        more = {"OriginalStatusCode": answer.status, "OriginalMessage": said}
        return refuse(424, "ModelError", message, **more)


def refuse(status: int, kind: str, message: str, **more: Any) -> tuple[str, dict[str, Any]]:
    """Returns an error as AWS writes it."""
    headers = {"status": status, "x-amzn-errortype": kind}
    return json.dumps({"Message": message, **more}), headers


class Permissions(IamResponse):
    """IAM, which allows everything."""

    def simulate_principal_policy(self) -> ActionResult:
        """Allows what is asked for."""
        allowed = {"EvalDecision": "allowed", "EvalResourceName": "*"}
        results = [{"EvalActionName": name, **allowed} for name in self._get_param("ActionNames")]
        return ActionResult({"IsTruncated": False, "EvaluationResults": results})


class Quotas(ServiceQuotasResponse):
    """Service Quotas of the rehearsed account."""

    def list_service_quotas(self) -> str:
        """Lists those of SageMaker."""
        names = {f"{kind} for training job usage": value for kind, value in QUOTAS.items()}
        return json.dumps({"Quotas": [{"QuotaName": n, "Value": v} for n, v in names.items()]})


OURS = {  # the beginning of a service's host name
    "api.sagemaker.": ControlPlane,
    "runtime.sagemaker.": Runtime,
    "iam.": Permissions,
    "servicequotas.": Quotas,
}


def lonely_session(region: str) -> boto3.Session:
    """Returns a boto3 session that no profile, file or variable of this machine changes."""
    usual = botocore.session.Session.SESSION_VARIABLES.items()
    settings: dict[str, Any] = {
        name: (None, None, default, kind) for name, (_, _, default, kind) in usual
    }
    settings |= dict.fromkeys(("config_file", "credentials_file"), (None, None, os.devnull, None))
    alone = botocore.session.Session(settings)
    alone.set_config_variable("ignore_configured_endpoint_urls", True)
    return boto3.Session("rehearsal", "-", region_name=region, botocore_session=alone)


class Rehearsal:
    """AWS in this process, in place of the network of `boto`; starts with nothing, so have one."""

    def __init__(self, region: str):
        self._faults = ExitStack()
        if names := os.environ.get("WORKSHOP_FAULTS"):  # an AWS that says no: tests/faults.py
            faults = importlib.import_module("tests.faults")
            self._faults.enter_context(faults.played(names))
        self.folder = Path(tempfile.mkdtemp(prefix="workshop-rehearsal-"))
        # a guard of the folder: removes it when this process is killed
        sleeping = ["sleep", str(2**30)]
        self._guard = Guarded(sleeping, inherited(), ROOT, subprocess.DEVNULL, own=self.folder)
        self.boto = boto = lonely_session(region)
        boto.events.register_first("before-send", self.answer)
        BackendDict.reset()
        AccountSpecificBackend.get_session = lambda: boto  # its own fails with an unknown profile
        ControlPlane.s3, ControlPlane.folder = boto.client("s3"), self.folder
        self._moto = BotocoreStubber()
        atexit.register(self.close)

    def answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        """Answers a request: a hook of botocore, before it sends one."""
        host = urlsplit(request.url).hostname or ""
        ours = next((answers for start, answers in OURS.items() if host.startswith(start)), None)
        try:
            if ours:
                found = normalize_request(request)
                answer = ours.dispatch(found, found.raw_url, found.headers)
            else:
                answer = self._moto.process_request(request)
        except HTTPException as error:
            answer = error.code, error.get_headers(), error.get_body()
        if not answer:
            fix = "Use another service, or WORKSHOP_CLOUD=aws."
            raise expected("a service of AWS that the rehearsal has", host, fix)
        status, headers, body = answer
        return AWSResponse(request.url, status, headers, MockRawResponse(body))

    def close(self) -> None:
        """Ends all its jobs and endpoints; may be called twice."""
        atexit.unregister(self.close)
        for thing in (*jobs.values(), *endpoints.values()):
            thing.stop()
        jobs.clear()
        endpoints.clear()
        self._guard.stop()
        self._faults.close()
        shutil.rmtree(self.folder, ignore_errors=True)
