"""Trains a network from a manifest.

    python -m helpers.train --manifest M --out RUN [--epochs N | --minutes N] [--resume]

It trains on the split `train`, validates and saves after every epoch, and exports the best epoch.
A SageMaker job runs the same command, without --manifest and --out: see `helpers.job`. On several
machines it trains one network with all of them: see `helpers.distributed`.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from helpers.errors import WorkshopError, run_command
from helpers.job import (
    RUN,
    Job,
    can_go_on,
    metric_line,
    read_channels,
    score_figures,
    tidy_arguments,
    write_model,
)
from helpers.labels import SPLIT
from helpers.manifest import Manifest, check_split, read_manifest, validate
from helpers.runs import Run

EXPORT_SECONDS = 12  # of --minutes: what the export takes on two cores
JOB_FORMATS = ("saved_model", "litert")  # a job's image lacks the packages that ONNX needs
DESCRIPTION = "Trains a multi-task network from a manifest and exports the best epoch."


def build_parser(job: Job | None = None) -> argparse.ArgumentParser:
    """Returns the command line; what a job says needs no flag."""
    job = job or Job()
    add = (parser := argparse.ArgumentParser("helpers.train", description=DESCRIPTION)).add_argument
    add("--manifest", required=job.training is None, help="the manifest CSV")
    where = parser.add_mutually_exclusive_group(required=job.run_folder is None)
    where.add_argument("--out", help="the folder of the run")
    where.add_argument(
        "--checkpoints",
        default=job.checkpoints,
        help="keep the run below this folder; the same command goes on there after a stop",
    )
    add("--tasks", help="only these tasks, such as gender,top_color; all by default")
    add("--resume", action="store_true", help="go on after the last whole epoch of --out")
    add("--overwrite", action="store_true", help="replace a run that is in --out")
    add("--no-check", action="store_true", help="do not look at every picture first")
    add("--no-export", action="store_true", help="do not export the best epoch at the end")
    group = parser.add_argument_group("recipe")
    add_recipe_arguments(group.add_argument)
    return parser


def add_recipe_arguments(add) -> None:
    """Adds the flags that `recipe_from` reads; `add` is a parser's `add_argument`."""
    add(
        "--recipe",
        help="street (default), signs, lenet, published, published-attributes, or a JSON file",
    )
    add("--epochs", type=int, help="epochs of each stage (default 10)")
    add("--minutes", type=float, help="train by the clock: end all stages after so many minutes")
    add("--image-size", help="height x width in pixels, such as 160x64 (the default)")
    add("--batch-size", type=int, help="pictures in a step (default 32)")
    add("--learning-rate", type=float, help="the highest rate (default 0.003)")
    add("--schedule", help="one-cycle (default), cyclic, cosine, plateau or constant")
    add(
        "--augmentation", help="none, flip, standard (default), strong, signs, erasing, randaugment"
    )
    add("--mix", help="none (default), mixup or cutmix")
    add("--accumulate", type=int, help="batches whose gradients make one step (default 1)")
    add("--early-stopping", type=int, help="end after so many epochs without progress; 0 never")
    add("--backbone", help="street (default), residual, dense, sign, lenet, or a name of keras")
    add("--weights", help="none (default), imagenet, or a saved .keras model")
    add("--pooling", help="average, max, stripes, flat, joined by + (default the first three)")
    add("--pixels", help="fixed scaling (default), or dataset: mean and deviation of train")
    add("--normalization", help="batch (default) or group")
    add("--initialization", help="glorot_uniform (default), he_normal, lecun_normal, orthogonal")
    add("--tower", type=int, help="units of the hidden layer before each head (default 128)")
    add("--dropout", type=float, help="share of units dropped before each head (default 0.2)")
    add("--ema", type=float, help="momentum of the moving average of the weights; 0 for none")
    add("--label-smoothing", type=float, help="share of a label spread over all classes")
    add("--class-weights", help="none (default) or balanced")
    add("--focal", type=float, help="exponent of the focal loss, such as 2; 0 for none")
    add("--logit-adjustment", type=float, help="1 scores rare classes as if they were not; 0 none")
    add("--sampling", help="groups (default), none (each picture once), rarest, or a task")
    add("--task-weights", help="uncertainty, gradients, or such as gender=1,*=0.5 (* all others)")
    add("--seed", type=int, help="of initial weights, order and augmentation (default 0)")


def recipe_from(arguments: argparse.Namespace):
    """Builds the recipe: the file's or the default, changed by the flags that were given.

    Returns:
        A `helpers.recipe.Recipe`, or None where neither file nor flag asks for one.
    """
    from helpers.recipe import Recipe, Stage
    from helpers.recipes import change, find_recipe

    given = {name: value for name, value in vars(arguments).items() if value is not None}
    if "image_size" in given:
        given["image_size"] = _parse_size(given["image_size"])
    if given.get("weights") == "none":
        given["weights"] = None
    if given.get("sampling") == "none":
        given["sampling"] = ""
    names = {f.name for part in (Stage, Recipe) for f in dataclasses.fields(part)}
    changes = {name: value for name, value in given.items() if name in names}
    if arguments.recipe is None and not changes:
        return None
    return change(find_recipe(arguments.recipe or "street"), **changes)


def _parse_size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise WorkshopError(
            f"expected --image-size such as 160x64 (height x width), found {text!r}"
        )
    return int(height), int(width)


def parse_arguments(job: Job, arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line of a person or of a job."""
    parser = build_parser(job)
    switches = [a.option_strings[-1] for a in parser._actions if a.nargs == 0]
    return parser.parse_args(tidy_arguments([*job.flags, *arguments], switches))


def main() -> None:
    """Runs the command."""
    began = time.monotonic()
    job = Job.from_environment()
    arguments = parse_arguments(job, sys.argv[1:])
    # Bad input is found before TensorFlow is imported, which takes seconds.
    recipe = recipe_from(arguments)
    manifest = _read(arguments, job)
    folder, resume = _where(arguments, job)
    how = {
        "resume": resume,
        "overwrite": arguments.overwrite,
        "began": began,
        "afterwards": 0 if arguments.no_export else EXPORT_SECONDS,
    }
    if len(job.hosts) == 1:
        from helpers.training import train

        _finish(train(manifest, folder, recipe, **how), manifest, arguments, job)
        return
    from helpers.distributed import Hosts, train_on_hosts

    hosts = Hosts(job.hosts, job.host)
    run = train_on_hosts(manifest, folder, recipe, hosts, **how)
    if run:
        _finish(run, manifest, arguments, job)
    hosts.wait()  # a host that left earlier would look like one that failed


def _read(arguments: argparse.Namespace, job: Job) -> Manifest:
    """Reads and checks the manifest: the one that is named, or that of the job's channels."""
    tasks = arguments.tasks.split(",") if arguments.tasks else None
    if arguments.manifest:
        manifest = read_manifest(Path(arguments.manifest), tasks=tasks)
    else:
        manifest = read_channels(job, tasks)
    check_split(manifest)
    if not arguments.no_check:
        # One host of several has a part of the pictures, in which a class may well be missing.
        for warning in validate(manifest, check_classes=len(job.hosts) == 1):
            print(f"note: {warning}")
    return manifest


def _where(arguments: argparse.Namespace, job: Job) -> tuple[Path, bool]:
    """Returns the folder of the run, and whether to go on with what is there."""
    if arguments.out:
        return Path(arguments.out), arguments.resume
    if not arguments.checkpoints:
        return job.run_folder, arguments.resume
    folder = Path(arguments.checkpoints) / RUN
    if job.host != job.hosts[0]:  # the first host keeps the run
        return folder, False
    return folder, can_go_on(folder) and not arguments.overwrite


def _finish(run: Run, manifest: Manifest, arguments: argparse.Namespace, job: Job) -> None:
    """Exports the best epoch; in a job, also scores it and puts what serving needs in place."""
    print(f"the best epoch is {run.best_epoch}: {run.best_path}")
    if arguments.no_export:
        return
    from helpers.evaluate import evaluate
    from helpers.serving import FORMATS, export_run

    print(f"exported to {export_run(run, JOB_FORMATS if job.model else FORMATS)}")
    if job.model:
        scores = {}
        for split in sorted({"validation", "test"} & set(manifest.frame[SPLIT])):
            scores[split], _ = evaluate(run, manifest.subset(split))
            print(metric_line(score_figures(split, scores[split])))
        write_model(run, scores, job.model)
        print(f"what serving needs is in {job.model}", flush=True)


if __name__ == "__main__":
    run_command(main)
