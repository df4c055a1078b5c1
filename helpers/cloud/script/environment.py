"""What SageMaker and a job's script tell each other.

The script reads its variables here and nowhere else, and prints its figures as lines, out of which
the job reads them with patterns.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.cloud.script.shards import MANIFEST_FILE, read_shards, write_joined
from helpers.common import write_json
from helpers.manifest import SPLIT, Manifest, read_manifest
from helpers.train import Run

CHECKPOINTS = Path("/opt/ml/checkpoints")  # what SageMaker keeps in S3 while a job runs
NOT_OURS = "sagemaker_"  # hyperparameters that the SDK adds begin so
FOLDERS = {
    "training": "SM_CHANNEL_TRAINING",  # has manifest.csv and its images, or shards
    "validation": "SM_CHANNEL_VALIDATION",  # the same, of all that is not for training
    "model": "SM_MODEL_DIR",  # gets what serving needs; becomes model.tar.gz
    "output": "SM_OUTPUT_DATA_DIR",  # gets the run, where there are no checkpoints
    "checkpoints": "SM_CHECKPOINT_DIR",  # gets the run, and keeps it over an interruption
}
METRIC_LINE = re.compile(r"([^=;]+=(nan|[0-9.]+);)+")


@dataclass(frozen=True)
class JobEnvironment:
    """Where a job's things are; outside of a job, folders are None and there is one worker."""

    training: Path | None = None
    validation: Path | None = None
    model: Path | None = None
    output: Path | None = None
    checkpoints: Path | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)  # flags of the command
    hosts: tuple[str, ...] = ("localhost",)  # the names of all machines, sorted
    host: str = "localhost"  # this one

    @classmethod
    def from_variables(cls, variables: Mapping[str, str] = os.environ) -> "JobEnvironment":
        """Reads SageMaker's variables."""
        folders = {key: Path(variables[n]) for key, n in FOLDERS.items() if variables.get(n)}
        hosts = tuple(sorted(json.loads(variables.get("SM_HOSTS") or '["localhost"]')))
        host = variables.get("SM_CURRENT_HOST") or hosts[0]
        given = json.loads(variables.get("SM_HPS") or "{}")
        return cls(**folders, hyperparameters=given, hosts=hosts, host=host)

    @property
    def flags(self) -> list[str]:
        """The hyperparameters as arguments: ["--epochs", "3", "--no-check"]."""
        found = []
        for name, value in self.hyperparameters.items():
            if not name.startswith(NOT_OURS) and value is not False:
                flag = f"--{name.replace('_', '-')}"
                found += [flag] if value is True else [flag, str(value)]
        return found


def read_channels(job: JobEnvironment, tasks: Sequence[str] | None = None) -> Manifest:
    """Returns the manifest of a job's channels; their shards are unpacked into `unpacked`.

    Of two channels, rows without a split belong to that of their channel: train, or validation.
    """
    unpacked, parts = job.training.parent / "unpacked", []
    for channel, split in ((job.training, "train"), (job.validation, "validation")):
        if channel is None:
            continue
        if (channel / MANIFEST_FILE).exists():
            found = [read_manifest(channel / MANIFEST_FILE)]
        else:
            found = read_shards(channel, unpacked / channel.name)
        if job.validation and not any(part.has_split for part in found):
            found = [replace(p, frame=p.frame.assign(**{SPLIT: split})) for p in found]
        parts += found
    return read_manifest(write_joined(parts, unpacked), tasks)


def write_model(run: Run, scores: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Puts export, log and scores into the folder that becomes model.tar.gz."""
    shutil.copytree(run.export_folder, folder, dirs_exist_ok=True)
    shutil.copyfile(run.log_path, folder / run.log_path.name)
    values = {name: json.loads(table.to_json(orient="index")) for name, table in scores.items()}
    write_json(folder / "scores.json", {"epoch": run.best_epoch, "scores": values})


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


def metric_definitions(tasks: Sequence[str]) -> dict[str, str]:
    """Returns name and pattern of each figure of `metric_line`; SageMaker takes 40 at most."""
    whole = ["training loss", "validation loss", "validation accuracy", "test accuracy"]
    each = [f"{split} {task} accuracy" for task in tasks for split in ("validation", "test")]
    return {
        name.replace(" ", ":"): f"{name.replace('.', '[.]')}=([0-9.]+);"
        for name in [*whole, *each][:40]
    }
