"""What moto leaves out: jobs that run, endpoints that answer, quotas, and who may do what.

A layer around moto's server. A request goes to moto, and where moto's answer is not the whole
truth, the answer is mended: moto calls a training job Completed the moment it is created.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from helpers.cloud.rehearsal.endpoints import Endpoint
from helpers.cloud.rehearsal.jobs import Job

# Instances of each kind that a rehearsed account may run at once. Large types have a quota of 0,
# as in a new account.
QUOTAS = {"ml.m5.large": 4, "ml.m5.xlarge": 4, "ml.c5.xlarge": 4, "ml.c5.2xlarge": 4}
QUOTAS |= {"ml.g4dn.xlarge": 1, "ml.p4d.24xlarge": 0, "ml.p5.48xlarge": 0}
USES = ("training job usage", "spot training job usage", "endpoint usage")
EMPTY = ("VpcConfig", "DataCaptureConfig", "DebugHookConfig", "TensorBoardOutputConfig")
ALLOWED = """<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{}\
</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"""
MEMBER = """<member><EvalActionName>{}</EvalActionName><EvalDecision>allowed</EvalDecision>\
<EvalResourceName>*</EvalResourceName></member>"""

Answer = tuple[str, list[tuple[str, str]], bytes]


class ControlPlane:
    """A WSGI application around moto's.

    Args:
        moto: moto's application.
        clients: service name to a client of the rehearsal.
        folder: for jobs and endpoints.
    """

    def __init__(self, moto: Callable, clients: Mapping[str, Any], folder: Path):
        self._moto, self._clients, self._folder = moto, clients, folder
        self.jobs: dict[str, Job] = {}
        self.endpoints: dict[str, Endpoint] = {}

    def __call__(self, environ: dict, start_response: Callable) -> Iterable[bytes]:
        """Answers a request."""
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if service == "SageMaker":
            status, headers, body = self._sagemaker(operation, environ)
        elif service.startswith("ServiceQuotas") and operation == "ListServiceQuotas":
            status, headers, body = _json({"Quotas": list(quotas())})
        elif environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            status, headers, body = self._form(environ)
        else:
            return self._moto(environ, start_response)
        start_response(status, headers)
        return [body]

    def close(self) -> None:
        """Ends every job and endpoint."""
        for thing in (*self.jobs.values(), *self.endpoints.values()):
            thing.stop()

    def _form(self, environ: dict) -> Answer:
        body = _body(environ)
        form = parse_qs(body.decode("utf-8", "replace"))
        if form.get("Action") != ["SimulatePrincipalPolicy"]:
            return self._ask_moto(environ, body)
        actions = [v[0] for name, v in form.items() if name.startswith("ActionNames.")]
        text = ALLOWED.format("".join(map(MEMBER.format, actions)))
        return "200 OK", [("Content-Type", "text/xml")], text.encode()

    def _sagemaker(self, operation: str, environ: dict) -> Answer:
        body = _body(environ)
        request = json.loads(body or b"{}")
        instead = {"StopTrainingJob": self._stop_job, "DeleteTrainingJob": self._delete_job}
        if operation in instead:
            return instead[operation](request["TrainingJobName"])
        status, headers, answer = self._ask_moto(environ, body)
        mend = getattr(self, f"_after_{operation}", None)
        if mend is None or not status.startswith("200"):
            return status, headers, answer
        mended = mend(request, json.loads(answer or b"{}"))
        return _json({name: value for name, value in mended.items() if not _is_empty(name, value)})

    def _ask_moto(self, environ: dict, body: bytes) -> Answer:
        found = []
        environ = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        chunks = self._moto(environ, lambda status, headers, *_: found.append((status, headers)))
        answer = b"".join(chunks)
        status, headers = found[0]
        return status, [h for h in headers if h[0].lower() != "content-length"], answer

    def _after_CreateTrainingJob(self, request: dict, answer: dict) -> dict:
        name = request["TrainingJobName"]
        moto_job = self._moto_jobs()[name]
        given = request["AlgorithmSpecification"].get("MetricDefinitions", [])
        moto_job.algorithm_specification["MetricDefinitions"] = given  # moto puts its own there
        moto_job.environment = request.get("Environment") or {}
        self.jobs[name] = Job(name, self._clients, self._folder / "jobs" / name)
        return answer

    def _after_DescribeTrainingJob(self, request: dict, answer: dict) -> dict:
        job = self.jobs.get(request["TrainingJobName"])
        return answer | (job.truth() if job else {})

    def _after_ListTrainingJobs(self, request: dict, answer: dict) -> dict:
        for summary in answer["TrainingJobSummaries"]:
            if job := self.jobs.get(summary["TrainingJobName"]):
                summary["TrainingJobStatus"] = job.status
        return answer

    def _after_CreateEndpoint(self, request: dict, answer: dict) -> dict:
        name = request["EndpointName"]
        self.endpoints[name] = Endpoint(name, self._clients, self._folder / "endpoints" / name)
        return answer

    def _after_DescribeEndpoint(self, request: dict, answer: dict) -> dict:
        endpoint = self.endpoints.get(request["EndpointName"])
        return answer | (endpoint.truth() if endpoint else {})

    def _after_ListEndpoints(self, request: dict, answer: dict) -> dict:
        for summary in answer["Endpoints"]:
            if endpoint := self.endpoints.get(summary["EndpointName"]):
                summary["EndpointStatus"] = endpoint.status
        return answer

    def _after_DeleteEndpoint(self, request: dict, answer: dict) -> dict:
        if endpoint := self.endpoints.pop(request["EndpointName"], None):
            endpoint.stop()
        return answer

    def _after_DescribeEndpointConfig(self, request: dict, answer: dict) -> dict:
        return answer

    def _after_DescribeModel(self, request: dict, answer: dict) -> dict:
        return answer

    def _stop_job(self, name: str) -> Answer:
        if name not in self.jobs:
            return _no_such_job(name)
        self.jobs[name].stop()
        return _json({})

    def _delete_job(self, name: str) -> Answer:
        if name not in self.jobs:
            return _no_such_job(name)
        if self.jobs[name].status not in ("Completed", "Failed", "Stopped"):
            return _error("ConflictException", f"The training job {name} is running.")
        del self.jobs[name]
        self._moto_jobs().pop(name, None)
        return _json({})

    def _moto_jobs(self) -> dict:
        from moto.backends import get_backend
        from moto.core import DEFAULT_ACCOUNT_ID

        region = self._clients["sagemaker"].meta.region_name
        return get_backend("sagemaker")[DEFAULT_ACCOUNT_ID][region].training_jobs


def quotas() -> Iterable[dict[str, Any]]:
    """Yields the rehearsed account's quotas, in the form of Service Quotas."""
    for use in USES:
        for kind, value in QUOTAS.items():
            yield {"QuotaName": f"{kind} for {use}", "ServiceCode": "sagemaker", "Value": value}


def _body(environ: dict) -> bytes:
    return environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))


def _is_empty(name: str, value: Any) -> bool:
    """Moto answers with empty dicts where AWS leaves a field out, and SDK v3 refuses them."""
    return name in EMPTY and value == {}


def _json(content: Mapping[str, Any]) -> Answer:
    headers = [("Content-Type", "application/x-amz-json-1.1")]
    return "200 OK", headers, json.dumps(content).encode()


def _error(kind: str, message: str) -> Answer:
    _, headers, _ = _json({})
    return "400 Bad Request", headers, json.dumps({"__type": kind, "message": message}).encode()


def _no_such_job(name: str) -> Answer:
    return _error("ResourceNotFound", f"Requested resource not found: training job {name}.")
