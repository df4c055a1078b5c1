"""Trains a network from a manifest.

    python -m helpers.train --manifest M --out RUN [--epochs N | --minutes N] [--resume]

It trains on the split `train`, validates and saves after every epoch, and exports the best epoch.
A SageMaker job runs `helpers.cloud.script`, which does the same with the job's folders.
"""

import argparse
import sys
import time
from pathlib import Path

from helpers.common import run_command
from helpers.manifest import Manifest, check_split, read_manifest, validate
from helpers.train.flags import add_recipe_arguments, recipe_from
from helpers.train.runs import can_go_on

RUN = "run"  # the run's folder below that of the checkpoints
EXPORT_SECONDS = 12  # of --minutes: what the export takes on two cores
DESCRIPTION = "Trains a multi-task network from a manifest and exports the best epoch."


def build_parser(
    name: str = "helpers.train", in_job: bool = False, checkpoints: Path | None = None
) -> argparse.ArgumentParser:
    """Returns the command line.

    A job says where manifest and run are, so that no flag has to; `checkpoints` is the default.
    """
    add = (parser := argparse.ArgumentParser(name, description=DESCRIPTION)).add_argument
    add("--manifest", required=not in_job, help="the manifest CSV")
    where = parser.add_mutually_exclusive_group(required=not in_job)
    where.add_argument("--out", help="the folder of the run")
    where.add_argument(
        "--checkpoints",
        default=checkpoints,
        help="keep the run below this folder; the same command goes on there after a stop",
    )
    add("--tasks", help="only these tasks, such as gender,top_color; all by default")
    add("--resume", action="store_true", help="go on after the last whole epoch of --out")
    add("--overwrite", action="store_true", help="replace a run that is in --out")
    add("--no-check", action="store_true", help="do not look at every image first")
    add("--no-export", action="store_true", help="do not export the best epoch at the end")
    group = parser.add_argument_group("recipe")
    add_recipe_arguments(group.add_argument)
    return parser


def main() -> None:
    """Runs the command."""
    began = time.monotonic()
    arguments = build_parser().parse_args(sys.argv[1:])
    # Bad input is found before TensorFlow is imported, which takes seconds.
    recipe = recipe_from(arguments)
    manifest = read_and_check(arguments)
    folder, resume = where(arguments)
    from helpers.predict import FORMATS, export_run
    from helpers.train.loop import train

    run = train(
        manifest,
        folder,
        recipe,
        resume=resume,
        overwrite=arguments.overwrite,
        began=began,
        afterwards=0 if arguments.no_export else EXPORT_SECONDS,
    )
    print(f"the best epoch is {run.best_epoch}: {run.best_path}")
    if not arguments.no_export:
        print(f"exported to {export_run(run, FORMATS)}")


def read_and_check(
    arguments: argparse.Namespace, manifest: Manifest | None = None, whole: bool = True
) -> Manifest:
    """Reads the manifest that the arguments name, or takes `manifest`, and checks it.

    In a `whole` manifest every class must have examples.
    """
    tasks = arguments.tasks.split(",") if arguments.tasks else None
    if arguments.manifest or manifest is None:
        manifest = read_manifest(Path(arguments.manifest), tasks=tasks)
    check_split(manifest)
    if not arguments.no_check:
        for warning in validate(manifest, check_classes=whole):
            print(f"note: {warning}")
    return manifest


def where(arguments: argparse.Namespace) -> tuple[Path, bool]:
    """Returns the folder of the run, and whether to go on with what is there."""
    if arguments.out:
        return Path(arguments.out), arguments.resume
    folder = Path(arguments.checkpoints) / RUN
    return folder, can_go_on(folder) and not arguments.overwrite


if __name__ == "__main__":
    run_command(main)
