"""What a SageMaker job tells its script, and what that tells the job.

SageMaker describes a job in variables, which are read here and nowhere else:

SM_CHANNEL_TRAINING     folder with manifest.csv and its pictures, or with shards
SM_CHANNEL_VALIDATION   the same for validation and test, where these are apart
SM_HPS                  the hyperparameters as JSON: flags of the command
SM_MODEL_DIR            gets what serving needs; becomes model.tar.gz
SM_OUTPUT_DATA_DIR      gets the run, where there are no checkpoints
SM_CHECKPOINT_DIR       gets the run, and keeps it over an interruption (/opt/ml/checkpoints)
SM_HOSTS, SM_CURRENT_HOST   all machines, and this one

The job reads figures out of printed lines (`metric_line`) with patterns (`metric_definitions`).
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.cloud.script.shards import MANIFEST_FILE, find_shards, read_shards
from helpers.common import WorkshopError, write_json
from helpers.manifest import IMAGE, LABELS_FILE, SPLIT, Manifest, read_manifest
from helpers.train import Run
from helpers.train.__main__ import RUN

CHECKPOINTS = Path("/opt/ml/checkpoints")  # what SageMaker keeps in S3 while a job runs
SCORES_FILE = "scores.json"
NOT_OURS = "sagemaker_"  # hyperparameters that the SDK adds begin so


@dataclass(frozen=True)
class Job:
    """Where a job's things are; all None, and one host, outside of a job.

    Attributes:
        training: folder of the channel `training`.
        validation: folder of the channel `validation`, where there is one.
        model: folder for what serving needs.
        output: folder for everything else.
        checkpoints: folder that outlives an interruption, where there is one.
        hyperparameters: flags of `helpers.train`, by name.
        hosts: the names of all machines, sorted.
        host: the name of this one.
    """

    training: Path | None = None
    validation: Path | None = None
    model: Path | None = None
    output: Path | None = None
    checkpoints: Path | None = None
    hyperparameters: Mapping[str, Any] | None = None
    hosts: tuple[str, ...] = ("localhost",)
    host: str = "localhost"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Job":
        """Reads the variables of a job."""

        def folder(name: str) -> Path | None:
            return Path(environment[name]) if environment.get(name) else None

        model, checkpoints = folder("SM_MODEL_DIR"), folder("SM_CHECKPOINT_DIR")
        if checkpoints is None and model and CHECKPOINTS.is_dir():
            checkpoints = CHECKPOINTS
        hosts = tuple(sorted(json.loads(environment.get("SM_HOSTS") or '["localhost"]')))
        return cls(
            training=folder("SM_CHANNEL_TRAINING"),
            validation=folder("SM_CHANNEL_VALIDATION"),
            model=model,
            output=folder("SM_OUTPUT_DATA_DIR"),
            checkpoints=checkpoints,
            hyperparameters=json.loads(environment.get("SM_HPS") or "{}"),
            hosts=hosts,
            host=environment.get("SM_CURRENT_HOST") or hosts[0],
        )

    @property
    def flags(self) -> list[str]:
        """The hyperparameters as arguments: ["--epochs", "3", ...]."""
        given = (self.hyperparameters or {}).items()
        ours = ((name, value) for name, value in given if not name.startswith(NOT_OURS))
        return [text for name, value in ours for text in (f"--{name}", str(value))]

    @property
    def run_folder(self) -> Path | None:
        """Where the run goes where nobody says: the checkpoints, else the outputs."""
        folder = self.checkpoints or self.output or self.model
        return folder / RUN if folder else None


def tidy_arguments(arguments: Sequence[str], switches: Iterable[str]) -> list[str]:
    """Returns arguments as argparse wants them, from those that a job is started with.

    A job writes `--learning_rate 0.001` where the hyperparameter is called so, and gives every
    flag a value: `--no-check true`.

    Args:
        arguments: of the command line.
        switches: the flags that take no value, such as "--no-check".
    """
    tidy: list[str] = []
    for text in arguments:
        if tidy and tidy[-1] in switches and text.lower() in ("true", "false"):
            if text.lower() == "false":
                tidy.pop()
            continue
        name, equals, value = text.partition("=")
        flag = name.replace("_", "-") if name.startswith("--") else name
        tidy.append(f"{flag}{equals}{value}")
    return tidy


def read_channels(job: Job, tasks: Sequence[str] | None = None) -> Manifest:
    """Returns the manifest of a job's channels.

    Shards are unpacked into a folder `unpacked` beside the channel. Rows without a split belong
    to the one of their channel: train, or validation.

    Args:
        job: has a channel `training`.
        tasks: only these tasks; all where None.

    Raises:
        WorkshopError: A channel holds neither a manifest nor shards, or other labels.
    """
    training = _read_channel(job.training, tasks)
    if job.validation is None:
        return training
    parts = [(training, "train"), (_read_channel(job.validation, tasks), "validation")]
    if training.labels != parts[1][0].labels:
        raise WorkshopError(
            f"{parts[1][0].name}: expected the tasks and classes of {training.name}, found others. "
            "Put the same labels.json into both channels."
        )
    frames = [_with_split(part, split).assign(**{IMAGE: part.paths}) for part, split in parts]
    joined = pd.concat(frames, ignore_index=True).fillna("")
    folder = job.training.parent / "unpacked"
    path = folder / MANIFEST_FILE
    (folder / LABELS_FILE).unlink(missing_ok=True)  # of an earlier job in the same place
    Manifest(joined, training.labels, folder).write(path)
    return read_manifest(path, tasks)


def _read_channel(channel: Path, tasks: Sequence[str] | None) -> Manifest:
    if (channel / MANIFEST_FILE).exists():
        return read_manifest(channel / MANIFEST_FILE, tasks)
    if not find_shards(channel):
        raise WorkshopError(
            f"expected {MANIFEST_FILE} or shards such as shard-00000-of-00008.tar in the channel "
            f"{channel}, found neither. Upload what helpers.cloud.write_shards makes; "
            "there must be at least one shard for each machine."
        )
    return read_manifest(read_shards(channel, channel.parent / "unpacked" / channel.name), tasks)


def _with_split(manifest: Manifest, split: str) -> pd.DataFrame:
    return manifest.frame if manifest.has_split else manifest.frame.assign(**{SPLIT: split})


def write_model(run: Run, scores: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Puts what serving needs into the folder that becomes model.tar.gz.

    That is the run's export, its log, and its scores.

    Args:
        run: exported.
        scores: for each split a table of `helpers.scores.score_manifest`.
        folder: SM_MODEL_DIR; it may be there, and what is in it stays.
    """
    shutil.copytree(run.export_folder, folder, dirs_exist_ok=True)
    shutil.copyfile(run.log_path, folder / run.log_path.name)
    values = {name: json.loads(table.to_json(orient="index")) for name, table in scores.items()}
    write_json(folder / SCORES_FILE, {"epoch": run.best_epoch, "scores": values})


# What the job reads out of printed lines


def metric_line(figures: Mapping[str, float]) -> str:
    """Writes figures as a job reads them: `validation loss=0.2345; test accuracy=0.9120;`."""
    return " ".join(f"{name}={value:.4f};" for name, value in figures.items())


def epoch_figures(row: Mapping[str, float], tasks: Iterable[str]) -> dict[str, float]:
    """Returns the figures of an epoch, from its line in the log."""
    return {
        "training loss": row["loss"],
        "validation loss": row["val_loss"],
        "validation accuracy": row["val_accuracy"],
        **{f"validation {task} accuracy": row[f"val_{task}_accuracy"] for task in tasks},
    }


def score_figures(split: str, scores: pd.DataFrame) -> dict[str, float]:
    """Returns the figures of a table of `helpers.scores.score_manifest`."""
    each = {f"{split} {task} accuracy": value for task, value in scores["accuracy"].items()}
    return {f"{split} accuracy": scores["accuracy"].mean(), **each}


def metric_definitions(tasks: Sequence[str]) -> list[dict[str, str]]:
    """Returns what a job needs to find the figures of `metric_line`.

    Returns:
        Name and pattern of each, such as {"Name": "validation:gender:accuracy", "Regex":
        "validation gender accuracy=([0-9.]+);"}. SageMaker takes 40 at most.
    """
    whole = ["training loss", "validation loss", "validation accuracy", "test accuracy"]
    each = [f"{split} {task} accuracy" for task in tasks for split in ("validation", "test")]
    return [
        {"Name": name.replace(" ", ":"), "Regex": f"{name.replace('.', '[.]')}=([0-9.]+);"}
        for name in [*whole, *each][:40]
    ]
