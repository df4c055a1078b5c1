"""Measures a step of every stage of a recipe: how long each takes, and in how much memory.

    python -m benchmarks plan NAME --manifest M [--minutes N] [--scale F]

Where memory is short: --batch-size divided, and --accumulate multiplied by the same.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks import until_core
from benchmarks.command import add_shared
from benchmarks.processes import Measured
from helpers import train
from helpers.manifest import Manifest, read_manifest


def stage_step(manifest: Manifest, recipe: dict) -> Callable[[], float]:
    """Makes steps of a recipe's first stage; returns the seconds of one, the median of three.

    On random pixels: what a step costs does not depend on them, and nothing has to be decoded.
    """
    plan = train.Recipe.from_json(recipe)
    stage, rng = plan.stages[0], np.random.default_rng(0)
    network = until_core.compiled_model(manifest, plan)
    pixels = rng.integers(0, 256, (stage.batch_size, *stage.image_size, 3), np.uint8)
    tasks = manifest.labels.tasks.items()
    targets = {task: rng.integers(0, len(names), stage.batch_size) for task, names in tasks}

    def seconds() -> float:
        start = time.perf_counter()
        network.train_on_batch(pixels, targets)
        return time.perf_counter() - start

    seconds()  # traces
    return lambda: float(np.median([seconds() for _ in range(3)]))


def plan(
    recipe: train.Recipe, training: Manifest, measured: Callable[..., Measured] = Measured
) -> pd.DataFrame:
    """Measures each stage in a process of its own, and says what to expect.

    Returns:
        A row for each stage: size, pictures_per_second, minutes (of all its epochs, validation
        left out) and gigabytes (the most memory of the process).
    """
    pictures, rows, plain = len(training), [], recipe.to_json()
    for number, stage in enumerate(recipe.stages):
        process = measured(stage_step, training, {**plain, "stages": plain["stages"][number:][:1]})
        speed = stage.batch_size / process()
        height, width = stage.image_size
        longest = stage.minutes or stage.epochs * pictures / speed / 60
        rows.append((number + 1, f"{height}x{width}", speed, longest, process.close()))
    columns = ["stage", "size", "pictures_per_second", "minutes", "gigabytes"]
    return pd.DataFrame(rows, columns=columns).set_index("stage")


def describe_plan(table: pd.DataFrame) -> str:
    """Returns a table of `plan` as text, with what all stages take together."""
    lines = table.round({"pictures_per_second": 1, "minutes": 1, "gigabytes": 2}).to_string()
    return (
        f"{lines}\nall stages: {table['minutes'].sum():.0f} minutes at most; most memory in stage "
        f"{table['gigabytes'].idxmax()}. Less memory: --batch-size divided, and --accumulate "
        "multiplied by the same."
    )


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes."""
    parser.add_argument("name", help="of a recipe, or a JSON file")
    parser.add_argument("--scale", type=float, default=1.0, help="both sides of the images by this")
    add_shared(parser, "manifest", "minutes")


def run(given: argparse.Namespace) -> None:
    """Measures, and prints."""
    recipe = until_core.scaled(train.find_recipe(given.name), given.scale)
    if given.minutes:
        recipe = train.in_minutes(recipe, given.minutes)
    manifest = read_manifest(given.manifest)
    training = manifest.subset("train") if manifest.has_split else manifest
    print(describe_plan(plan(recipe, training)))
