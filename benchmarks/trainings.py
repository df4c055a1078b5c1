"""Trains a recipe in a process of its own, and says how long it took and what it predicts."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baselines import predict_baseline
from benchmarks.ideas import find_idea
from benchmarks.measures import FOREVER, Measured, compiled_model, sequence_batches
from helpers import pipeline, train
from helpers.common import artifacts_folder
from helpers.manifest import SPLITS, Manifest, read_numbers
from helpers.scores import score_manifest
from helpers.train import Recipe

KEPT = ("minutes", "epochs")  # of a training's row, beside its scores
SCORES = {"accuracy": "", "macro_f1": "_macro_f1", "balanced_accuracy": "_balanced_accuracy"}


def scored_training(manifest: Manifest, recipe: Recipe, **how: Any) -> dict[str, float]:
    """Trains; returns `KEPT`, and the `SCORES` of each task on validation, as task + suffix."""
    validation = manifest.subset("validation")
    if "baseline" in how:
        answers = predict_baseline(how["baseline"], manifest.subset("train"), validation)
        found = {"minutes": 0.0, "epochs": 0.0, "answers": [answers]}
    else:
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
    found = process()
    process.close()
    if folder is None:
        shutil.rmtree(place, ignore_errors=True)
    return found


def training(
    manifest: Manifest, recipe: dict, asked: Sequence[Manifest], folder: Path, how: dict[str, Any]
) -> Callable[[], dict[str, Any]]:
    """Prepares a whole training, after which the network predicts each of `asked`.

    `how` may have an idea (by name or file), the source "sequence" (`sequence_batches`; one stage),
    and best: the best epoch predicts instead of the last, as it always does after several stages.
    """
    plan, images = Recipe.from_json(recipe), manifest.subset("train")
    idea = find_idea(how["idea"]) if "idea" in how else None

    def measure() -> dict[str, Any]:
        wall, cpu = time.monotonic(), time.process_time()
        if "source" in how:
            clock = train.Clock(plan.stages[0], wall)
            network = compiled_model(images, plan)
            network.fit(sequence_batches(images, plan), callbacks=[clock], **FOREVER)
            steps = int(network.optimizer.iterations)
        else:
            run = train.train(manifest, folder, plan, idea=idea, overwrite=True)
            best = how.get("best") or len(plan.stages) > 1
            network = run.load_predictor(None if best else len(run.log))
            steps = len(read_numbers(folder / "batches.csv"))
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        return {
            "minutes": wall / 60,
            "CPU minutes": cpu / 60,
            "epochs": steps / pipeline.steps_per_epoch(images, plan.stages[0].batch_size),
            "answers": [train.predict_manifest(network, part) for part in asked],
        }

    return measure


def split_at_random(manifest: Manifest, shares: Mapping[str, float], seed: int = 0) -> Manifest:
    """Splits images at random, as if groups did not exist: only for the lesson on leaks."""
    names = [name for name in SPLITS if name in shares]
    ends = np.round(np.cumsum([shares[name] for name in names]) * len(manifest)).astype(int)
    split, order = np.empty(len(manifest), object), np.random.default_rng(seed)
    split[order.permutation(len(manifest))] = np.repeat(names, np.diff(ends, prepend=0))
    return replace(manifest, frame=manifest.frame.assign(split=split))


def fewer_groups(groups: np.ndarray, among: np.ndarray, share: float) -> np.ndarray:
    """Returns which rows stay, bool (n,), when a share of the groups of rows `among` is kept.

    What a smaller share (0 to 1, whole groups) keeps is a part of what a larger one keeps.
    """
    own = np.unique(groups[among])
    kept = np.random.default_rng(0).permutation(own)[: int(np.ceil(share * len(own)))]
    return ~among | np.isin(groups, kept)
