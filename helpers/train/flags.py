"""The flags of a recipe, made from its fields, and the recipe that they ask for."""

import argparse
from collections.abc import Callable
from typing import Any

from helpers.common import WorkshopError
from helpers.train.recipe import Recipe, Stage
from helpers.train.recipes import RECIPES, change, find_recipe

# What no flag changes: the stages as such, and which of them train towers and heads only.
WITHOUT_FLAG = ("stages", "freeze_backbone")


def add_recipe_arguments(add: Callable[..., Any]) -> None:
    """Adds the flags that `recipe_from` reads; `add` is a parser's `add_argument`."""
    add("--recipe", help=f"{', '.join(RECIPES)}, or a JSON file (default street)")
    default = Recipe()
    for owner in (default.stages[0], default):
        for name, field in type(owner).model_fields.items():
            if name not in WITHOUT_FLAG:
                number = field.annotation if field.annotation in (int, float) else str
                text = f"{field.description}{_shown(getattr(owner, name))}"
                add(f"--{name.replace('_', '-')}", type=number, help=text)


def _shown(default: Any) -> str:
    if default in ("", None):
        return ""
    shown = "x".join(map(str, default)) if isinstance(default, tuple) else default
    return f" (default {shown})"


def recipe_from(arguments: argparse.Namespace) -> Recipe | None:
    """Builds the recipe: the file's or the default, changed by the flags that were given.

    Returns:
        None where neither file nor flag asks for one.
    """
    names = {*Stage.model_fields, *Recipe.model_fields}
    changes = {n: v for n, v in vars(arguments).items() if n in names and v is not None}
    if "image_size" in changes:
        changes["image_size"] = _parse_size(changes["image_size"])
    for name, nothing in (("weights", None), ("sampling", "")):
        if changes.get(name) == "none":
            changes[name] = nothing
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
