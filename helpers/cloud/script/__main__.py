"""Trains a network inside a SageMaker job: `helpers.train` with the job's folders and workers.

SageMaker runs `python -m helpers.cloud.script` on every machine, and says in variables where the
data is and where things go (`environment`). Several machines train one network (`workers`).
"""

import argparse
import sys
import time
from collections.abc import Mapping

from helpers.cloud.script import environment
from helpers.common import run_command
from helpers.manifest import SPLIT, Manifest
from helpers.train import EXPORT_SECONDS, RUN, Run, build_parser, read_and_check, recipe_from, where

IMAGE_FORMATS = ("saved_model", "litert")  # a job's image lacks the packages that ONNX needs


def main() -> None:
    """Runs the command."""
    began = time.monotonic()
    job = environment.JobEnvironment.from_variables()
    how = {"in_job": job.training is not None, "checkpoints": job.checkpoints}
    arguments = build_parser("helpers.cloud.script", **how).parse_args([*job.flags, *sys.argv[1:]])
    recipe = recipe_from(arguments)  # bad input is found before TensorFlow is imported
    tasks = arguments.tasks.split(",") if arguments.tasks else None
    # One worker of several has a part of the images, in which a class may well be missing.
    manifest = None if arguments.manifest is not None else environment.read_channels(job, tasks)
    manifest = read_and_check(arguments, manifest, whole=len(job.hosts) == 1)
    if not (arguments.out or arguments.checkpoints):
        arguments.out = job.output / RUN
    folder, resume = where(arguments)

    def report(row: Mapping[str, float]) -> None:
        print(environment.metric_line(environment.epoch_figures(row, manifest.tasks)), flush=True)

    how = {"resume": resume, "overwrite": arguments.overwrite, "after_epoch": report}
    how |= {"began": began, "afterwards": 0 if arguments.no_export else EXPORT_SECONDS}
    if len(job.hosts) == 1:
        from helpers.train import train

        _finish(train(manifest, folder, recipe, **how), manifest, arguments, job)
        return
    from helpers.cloud.script import workers

    hosts = workers.Hosts(job.hosts, job.host)
    if run := workers.train_on_hosts(manifest, folder, recipe, hosts, **how):
        _finish(run, manifest, arguments, job)
    hosts.wait()  # a worker that left earlier would look like one that failed


def _finish(
    run: Run, manifest: Manifest, arguments: argparse.Namespace, job: environment.JobEnvironment
) -> None:
    """Exports and scores the best epoch."""
    print(f"the best epoch is {run.best_epoch}: {run.best_path}")
    if arguments.no_export:
        return
    from helpers.evaluate import evaluate
    from helpers.predict import FORMATS, export_run

    print(f"exported to {export_run(run, IMAGE_FORMATS if job.model else FORMATS)}")
    if not job.model:  # tried on this machine
        return
    scores = {}
    for split in sorted({"validation", "test"} & set(manifest.frame[SPLIT])):
        scores[split], _ = evaluate(run, manifest.subset(split))
        print(environment.metric_line(environment.score_figures(split, scores[split])))
    environment.write_model(run, scores, job.model)
    print(f"what serving needs is in {job.model}", flush=True)


if __name__ == "__main__":
    run_command(main)
