"""Trains a network from a manifest.

    python -m helpers.train --manifest M --out RUN [--epochs N | --minutes N] [--resume]

It trains on the split `train`, validates and saves after every epoch, and exports the best epoch.
"""

import argparse
import dataclasses
import os
import time
from pathlib import Path

from helpers.errors import WorkshopError, run_command

EXPORT_SECONDS = 12  # of --minutes: what the export takes on two cores
DESCRIPTION = "Trains a multi-task network from a manifest and exports the best epoch."


def build_parser() -> argparse.ArgumentParser:
    """Returns the command line; a SageMaker job's folders are the defaults where they are set."""
    channel = os.environ.get("SM_CHANNEL_TRAINING")
    add = (parser := argparse.ArgumentParser("helpers.train", description=DESCRIPTION)).add_argument
    manifest = f"{channel}/manifest.csv" if channel else None
    add("--manifest", default=manifest, required=manifest is None, help="the manifest CSV")
    out = os.environ.get("SM_MODEL_DIR")
    add("--out", default=out, required=out is None, help="the folder of the run")
    add("--tasks", help="only these tasks, such as gender,top_color; all by default")
    add("--resume", action="store_true", help="go on after the last whole epoch of --out")
    add("--overwrite", action="store_true", help="replace a run that is in --out")
    add("--no-check", action="store_true", help="do not look at every picture first")
    add("--no-export", action="store_true", help="do not export the best epoch at the end")
    group = parser.add_argument_group("recipe")
    _add_recipe_arguments(group.add_argument)
    return parser


def _add_recipe_arguments(add) -> None:
    add(
        "--recipe",
        help="street (default), signs, lenet, published, or a JSON file; the flags below change it",
    )
    add("--epochs", type=int, help="epochs of the first stage (default 10)")
    add("--minutes", type=float, help="train by the clock: end after so many minutes")
    add("--image-size", help="height x width in pixels, such as 160x64 (the default)")
    add("--batch-size", type=int, help="pictures in a step (default 32)")
    add("--learning-rate", type=float, help="the highest rate (default 0.003)")
    add("--schedule", help="one-cycle (default), cosine, plateau or constant")
    add("--augmentation", help="none, flip, standard (default), strong or signs")
    add("--early-stopping", type=int, help="end after so many epochs without progress; 0 never")
    add("--backbone", help="street (default), sign, lenet, or a name of keras.applications")
    add("--weights", help="none (default), imagenet, or a saved .keras model")
    add("--pooling", help="average, max, stripes, flat, joined by + (default the first three)")
    add("--dropout", type=float, help="share of units dropped before each head (default 0.2)")
    add("--ema", type=float, help="momentum of the moving average of the weights; 0 for none")
    add("--label-smoothing", type=float, help="share of a label spread over all classes")
    add("--class-weights", help="none (default) or balanced")
    add("--task-weights", help="uncertainty, or such as gender=1,top_color=2")
    add("--seed", type=int, help="of initial weights, order and augmentation (default 0)")


def recipe_from(arguments: argparse.Namespace):
    """Builds the recipe: the file's or the default, changed by the flags that were given.

    Returns:
        A `helpers.recipe.Recipe`, or None where neither file nor flag asks for one.
    """
    from helpers.files import read_json
    from helpers.recipe import RECIPES, Recipe, Stage

    given = {name: value for name, value in vars(arguments).items() if value is not None}
    if "image_size" in given:
        given["image_size"] = _parse_size(given["image_size"])
    if given.get("weights") == "none":
        given["weights"] = None
    in_stage = {f.name for f in dataclasses.fields(Stage)} & set(given)
    in_recipe = {f.name for f in dataclasses.fields(Recipe)} & set(given)
    if arguments.recipe is None and not in_stage and not in_recipe:
        return None
    recipe = RECIPES.get(arguments.recipe, Recipe())
    if arguments.recipe is not None and arguments.recipe not in RECIPES:
        try:
            recipe = Recipe.from_json(read_json(Path(arguments.recipe)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WorkshopError(
                f"expected a recipe of {', '.join(RECIPES)}, or one in JSON as in run.json, "
                f"found {error} in {arguments.recipe}. Copy the recipe of a run and change that."
            ) from error
    first = dataclasses.replace(recipe.stages[0], **{name: given[name] for name in in_stage})
    changes = {name: given[name] for name in in_recipe}
    return dataclasses.replace(recipe, stages=(first, *recipe.stages[1:]), **changes)


def _parse_size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise WorkshopError(
            f"expected --image-size such as 160x64 (height x width), found {text!r}"
        )
    return int(height), int(width)


def main() -> None:
    """Runs the command."""
    began = time.monotonic()
    arguments = build_parser().parse_args()
    # Bad input is found before TensorFlow is imported, which takes seconds.
    from helpers.manifest import check_split, read_manifest, validate

    recipe = recipe_from(arguments)
    tasks = arguments.tasks.split(",") if arguments.tasks else None
    manifest = read_manifest(Path(arguments.manifest), tasks=tasks)
    check_split(manifest)
    if not arguments.no_check:
        for warning in validate(manifest):
            print(f"note: {warning}")

    from helpers.training import train

    run = train(
        manifest,
        Path(arguments.out),
        recipe,
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        began=began,
        afterwards=0 if arguments.no_export else EXPORT_SECONDS,
    )
    print(f"the best epoch is {run.best_epoch}: {run.best_path}")
    if not arguments.no_export:
        from helpers.serving import export_run

        print(f"exported to {export_run(run)}")


if __name__ == "__main__":
    run_command(main)
