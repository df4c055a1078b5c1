"""Measures a step of every stage of a recipe: how long each takes, and in how much memory.

python -m benchmarks plan NAME --manifest M [--minutes N]
"""

from collections.abc import Callable

import pandas as pd

from benchmarks import measures
from benchmarks.command import shared
from helpers import train
from helpers.manifest import Manifest, read_manifest


def plan(
    recipe: train.Recipe, training: Manifest, measured: Callable = measures.Measured
) -> pd.DataFrame:
    """Measures each stage in a process of its own; the minutes are those without validation."""
    rows = []
    for number, stage in enumerate(recipe.stages, 1):
        one = recipe.replace(stages=(stage,))
        process = measured(measures.training, training, one.to_json(), "random")
        speed, size = process(), "{}x{}".format(*stage.image_size)
        longest = stage.minutes or stage.epochs * len(training) / speed / 60
        rows.append((number, size, speed, longest, process.close()))
    columns = ["stage", "size", "images_per_second", "minutes", "gigabytes"]
    return pd.DataFrame(rows, columns=columns).set_index("stage")


def describe_plan(table: pd.DataFrame) -> str:
    """Returns a table of `plan` as text, with what all stages take together."""
    lines = table.round({"images_per_second": 1, "minutes": 1, "gigabytes": 2}).to_string()
    total, most = table["minutes"].sum(), table["gigabytes"].idxmax()
    lines += f"\nall stages: {total:.0f} minutes at most; most memory in stage {most}. "
    return f"{lines}Less memory: --batch-size divided, and --accumulate multiplied by the same."


FLAGS = {
    "name": {"help": "of a recipe, or a JSON file"},
    **shared("manifest", "minutes"),
}


def run(given) -> None:
    """Measures, and prints."""
    recipe = train.find_recipe(given.name)
    if given.minutes:
        recipe = train.in_minutes(recipe, given.minutes)
    manifest = read_manifest(given.manifest)
    training = manifest.subset("train") if manifest.has_split else manifest
    print(describe_plan(plan(recipe, training)))
