"""Measures a step of every stage of a recipe, and says how long each takes and in how much memory.

python -m benchmarks.plan NAME --manifest M [--minutes N] [--scale F]
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks import measures
from benchmarks.processes import Measured
from helpers.common import run_command
from helpers.train import Recipe, find_recipe, in_minutes, scaled


def plan(
    recipe: Recipe, data: measures.Data, measured: Callable[..., Measured] = Measured
) -> pd.DataFrame:
    """Measures a step of every stage, each in a process of its own, and says what to expect.

    Args:
        recipe: what is to be trained.
        data: the images to count and the labels.
        measured: makes a process of a measure.

    Returns:
        A row for each stage: size, pictures_per_second, minutes (of all its epochs, validation
        left out) and gigabytes (the most memory of the process).
    """
    pictures, rows = len(data.training()), []
    for number, stage in enumerate(recipe.stages):
        process = measured(measures.stage_step, data, recipe.replace(stages=(stage,)).to_json())
        speed = stage.batch_size / process()
        height, width = stage.image_size
        longest = stage.minutes or stage.epochs * pictures / speed / 60
        rows.append((number + 1, f"{height}x{width}", speed, longest, process.close()))
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
    parser = argparse.ArgumentParser("benchmarks.plan", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of a recipe, or a JSON file")
    parser.add_argument("--manifest", type=Path, required=True, help="the images to count")
    parser.add_argument("--minutes", type=float, help="shorten all stages to so many together")
    parser.add_argument("--scale", type=float, default=1.0, help="both sides of the images by this")
    arguments = parser.parse_args()
    recipe = scaled(find_recipe(arguments.name), arguments.scale)
    if arguments.minutes:
        recipe = in_minutes(recipe, arguments.minutes)
    print(describe_plan(plan(recipe, measures.Data(arguments.manifest))))


if __name__ == "__main__":
    run_command(main)
