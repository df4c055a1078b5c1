"""Scores a run on a split of a manifest.

python -m helpers.evaluate --run RUN --manifest M [--split test] [--classes] [--json scores.json]
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import check_file, number_flag, run_command, write_json
from helpers.manifest import Manifest, read_manifest
from helpers.scores import per_class, score_manifest
from helpers.train import Run, check_labels, open_run


def evaluate(
    run: Run, manifest: Manifest, epoch: int | None = None
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Scores a run's best model, or that of one epoch (counted from 1), on a whole manifest.

    Returns the table of `helpers.scores.score_manifest`, and for each task of the run the
    probabilities, float32 (images, classes).
    """
    from helpers.train import predict_manifest  # imports TensorFlow, which takes seconds

    check_labels(run, manifest)
    model = run.load_predictor(epoch)
    manifest = manifest.select(list(run.labels.tasks))
    probabilities = predict_manifest(model, manifest)
    return score_manifest(manifest, probabilities), probabilities


def compare_runs(runs: Mapping[str, Run], manifest: Manifest) -> pd.DataFrame:
    """Scores the best epochs of several runs on the same images, a row for each run.

    It has the `seconds` of training, the `megabytes` of the model, and for each task the accuracy
    and its interval in {task}, {task}_low and {task}_high.
    """
    rows = {}
    for name, run in runs.items():
        size = run.best_path.stat().st_size / 1e6
        rows[name] = {"seconds": run.log["training_seconds"].sum(), "megabytes": size}
        for task, score in evaluate(run, manifest)[0].iterrows():
            low, high = score.accuracy_low, score.accuracy_high
            rows[name] |= {task: score.accuracy, f"{task}_low": low, f"{task}_high": high}
    return pd.DataFrame.from_dict(rows, orient="index")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("helpers.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="the folder of the run")
    parser.add_argument("--manifest", required=True, help="the manifest CSV")
    parser.add_argument("--split", default="test", help="train, validation, test (default) or all")
    parser.add_argument("--epoch", **number_flag("a certain one instead of the best", 1, 999_999))
    parser.add_argument("--classes", action="store_true", help="also score each class")
    parser.add_argument("--json", help="also write the scores to this file")
    arguments = parser.parse_args()

    run = open_run(Path(arguments.run))
    manifest = read_manifest(Path(arguments.manifest), labels=run.labels)
    if arguments.json:
        kept = [path for path in run.folder.iterdir() if path.name != "scores.json"]
        check_file(arguments.json, [arguments.manifest, *kept, *manifest.paths])
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
