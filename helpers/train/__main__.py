"""Trains a network from a manifest.

    python -m helpers.train --manifest M --out RUN [--epochs N | --minutes N] [--resume]

It trains on the split `train`, validates and saves after every epoch, and exports the best epoch.
A SageMaker job runs `helpers.cloud.script`, which does the same with the job's folders.
"""

import sys
import time

from helpers.common import run_command
from helpers.train.flags import EXPORT_SECONDS, build_parser, read_and_check, recipe_from, where
from helpers.train.runs import check_folder


def main() -> None:
    """Runs the command."""
    began = time.monotonic()
    arguments = build_parser().parse_args(sys.argv[1:])
    # Bad input is found before TensorFlow is imported, which takes seconds.
    recipe = recipe_from(arguments)
    folder, resume = where(arguments)
    inputs = (arguments.manifest, recipe and recipe.weights)
    check_folder(folder, resume, arguments.overwrite, inputs)
    manifest = read_and_check(arguments)
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


if __name__ == "__main__":
    run_command(main)
