"""The rehearsal's own process: moto's server, with jobs that run and endpoints that answer.

    python -m helpers.cloud.rehearsal.server FOLDER REGION

Writes its address into FOLDER/address. Jobs and endpoints change moto's records of themselves, so
that its Describe and List are true: moto by itself reports a job as Completed when it is created.
"""

import importlib
import json
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar

from moto.core.responses import ActionResult, EmptyResult
from moto.iam.responses import IamResponse
from moto.logs.models import logs_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.sagemaker.exceptions import AWSValidationException, ConflictException, ResourceNotFound
from moto.sagemaker.responses import SageMakerResponse
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse
from moto.servicequotas.responses import ServiceQuotasResponse

from helpers.cloud.guard import remove
from helpers.cloud.rehearsal.door import ADDRESS, open_door
from helpers.cloud.rehearsal.endpoints import Endpoint
from helpers.cloud.rehearsal.jobs import RunningJob
from helpers.cloud.rehearsal.world import loopback_session

# Instances of each kind that may run at once: none of the large types, as in a new account.
QUOTAS = {"ml.m5.large": 4, "ml.m5.xlarge": 4, "ml.c5.xlarge": 4, "ml.c5.2xlarge": 4}
QUOTAS |= {"ml.g4dn.xlarge": 1, "ml.p4d.24xlarge": 0, "ml.p5.48xlarge": 0}
NAME = r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"  # of a job or endpoint, as AWS has it
USES = ("training job usage", "spot training job usage", "endpoint usage")

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
    """SageMaker's runtime, for all that does not go straight to a container (`world.route`)."""

    use_raw_body = True  # it may be an image

    def invoke_endpoint(self) -> Any:
        """Says why no container answers."""
        name = self.path.split("/")[2]
        state = endpoints[name].record.endpoint_status if name in endpoints else ""
        found = f"in state {state}" if state else "not found"
        message = json.dumps({"message": f"Endpoint {name} of account is {found}."})
        return message, {"status": 400, "x-amzn-errortype": "ValidationError"}


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
        quotas = [
            {"QuotaName": f"{kind} for {use}", "ServiceCode": "sagemaker", "Value": value}
            for use in USES
            for kind, value in QUOTAS.items()
        ]
        return json.dumps({"Quotas": quotas})


def main() -> None:
    """Serves until it is ended."""
    folder, region, end = Path(sys.argv[1]), sys.argv[2], threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    for answers in (ControlPlane, Runtime, Permissions, Quotas):
        urls = importlib.import_module(".urls", answers.__base__.__module__.rpartition(".")[0])
        urls.url_paths = dict.fromkeys(urls.url_paths, answers.dispatch)
    moto = DomainDispatcherApplication(create_backend_app)
    server = open_door(moto, folder, MotoRequestHandler)
    address = (folder / ADDRESS).read_text()
    ControlPlane.folder = folder
    ControlPlane.s3 = loopback_session(address, region).client("s3")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    end.wait()
    for thing in (*jobs.values(), *endpoints.values()):
        thing.stop()
    remove(folder)  # the guard may have been killed


if __name__ == "__main__":
    main()
