"""Figures as printed lines, and the patterns with which a job reads them out of its log."""

import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

METRIC_LINE = re.compile(r"([^=;]+=(nan|[0-9.]+);)+")


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
