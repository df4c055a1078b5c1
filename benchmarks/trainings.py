"""Trains a recipe in a process of its own, and says how long it took and what it answers."""

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measures import FOREVER, sequence_batches
from benchmarks.processes import Measured
from helpers.common import artifacts_folder
from helpers.manifest import Manifest
from helpers.scores import score_manifest
from helpers.train import Recipe

KEPT = ("minutes", "epochs")  # of a training's row, beside its scores
SCORES = {"accuracy": "", "macro_f1": "_macro_f1", "balanced_accuracy": "_balanced_accuracy"}


def scored_training(manifest: Manifest, recipe: Recipe, **how: Any) -> dict[str, float]:
    """Trains, and scores the last weights on the whole validation split.

    Returns:
        `KEPT`, and for each task its accuracy, as {task}, and its {task}_macro_f1 and
        {task}_balanced_accuracy.
    """
    validation = manifest.subset("validation")
    found = train_apart(manifest, recipe, [validation], **how)
    scores = score_manifest(validation, found["answers"][0], bootstraps=0)
    row = {name: found[name] for name in KEPT}
    for name, suffix in SCORES.items():
        row |= {f"{task}{suffix}": float(score) for task, score in scores[name].items()}
    return row


def train_apart(
    manifest: Manifest, recipe: Recipe, asked: Sequence[Manifest], folder: Path | None = None, **how
) -> dict[str, Any]:
    """Returns what `training` measures, in a process of its own; without a folder no run stays."""
    place = folder or artifacts_folder("runs") / "bench"
    process = Measured(training, manifest, recipe.to_json(), asked, place, how)
    row = process()
    process.close()
    if folder is None:
        shutil.rmtree(place, ignore_errors=True)
    return row


def training(
    manifest: Manifest, recipe: dict, asked: Sequence[Manifest], folder: Path, how: dict[str, Any]
) -> Callable[[], dict[str, Any]]:
    """Prepares a whole training.

    Args:
        manifest: with a split.
        recipe: a `Recipe` as plain data.
        asked: what the network answers afterwards.
        folder: of the run.
        how: of `_train`, or source="sequence": see `sequence_batches`, for a recipe of one stage.

    Returns:
        A function that returns minutes, CPU minutes, epochs and answers: for each of `asked`
        {task: float (pictures, classes)}.
    """
    from helpers.pipeline import steps_per_epoch
    from helpers.train import predict_manifest

    plan, pictures = Recipe.from_json(recipe), manifest.subset("train")

    def measure() -> dict[str, Any]:
        wall, cpu = time.monotonic(), time.process_time()
        if how == {"source": "sequence"}:
            model, steps = _fit_sequence(pictures, plan)
        else:
            model, steps = _train(manifest, folder, plan, **how)
        return {
            "minutes": (time.monotonic() - wall) / 60,
            "CPU minutes": (time.process_time() - cpu) / 60,
            "epochs": steps / steps_per_epoch(pictures, plan.stages[0].batch_size),
            "answers": [predict_manifest(model, part) for part in asked],
        }

    return measure


def _train(manifest: Manifest, folder: Path, plan: Recipe, idea: str = "", best: bool = False):
    """Trains as the command does.

    Of one stage the last epoch counts, which nobody chose, unless `best` is wanted; of several the
    best one, from which each stage starts.
    """
    from benchmarks.ideas import find_idea
    from benchmarks.until_core import train
    from helpers.model import load_model

    run = train(manifest, folder, plan, idea=find_idea(idea) if idea else None, overwrite=True)
    path = run.best_path if best or len(plan.stages) > 1 else run.epoch_path(len(run.log))
    return load_model(path), len(pd.read_csv(folder / "batches.csv"))


def _fit_sequence(training: Manifest, plan: Recipe):
    from benchmarks.until_core import compiled_model
    from helpers.train import Clock

    clock, model = Clock(plan.stages[0], time.monotonic()), compiled_model(training, plan)
    model.fit(sequence_batches(training, plan), callbacks=[clock], **FOREVER)
    return model, int(model.optimizer.iterations)
