"""A training job: the command of your machine, on machines of AWS."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from botocore.exceptions import ClientError

from helpers.cloud.checks import EXPLAINED, check_quota
from helpers.cloud.prices import describe_price
from helpers.cloud.script.environment import CHECKPOINTS
from helpers.cloud.script.metrics import metric_definitions
from helpers.cloud.session import PREFIX, TAG, CloudSession, quiet_sdk
from helpers.cloud.source import COMMAND, REQUIREMENTS, copy_source
from helpers.common import (
    EXPORT_FILES,
    Draft,
    WorkshopError,
    expected,
    extract,
    more,
    progress_bar,
    temporary_draft,
    whole_folder,
)

IMAGE = {"framework": "tensorflow", "version": "2.21.0", "py_version": "py312"}
INSTANCE = "ml.m5.xlarge"  # 4 cores, 16 GB; in AWS's free tier for new accounts
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ENDED = ("Completed", "Failed", "Stopped")
POLL_SECONDS = {"rehearsal": 0.5, "aws": 10}  # between two looks
MOST_SECONDS = 1800  # that a job may run, and so the most that it may cost
LAST_LINES = 15  # of a script that failed
FIRST, LAST = "Executing command:", "Training Container Execution Completed"  # around the script's


class JobError(WorkshopError):
    """A job that failed, with the last lines of its script."""

    def _render_traceback_(self) -> list[str]:
        """Shows the message alone in a notebook: the frames would be the SDK's and ours."""
        return [f"JobError: {self}"]


@dataclass
class JobPlan:
    """A training job before it is started."""

    name: str  # also of its folder in the bucket
    trainer: Any  # the SDK's `ModelTrainer`, ready to start
    metrics: dict[str, str]  # name to pattern
    source: Draft = field(repr=False)  # goes away with the plan


def plan_job(
    session: CloudSession,
    hyperparameters: Mapping[str, Any],
    tasks: Sequence[str],
    *,
    instance_type: str = INSTANCE,
    instance_count: int = 1,
) -> JobPlan:
    """Describes a job: source code, machines, folders. Nothing is started.

    `hyperparameters` are flags of `helpers.train`, such as `{"epochs": 3, "image-size": "32x32"}`.
    The accuracies of `tasks` become metrics. After `MOST_SECONDS` the job is stopped.
    """
    quiet_sdk()
    from sagemaker.core.training import configs

    unique = f"{PREFIX}-signs-{datetime.now(UTC):%y%m%d-%H%M%S}-{token_hex(2)}"
    machines = {"instance_type": instance_type, "instance_count": instance_count}
    compute = configs.Compute(**machines, volume_size_in_gb=30)
    source = temporary_draft("source")
    code = copy_source(source.path / "code")
    trainer = _trainer(session, unique, code, dict(hyperparameters), compute)
    metrics = {item["Name"]: item["Regex"] for item in metric_definitions(tasks)}
    found = [configs.MetricDefinition(name=key, regex=regex) for key, regex in metrics.items()]
    return JobPlan(unique, trainer.with_metric_definitions(found), metrics, source)


def _trainer(
    session: CloudSession, name: str, code: Path, flags: dict[str, Any], compute: Any
) -> Any:
    from sagemaker.core import image_uris
    from sagemaker.core.training import configs
    from sagemaker.train import ModelTrainer

    machine = {"region": session.region, "instance_type": compute.instance_type}
    kept, place = session.uri(name, "checkpoints"), str(CHECKPOINTS)
    source = {"source_dir": str(code), "command": COMMAND, "requirements": REQUIREMENTS}
    return ModelTrainer(
        sagemaker_session=session.sdk(),
        role=session.role,
        base_job_name=name,
        training_image=image_uris.retrieve(**IMAGE, **machine, image_scope="training"),
        source_code=configs.SourceCode(**source),
        compute=compute,
        stopping_condition=configs.StoppingCondition(max_runtime_in_seconds=MOST_SECONDS),
        output_data_config=configs.OutputDataConfig(s3_output_path=session.uri(name, "output")),
        checkpoint_config=configs.CheckpointConfig(s3_uri=kept, local_path=place),
        hyperparameters=flags,
        environment={"PYTHONUNBUFFERED": "1", "SM_CHECKPOINT_DIR": place},
        tags=[configs.Tag(key=TAG["Key"], value=TAG["Value"])],
    )


def start_job(session: CloudSession, plan: JobPlan, channels: Mapping[str, str]) -> "Job":
    """Checks the quota, says what it costs, writes it down and starts it.

    `channels` are names and addresses of data, such as `{"training": "s3://..."}`. The shards of
    "training" are divided between several machines; "validation", which holds all that is not for
    training, goes to each.
    """
    machine, count = plan.trainer.compute.instance_type, plan.trainer.compute.instance_count
    check_quota(session, machine, "training job usage", count)
    hours = plan.trainer.stopping_condition.max_runtime_in_seconds / 3600
    print(describe_price(session, machine, count, hours))
    session.note("training job", plan.name)
    session.note("log", f"{LOG_GROUP}|{plan.name}")
    session.note("s3 prefix", session.uri(plan.name))
    inputs = [_channel(name, uri, count) for name, uri in channels.items()]
    quiet_sdk()
    try:
        plan.trainer.train(input_data_config=inputs, wait=False, logs=False)
    except ClientError as error:
        reason = "{Code}: {Message}".format_map(error.response["Error"])
        what = f"expected AWS to take the job {plan.name}, found that it refused it"
        explained = EXPLAINED.get(error.response["Error"]["Code"])
        pointer = more(explained) if explained else ""
        raise WorkshopError(f"{what}: {reason}{pointer}") from None
    name = plan.trainer._latest_training_job.training_job_name
    session.ledger.remove("training job", plan.name)  # the SDK has added the time to the name
    session.note("training job", name)
    print(f"started {name}")
    return Job(session, name, plan.metrics)


def _channel(name: str, uri: str, machines: int) -> Any:
    from sagemaker.core.training.configs import InputData, S3DataSource

    sharded = machines > 1 and name == "training"
    kind, uri = "ShardedByS3Key" if sharded else "FullyReplicated", f"{uri.rstrip('/')}/"
    source = {"s3_data_type": "S3Prefix", "s3_uri": uri, "s3_data_distribution_type": kind}
    return InputData(channel_name=name, data_source=S3DataSource(**source))


@dataclass
class Job:
    """A training job that was started."""

    session: CloudSession
    name: str
    metrics: Mapping[str, str]  # name to pattern
    lines: list[str] = field(default_factory=list, repr=False)  # that its script printed so far
    _tokens: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    _inside: bool = field(default=False, repr=False)

    def describe(self) -> dict[str, Any]:
        """Returns the answer of DescribeTrainingJob."""
        return self.session.client("sagemaker").describe_training_job(TrainingJobName=self.name)

    def follow(self) -> "Job":
        """Shows its log until it ends; may be called again, and goes on where it was.

        Raises:
            WorkshopError: it was stopped, or failed (`JobError`).
        """
        began = time.monotonic()
        with progress_bar(bar_format="{desc}", total=0) as bar:
            while True:
                said = self.describe()  # before the log: its last lines are there when it ends
                for line in self._new_lines():
                    if not any(re.search(pattern, line) for pattern in self.metrics.values()):
                        bar.write(line)  # a person reads it instead of the numbers after it
                state = f"{said['TrainingJobStatus']}, {said.get('SecondaryStatus', '')}"
                bar.set_description_str(f"{state}, {time.monotonic() - began:.0f} s")
                if said["TrainingJobStatus"] in ENDED:
                    break
                time.sleep(POLL_SECONDS[self.session.world])
        if self.session.billed:  # CloudWatch is behind by some seconds
            time.sleep(POLL_SECONDS[self.session.world])
            print(*self._new_lines(), sep="\n")
        if said["TrainingJobStatus"] == "Failed":
            raise JobError(self._failure(said.get("FailureReason", "")))
        if said["TrainingJobStatus"] == "Stopped":
            what = f"the job {self.name} to end by itself"
            found = f"that it was stopped ({said.get('SecondaryStatus')})"
            raise expected(what, found, "Start it again, with more minutes if it needs them.")
        print(f"completed after {said.get('TrainingTimeInSeconds', 0)} s: {self.model_uri}")
        return self

    def _failure(self, said: str) -> str:
        last = [line for line in self.lines if line.strip()][-LAST_LINES:]
        reason = last[-1].strip() if last else said or "no reason was given"
        shown = "\n".join(f"    {line}" for line in last)
        fix = "Fix the script or its flags, try them on this machine with python -m helpers.train, "
        return (
            f"the job {self.name} failed: {reason}\n\nthe last lines of its script:\n{shown}\n\n"
            f"SageMaker says: {' '.join(said.split())}\n{fix}and start the job again."
        )

    def _new_lines(self) -> Iterator[str]:
        """Yields the script's new lines, without what the SDK's own scripts print around it."""
        for line in self._new_events():
            if line.startswith((FIRST, f"+ echo '{FIRST}")):
                self._inside = True
            elif LAST in line or line.startswith("An error occurred with exit code"):
                self._inside = False
            elif self._inside and not re.match(r"\++ ", line):
                line = line.rpartition("\r")[2]  # what a progress bar overwrote is left out
                self.lines.append(line)
                yield line

    def _new_events(self) -> Iterator[str]:
        """Yields the new lines of the first machine's log."""
        logs, group = self.session.client("logs"), {"logGroupName": LOG_GROUP}
        try:
            streams = logs.describe_log_streams(**group, logStreamNamePrefix=f"{self.name}/")
        except ClientError:  # before the first job's first line there is no such group
            return
        for stream in sorted(stream["logStreamName"] for stream in streams["logStreams"])[:1]:
            where = group | {"logStreamName": stream, "startFromHead": True}
            while True:
                before = self._tokens.get(stream, {})
                page = logs.get_log_events(**where, **before)
                yield from (event["message"].rstrip() for event in page["events"])
                self._tokens[stream] = {"nextToken": page["nextForwardToken"]}
                if not page["events"] or self._tokens[stream] == before:
                    break

    def figures(self) -> dict[str, float]:
        """Returns the last value of each metric, as SageMaker read it from the log."""
        found = self.describe().get("FinalMetricDataList", [])
        return {metric["MetricName"]: metric["Value"] for metric in found}

    @property
    def model_uri(self) -> str:
        """Where its model is: everything that the script wrote to `SM_MODEL_DIR`, packed."""
        return self.describe()["ModelArtifacts"]["S3ModelArtifacts"]

    def download(self, folder: Path) -> Path:
        """Fetches the export that the script left for serving into a folder, which is replaced."""
        bucket, _, key = self.model_uri.removeprefix("s3://").partition("/")
        s3 = self.session.client("s3")
        size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
        with whole_folder(folder, EXPORT_FILES) as draft:
            packed = draft / "model.tar.gz"
            with progress_bar(total=size, unit="B", unit_scale=True, desc="fetching") as bar:
                s3.download_file(bucket, key, str(packed), Callback=bar.update)
            extract(packed, draft)
            packed.unlink()
        return Path(folder)
