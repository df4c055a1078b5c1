"""Scores a run on a split of a manifest.

python -m helpers.evaluate --run RUN --manifest M [--split test] [--classes] [--json scores.json]
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import run_command, write_json
from helpers.manifest import Manifest, read_manifest
from helpers.scores import per_class, score_manifest
from helpers.train import Run, check_labels, open_run


def evaluate(
    run: Run, manifest: Manifest, epoch: int | None = None
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Scores a run's best model, or that of one epoch, on every row of a manifest.

    Args:
        run: a `helpers.train.Run`.
        manifest: the images and their labels; the tasks that the run does not know are left.
        epoch: counted from 1; the best where None.

    Returns:
        The scores, a table with a row for each task (see `helpers.scores.score_manifest`), and
        the probabilities, a dict from task to float32 (images, classes).

    Raises:
        WorkshopError: the manifest has other labels than the run, or there is no such epoch.
    """
    from helpers.model import load_model  # imports TensorFlow, which takes seconds
    from helpers.train import predict_manifest

    check_labels(run, manifest)
    run.best_epoch  # noqa: B018 - raises where no epoch has ended
    model = load_model(run.best_path if epoch is None else run.epoch_path(epoch))
    manifest = manifest.select(list(run.labels.tasks))
    probabilities = predict_manifest(model, manifest)
    return score_manifest(manifest, probabilities), probabilities


def compare_runs(runs: Mapping[str, Run], manifest: Manifest) -> pd.DataFrame:
    """Scores several runs on the same images, each with its best epoch.

    Returns:
        A row for each run: its training `seconds`, the `megabytes` of its model, and for each of
        its tasks the accuracy and the interval in {task}, {task}_low and {task}_high.
    """
    rows = {}
    for name, run in runs.items():
        size = run.best_path.stat().st_size / 1e6
        row = {"seconds": run.log["training_seconds"].sum(), "megabytes": size}
        scores, _ = evaluate(run, manifest)
        for task, score in scores.iterrows():
            row[task] = score.accuracy
            row |= {f"{task}_low": score.accuracy_low, f"{task}_high": score.accuracy_high}
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("helpers.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="the folder of the run")
    parser.add_argument("--manifest", required=True, help="the manifest CSV")
    parser.add_argument("--split", default="test", help="train, validation, test (default) or all")
    parser.add_argument("--epoch", type=int, help="a certain epoch instead of the best")
    parser.add_argument("--classes", action="store_true", help="also score each class")
    parser.add_argument("--json", help="also write the scores to this file")
    arguments = parser.parse_args()

    run = open_run(Path(arguments.run))
    manifest = read_manifest(Path(arguments.manifest), labels=run.labels)
    if arguments.split != "all":
        manifest = manifest.subset(arguments.split)
    scores, probabilities = evaluate(run, manifest, arguments.epoch)
    print(f"{len(manifest):,} images, split {arguments.split}")
    print(scores.round(3).T.to_string())
    for task, values in probabilities.items() if arguments.classes else ():
        table = per_class(manifest.targets(task), values, run.labels.tasks[task])
        print(f"\n{task}, the worst recall first")
        print(table.sort_values("recall").round(3).to_string())
    if arguments.json:
        write_json(Path(arguments.json), json.loads(scores.to_json(orient="index")))


if __name__ == "__main__":
    run_command(main)
