"""The command line of a training; the flags of a recipe are made from its fields."""

import argparse
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from helpers.common import describe_bounds, expected
from helpers.manifest import Manifest, check_split, read_manifest, validate
from helpers.train.recipe import RECIPES, Recipe, Stage, change, find_recipe
from helpers.train.runs import can_go_on

RUN = "run"  # the run's folder below that of the checkpoints
EXPORT_SECONDS = 12  # of --minutes: what the export takes on two cores
# What no flag changes: the stages as such, and which of them train towers and heads only.
WITHOUT_FLAG = ("stages", "freeze_backbone")


def recipe_from(arguments: argparse.Namespace) -> Recipe | None:
    """Builds the recipe that file and flags ask for, or None where they ask for nothing."""
    names = {*Stage.model_fields, *Recipe.model_fields}
    changes = {n: v for n, v in vars(arguments).items() if n in names and v is not None}
    if "image_size" in changes:
        height, _, width = changes["image_size"].partition("x")
        if not (height.isdecimal() and width.isdecimal()):
            what = "--image-size such as 160x64 (height x width)"
            raise expected(what, repr(changes["image_size"]), "Correct it.")
        changes["image_size"] = int(height), int(width)
    for name, nothing in (("weights", None), ("sampling", ""), ("planned", "")):
        if changes.get(name) == "none":
            changes[name] = nothing
    if arguments.recipe is None and not changes:
        return None
    recipe = change(find_recipe(arguments.recipe or "street"), **changes)
    planned = [name for name in recipe.planned.split(",") if name not in changes]
    return recipe.replace(planned=",".join(planned))


def build_parser(
    name: str = "helpers.train", in_job: bool = False, checkpoints: Path | None = None
) -> argparse.ArgumentParser:
    """Returns the command line; in a job no flag has to say where manifest and run are."""
    about = "Trains a multi-task network from a manifest and exports the best epoch."
    add = (parser := argparse.ArgumentParser(name, description=about)).add_argument
    add("--manifest", required=not in_job, help="the manifest CSV")
    where = parser.add_mutually_exclusive_group(required=not in_job)
    where.add_argument("--out", help="the folder of the run")
    text = "keep the run below this folder; the same command goes on there after a stop"
    where.add_argument("--checkpoints", default=checkpoints, help=text)
    add("--tasks", help="only these tasks, such as gender,top_color; all by default")
    add("--resume", action="store_true", help="go on after the last whole epoch of --out")
    add("--overwrite", action="store_true", help="replace a run that is in --out")
    add("--no-check", action="store_true", help="do not look at every image first")
    add("--no-export", action="store_true", help="do not export the best epoch at the end")
    add = parser.add_argument_group("recipe").add_argument
    add("--recipe", help=f"{', '.join(RECIPES)}, or a JSON file (default street)")
    for owner in (Recipe().stages[0], Recipe()):
        for name, field in type(owner).model_fields.items():
            if name not in WITHOUT_FLAG:
                number = field.annotation if field.annotation in (int, float) else str
                text = _help(field, getattr(owner, name))
                add(f"--{name.replace('_', '-')}", type=number, help=text)
    return parser


def _help(field: FieldInfo, default: Any) -> str:
    if isinstance(default, tuple):
        default = "x".join(map(str, default))
    notes = [describe_bounds(field), "" if default in ("", None) else f"default {default}"]
    return f"{field.description} ({'; '.join(filter(None, notes))})".replace(" ()", "")


def read_and_check(
    arguments: argparse.Namespace, manifest: Manifest | None = None, whole: bool = True
) -> Manifest:
    """Reads or takes a manifest, and checks it; a `whole` one has examples of every class."""
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
    if arguments.out is not None:
        return Path(arguments.out), arguments.resume
    folder = Path(arguments.checkpoints) / RUN
    return folder, can_go_on(folder) and not arguments.overwrite
