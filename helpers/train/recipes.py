"""Recipes with a name, and what one does with a recipe: read it as a table, edit it, shorten it.

    python -m helpers.train.recipes NAME [--minutes N] [--scale F] [--out recipe.json]

prints the stages as a table and writes the recipe to a file, which is edited and given to
`helpers.train --recipe recipe.json`. With --plan and --manifest M it measures one step of each
stage, and says how long each takes at most and in how much memory.
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import WorkshopError, read_json, run_command, write_json
from helpers.manifest import did_you_mean
from helpers.train.recipe import RECIPES as PLAIN_RECIPES
from helpers.train.recipe import Recipe, Stage

FROZEN_WORK = 1 / 3  # of a step: no way back through the backbone, which costs twice the way there
SMALLEST_SIDE = 32  # pixels that every network of keras.applications takes

# What the five stages of the published person attributes have in common: a stage ends after 8
# epochs without 1e-3 more, its rate falls by .7 after 3, and rectangles of .01 to .2 of the area
# are erased. Publication gives the rate of the third stage only, and no number of epochs: the
# others have Adam's default rate, and 50 epochs that early stopping cuts short.
_ATTRIBUTES = {
    "epochs": 50,
    "batch_size": 64,
    "learning_rate": 1e-3,
    "schedule": "plateau",
    "augmentation": "erasing",
    "early_stopping": 8,
}
PUBLISHED_ATTRIBUTES = Recipe(
    stages=(
        Stage(**_ATTRIBUTES, image_size=(100, 100)),
        Stage(**_ATTRIBUTES, image_size=(100, 100), freeze_backbone=True),
        Stage(
            **_ATTRIBUTES | {"augmentation": "strong erasing", "learning_rate": 1e-4},
            image_size=(100, 100),
        ),
        Stage(**_ATTRIBUTES, image_size=(200, 200)),
        Stage(**_ATTRIBUTES, image_size=(200, 200), freeze_backbone=True),
    ),
    backbone="DenseNet121",
    pooling="average",
    dropout=0.3,
    weight_decay=0.0,
    pixels="dataset",
    sampling="",
)

RECIPES: dict[str, Recipe] = {
    **PLAIN_RECIPES,
    "published-attributes": PUBLISHED_ATTRIBUTES,
}
COLUMNS = [field.name for field in dataclasses.fields(Stage)]


def find_recipe(name: str) -> Recipe:
    """Returns a recipe by its name in `RECIPES`, or from a JSON file.

    Raises:
        WorkshopError: neither a name nor a file with a recipe.
    """
    if name in RECIPES:
        return RECIPES[name]
    try:
        return Recipe.from_json(read_json(Path(name)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = did_you_mean(name, RECIPES) if not name.endswith(".json") else ""
        raise WorkshopError(
            f"expected a recipe of {', '.join(RECIPES)}, or one in JSON, as run.json holds one; "
            f"found {error} in {name}. {hint}Copy the recipe of a run and change that."
        ) from error


def as_table(recipe: Recipe) -> pd.DataFrame:
    """Returns the stages as a table to read and to edit: a row for each, numbered from 1."""
    rows = [vars(stage) for stage in recipe.stages]
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="stage"), columns=COLUMNS)


def with_stages(recipe: Recipe, table: pd.DataFrame) -> Recipe:
    """Returns the recipe with the stages of an edited table of `as_table`.

    Raises:
        WorkshopError: a column that no stage has, or a value that makes no sense.
    """
    unknown = sorted(set(table.columns) - set(COLUMNS))
    if unknown:
        raise WorkshopError(
            f"expected columns of a stage ({', '.join(COLUMNS)}), found {', '.join(unknown)}. "
            "Rename or drop them."
        )
    # numpy's numbers are none for JSON
    rows = [
        {name: getattr(value, "item", lambda value=value: value)() for name, value in row.items()}
        for row in table.to_dict("records")
    ]
    return dataclasses.replace(recipe, stages=tuple(Stage(**row) for row in rows))


def change(recipe: Recipe, **changes) -> Recipe:
    """Returns the recipe with some fields changed; those of a stage change in every stage.

    `minutes` is what all stages have together, see `in_minutes`.
    """
    in_stage = {name: changes[name] for name in COLUMNS if name in changes}
    rest = {name: value for name, value in changes.items() if name not in in_stage}
    minutes = in_stage.pop("minutes", None)
    stages = tuple(dataclasses.replace(stage, **in_stage) for stage in recipe.stages)
    recipe = dataclasses.replace(recipe, stages=stages, **rest)
    return recipe if minutes is None else in_minutes(recipe, minutes)


def in_minutes(recipe: Recipe, minutes: float) -> Recipe:
    """Shortens every stage so that all end within some minutes of wall time.

    Each gets the part of the time that it would have with all of its epochs: a stage of large
    pictures more than one of small ones, one with a frozen backbone less.
    """
    shares = shares_of_work(dataclasses.replace(recipe, stages=_without_minutes(recipe)))
    stages = (
        dataclasses.replace(stage, minutes=float(minutes * share) if minutes else 0.0)
        for stage, share in zip(recipe.stages, shares)
    )
    return dataclasses.replace(recipe, stages=tuple(stages))


def _without_minutes(recipe: Recipe) -> tuple[Stage, ...]:
    return tuple(dataclasses.replace(stage, minutes=0.0) for stage in recipe.stages)


def scaled(recipe: Recipe, factor: float) -> Recipe:
    """Makes the pictures of every stage smaller or larger: both sides times `factor`."""
    stages = []
    for stage in recipe.stages:
        size = [max(round(side * factor), SMALLEST_SIDE) for side in stage.image_size]
        stages.append(dataclasses.replace(stage, image_size=tuple(size)))
    return dataclasses.replace(recipe, stages=tuple(stages))


def shares_of_work(recipe: Recipe) -> np.ndarray:
    """Returns what part of the whole each stage is, at most: (stages,), which sum to 1.

    By its minutes where all stages have them, else by epochs and pixels.
    """
    if all(stage.minutes for stage in recipe.stages):
        work = np.array([stage.minutes for stage in recipe.stages])
    else:
        work = np.array(
            [
                stage.epochs
                * np.prod(stage.image_size)
                * (FROZEN_WORK if stage.freeze_backbone else 1)
                for stage in recipe.stages
            ]
        )
    return work / work.sum()


def share_done(recipe: Recipe, number: int, epochs: int, seconds: float = 0.0) -> float:
    """Returns how much of a run is behind it, 0 to 1; a stage that ended early counts in full.

    Args:
        recipe: of the run.
        number: of the stage in progress, from 0.
        epochs: of it that have ended.
        seconds: that it has taken, for a stage with `minutes`.
    """
    shares, stage = shares_of_work(recipe), recipe.stages[number]
    own = seconds / (60 * stage.minutes) if stage.minutes else epochs / stage.epochs
    return float(shares[:number].sum() + shares[number] * min(own, 1.0))


def describe_stage(recipe: Recipe, number: int) -> str:
    """Returns a line that says what a stage does: number, size, what is trained, how long."""
    stage = recipe.stages[number]
    height, width = stage.image_size
    long = f"{stage.minutes:.1f} minutes" if stage.minutes else f"at most {stage.epochs} epochs"
    parts = [
        f"stage {number + 1} of {len(recipe.stages)}: {height}x{width}",
        "towers and heads only" if stage.freeze_backbone else "all layers",
        f"augmentation {stage.augmentation}",
        f"rate {stage.learning_rate:g} ({stage.schedule})",
        long,
    ]
    return ", ".join(parts)


def plan(recipe: Recipe, data, measured: Callable | None = None) -> pd.DataFrame:
    """Measures a step of every stage, each in a process of its own, and says what to expect.

    Args:
        recipe: what is to be trained.
        data: a `benchmarks.measures.Data`: the pictures to count and the labels.
        measured: makes a process of a measure; `benchmarks.processes.Measured` where None.

    Returns:
        A row for each stage: size, pictures_per_second, minutes (of all its epochs, validation
        left out) and gigabytes (the most memory of the process).
    """
    from benchmarks import measures
    from benchmarks.processes import Measured

    pictures, rows = len(data.training()), []
    for number, stage in enumerate(recipe.stages):
        one = dataclasses.replace(recipe, stages=(stage,))
        process = (measured or Measured)(measures.stage_step, data, one.to_json())
        speed = stage.batch_size / process()
        height, width = stage.image_size
        longest = stage.minutes or stage.epochs * pictures / speed / 60
        row = (number + 1, f"{height}x{width}", speed, longest, process.close())
        rows.append(row)
    columns = ["stage", "size", "pictures_per_second", "minutes", "gigabytes"]
    return pd.DataFrame(rows, columns=columns).set_index("stage")


def describe_plan(table: pd.DataFrame) -> str:
    """Returns a table of `plan` as text, with what all stages take together."""
    lines = table.round({"pictures_per_second": 1, "minutes": 1, "gigabytes": 2}).to_string()
    most = table["gigabytes"].idxmax()
    return (
        f"{lines}\nall stages: {table['minutes'].sum():.0f} minutes at most; most memory in stage "
        f"{most}. Less memory: --batch-size divided, and --accumulate multiplied by the same."
    )


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("helpers.train.recipes", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("name", help=f"{', '.join(RECIPES)}, or a JSON file")
    add("--minutes", type=float, help="shorten all stages to so many minutes together")
    add("--scale", type=float, default=1.0, help="both sides of the pictures times this")
    add("--out", type=Path, help="write the recipe to this JSON file")
    add("--plan", action="store_true", help="measure a step of each stage; needs --manifest")
    add("--manifest", type=Path, help="the pictures that --plan counts")
    arguments = parser.parse_args()
    if arguments.plan and not arguments.manifest:
        raise WorkshopError("expected --manifest beside --plan, found none. Name the pictures.")
    recipe = scaled(find_recipe(arguments.name), arguments.scale)
    if arguments.minutes:
        recipe = in_minutes(recipe, arguments.minutes)
    shown = recipe.to_json()
    del shown["stages"]
    print(as_table(recipe).T.to_string(), "\n")
    print("\n".join(f"{name:18}{value!r}" for name, value in shown.items()))
    if arguments.out:
        write_json(arguments.out, recipe.to_json())
        print(f"\nwritten to {arguments.out}")
    if arguments.plan:
        from benchmarks.measures import Data

        print(f"\n{describe_plan(plan(recipe, Data(arguments.manifest)))}")


if __name__ == "__main__":
    run_command(main)
