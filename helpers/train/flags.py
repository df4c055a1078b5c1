"""The flags of a recipe, and the recipe that they ask for."""

import argparse
import dataclasses

from helpers.common import WorkshopError


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
        A `helpers.train.Recipe`, or None where neither file nor flag asks for one.
    """
    from helpers.train.recipe import Recipe, Stage
    from helpers.train.recipes import change, find_recipe

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
