"""A training job: the command of your machine, on machines of AWS."""

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from helpers import common
from helpers.cloud.checks import EXPLAINED, check_quota
from helpers.cloud.script.environment import CHECKPOINTS, METRIC_LINE, metric_definitions
from helpers.cloud.session import CloudSession, quiet_sdk
from helpers.cloud.source import COMMAND, REQUIREMENTS, copy_source
from helpers.common import WorkshopError, expected

INSTANCE = "ml.m5.xlarge"  # 4 cores, 16 GB; in AWS's free tier for new accounts
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ENDED = ("Completed", "Failed", "Stopped")
POLL_SECONDS = {"rehearsal": 0.5, "aws": 10}  # between two looks
MOST_SECONDS = 1800  # that a job may run, and so the most that it may cost
LAST_LINES = 15  # of a script that failed
# lines come at once, and no progress bars, which CloudWatch shows as ever longer lines
ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "TQDM_DISABLE": "1"}
FIRST = ("Executing command:", "+ echo 'Executing command:")  # before what the script prints
# what the SDK's own scripts print later, on two streams, of which either may come first
NOT_ITS = r"\++ |An error occurred with exit code|TrainingJob - |Training Container Execution "
PRICES = Path(__file__).with_name("prices.json")


class JobError(WorkshopError):
    """A job that failed, with the last lines of its script."""

    def _render_traceback_(self) -> list[str]:
        """Shows the message alone in a notebook: the frames would be the SDK's and ours."""
        return [f"JobError: {self}"]


@dataclass
class JobPlan:
    """A training job before it is started."""

    trainer: Any  # the SDK's `ModelTrainer`, ready to start
    source: common.Draft = field(repr=False)  # goes away with the plan


def plan_job(
    session: CloudSession,
    hyperparameters: Mapping[str, Any],
    tasks: Sequence[str],
    instance_type: str = INSTANCE,
    instance_count: int = 1,
) -> JobPlan:
    """Describes a job, which may run for `MOST_SECONDS`; starts nothing.

    `hyperparameters` are flags of `helpers.train`; the accuracies of `tasks` become metrics.
    """
    quiet_sdk()
    from sagemaker.core import image_uris
    from sagemaker.core.training import configs
    from sagemaker.train import ModelTrainer

    name = session.name("signs")
    machine = {"region": session.region, "instance_type": instance_type, "image_scope": "training"}
    machines = {"instance_type": instance_type, "instance_count": instance_count}
    draft, place = common.temporary_draft("source"), str(CHECKPOINTS)
    code = str(copy_source(draft.path / "code"))
    source = {"source_dir": code, "command": COMMAND, "requirements": REQUIREMENTS}
    kept = {"s3_uri": session.uri(name, "checkpoints"), "local_path": place}
    trainer = ModelTrainer(
        sagemaker_session=session.sdk(),
        role=session.role,
        base_job_name=name,
        training_image=image_uris.retrieve("tensorflow", **machine),  # the newest that it knows
        source_code=configs.SourceCode(**source),
        compute=configs.Compute(**machines, volume_size_in_gb=30),
        stopping_condition=configs.StoppingCondition(max_runtime_in_seconds=MOST_SECONDS),
        output_data_config=configs.OutputDataConfig(s3_output_path=session.uri(name, "output")),
        checkpoint_config=configs.CheckpointConfig(**kept),
        hyperparameters=dict(hyperparameters),
        environment={**ENVIRONMENT, "SM_CHECKPOINT_DIR": place},
        tags=[configs.Tag(key=tag["Key"], value=tag["Value"]) for tag in session.tags],
    )
    patterns = metric_definitions(tasks).items()
    metrics = [configs.MetricDefinition(name=key, regex=regex) for key, regex in patterns]
    return JobPlan(trainer.with_metric_definitions(metrics), draft)


def describe_price(session: CloudSession, instance_type: str, count: int, hours: float) -> str:
    """Says what a job costs before it starts, from a table in the repository with its date."""
    table = common.read_json(PRICES)
    price, where = table["per_hour"].get(instance_type), table["region"]
    if price is None:
        cost = f"the price is not in prices.json; look at {table['check']}"
    else:
        where += "" if session.region == where else f", not {session.region}"
        cost = f"${price * count:.3f} an hour, at most ${price * count * hours:.2f}"
        cost += f" (on demand in {where}, as of {table['date']}, to be checked; spot is less)"
    billed = "" if session.billed else "; rehearsal: nothing is billed"
    return f"price of this job: {count} x {instance_type}, {cost}{billed}"


def start_job(session: CloudSession, plan: JobPlan, channels: Mapping[str, str]) -> "Job":
    """Checks the quota, says what it costs, writes it down and starts it.

    `channels` are names and addresses of data, such as `{"training": "s3://..."}`. The shards of
    "training" are divided between several machines; "validation", which holds all that is not for
    training, goes to each.
    """
    trainer, name = plan.trainer, plan.trainer.base_job_name
    machine, count = trainer.compute.instance_type, trainer.compute.instance_count
    check_quota(session, machine, count)
    print(describe_price(session, machine, count, MOST_SECONDS / 3600))
    session.note("training job", name)  # the SDK adds the time to the name, and the clean-up knows
    session.note("log", f"{LOG_GROUP}|{name}")
    session.note("s3 prefix", session.uri(name))
    inputs = [_channel(channel, uri, count) for channel, uri in channels.items()]
    try:
        trainer.train(input_data_config=inputs, wait=False, logs=False)
    except ClientError as error:
        reason = "{Code}: {Message}".format_map(error.response["Error"])
        what = f"expected AWS to take the job {name}, found that it refused it"
        explained = EXPLAINED.get(error.response["Error"]["Code"])
        pointer = common.more(explained) if explained else ""
        raise WorkshopError(f"{what}: {reason}{pointer}") from None
    name = trainer._latest_training_job.training_job_name
    print(f"started {name}")
    return Job(session, name)


def script_lines(log: Iterable[str]) -> list[str]:
    """Returns what a job's script printed, without what the SDK's own scripts print around it."""
    found, is_inside = [], False
    for line in log:
        if line.startswith(FIRST):
            is_inside = True
        elif is_inside and not re.match(NOT_ITS, line):
            # without what a progress bar overwrote: SageMaker writes its \r as #015
            found.append(line.replace("#015", "\r").rstrip("\r").rpartition("\r")[2])
    return found


def read_stream(logs: Any, place: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of a stream of CloudWatch, which boto3 has no paginator for."""
    while True:
        page = logs.get_log_events(**place)
        yield from (event["message"].rstrip() for event in page["events"])
        if page["nextForwardToken"] == place.get("nextToken"):
            return
        place["nextToken"] = page["nextForwardToken"]


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
    lines: list[str] = field(default_factory=list, repr=False)  # of its script so far

    def describe(self) -> dict[str, Any]:
        """Returns the answer of DescribeTrainingJob."""
        return self.session.client("sagemaker").describe_training_job(TrainingJobName=self.name)

    def follow(self) -> "Job":
        """Shows its log until it ends; may be called again, and goes on where it was.

        Raises WorkshopError where it was stopped, JobError where it failed.
        """
        began, state = time.monotonic(), ""
        with common.progress_bar(bar_format="{desc}", total=0) as bar:
            while state not in ENDED:
                said = self.describe()  # before the log: its last lines are there when it ends
                state = said["TrainingJobStatus"]
                if self.session.billed or state not in ENDED:  # CloudWatch is behind by seconds
                    time.sleep(POLL_SECONDS[self.session.world])
                for line in self._new_lines():
                    if not METRIC_LINE.fullmatch(line):  # people read the others
                        bar.write(line)
                shown = f"{state}, {said.get('SecondaryStatus', '')}"
                bar.set_description_str(f"{shown}, {time.monotonic() - began:.0f} s")
        if state == "Failed":
            raise JobError(self._failure(said.get("FailureReason", "")))
        if state == "Stopped":
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

    def _new_lines(self) -> list[str]:
        """Returns the script's new lines; some come late, among others that are known."""
        known, new = Counter(self.lines), []
        for line in self._read_lines():
            if known[line]:
                known[line] -= 1
            else:
                new.append(line)
        self.lines += new
        return new

    def _read_lines(self) -> Iterator[str]:
        """Yields the lines of the first machine; one that a spot job got later has its own log."""
        logs, first = self.session.client("logs"), f"{self.name}/algo-1-"
        try:
            pages = logs.get_paginator("describe_log_streams")
            pages = pages.paginate(logGroupName=LOG_GROUP, logStreamNamePrefix=first)
            for stream in pages.search("logStreams[].logStreamName"):
                place = {"logGroupName": LOG_GROUP, "logStreamName": stream, "startFromHead": True}
                yield from script_lines(read_stream(logs, place))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code != "ResourceNotFoundException":  # the group comes with the first job's line
                yield f"its log cannot be read: {code}. Look for it in the console: CloudWatch."

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
        bar = common.progress_bar(total=size, unit="B", unit_scale=True, desc="fetching")
        with common.whole_folder(folder, common.EXPORT_FILES) as draft, bar:
            packed = draft / "model.tar.gz"
            s3.download_file(bucket, key, str(packed), Callback=bar.update)
            common.extract(packed, draft)
            packed.unlink()
        return Path(folder)
