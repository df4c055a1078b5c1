"""Scores a run on a split of a manifest.

python -m helpers.evaluate --run RUN --manifest M [--split test] [--json scores.json]
"""

import argparse
import json
from pathlib import Path

from helpers.errors import run_command


def evaluate(run, manifest, epoch: int | None = None):
    """Scores a run's best model, or that of one epoch, on every row of a manifest.

    Args:
        run: a `helpers.runs.Run`.
        manifest: the pictures and their labels; the tasks that the run does not know are left.
        epoch: counted from 1; the best where None.

    Returns:
        The scores, a table with a row for each task (see `helpers.metrics.score_manifest`), and
        the probabilities, a dict from task to float32 (pictures, classes).

    Raises:
        WorkshopError: the manifest has other labels than the run, or there is no such epoch.
    """
    from helpers.metrics import score_manifest
    from helpers.model import load_model
    from helpers.runs import check_labels
    from helpers.training import predict_manifest

    check_labels(run, manifest)
    run.best_epoch  # noqa: B018 - raises where no epoch has ended
    model = load_model(run.best_path if epoch is None else run.epoch_path(epoch))
    manifest = manifest.select(list(run.labels.tasks))
    probabilities = predict_manifest(model, manifest)
    return score_manifest(manifest, probabilities), probabilities


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("helpers.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="the folder of the run")
    parser.add_argument("--manifest", required=True, help="the manifest CSV")
    parser.add_argument("--split", default="test", help="train, validation, test (default) or all")
    parser.add_argument("--epoch", type=int, help="a certain epoch instead of the best")
    parser.add_argument("--json", help="also write the scores to this file")
    arguments = parser.parse_args()

    from helpers.files import write_json
    from helpers.manifest import read_manifest
    from helpers.runs import open_run

    run = open_run(Path(arguments.run))
    manifest = read_manifest(Path(arguments.manifest), labels=run.labels)
    if arguments.split != "all":
        manifest = manifest.subset(arguments.split)
    scores, _ = evaluate(run, manifest, arguments.epoch)
    print(f"{len(manifest):,} pictures, split {arguments.split}")
    print(scores.round(3).T.to_string())
    if arguments.json:
        write_json(Path(arguments.json), json.loads(scores.to_json(orient="index")))


if __name__ == "__main__":
    run_command(main)
