"""Finds a learning rate: trains a few steps, each with a higher rate, and watches the loss.

    python -m helpers.train.rate_test --manifest M --out FOLDER [--recipe NAME] [flags of a recipe]

The learning rate range test (Smith 2017): with too low a rate the loss stays, then it falls, and
with too high a rate it rises. It writes a table and the curve, and proposes a rate.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import (
    artifacts_folder,
    check_file,
    expected,
    number_flag,
    progress_bar,
    run_command,
    write_text,
)
from helpers.manifest import Manifest, read_manifest
from helpers.train.flags import add_recipe_arguments, recipe_from
from helpers.train.recipe import Recipe

LOWEST, HIGHEST = 1e-5, 1.0
STEPS = 100
SMOOTHING = 0.9  # share of the steps before on average that is looked at
DIVERGED = 4.0  # times the lowest loss: the test has seen enough
SAFETY = 3.0  # the rate with the lowest loss, divided by this: at the lowest it is about to rise


def rate_range(
    manifest: Manifest,
    recipe: Recipe | None = None,
    *,
    steps: int = STEPS,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
) -> pd.DataFrame:
    """Trains a new network of a recipe's first stage with a rising rate, until the loss diverges.

    Returns a row for each step: rate, loss, and smooth, a moving average of the losses.
    """
    if not (0 < lowest < highest and steps >= 2):
        found = f"{lowest:g}, {highest:g} and {steps}"
        raise expected("0 < lowest < highest and at least 2 steps", found, "Change them.")
    rows, mean = [], 0.0
    losses = _losses(manifest, recipe or Recipe(), np.geomspace(lowest, highest, steps))
    for number, (rate, loss) in enumerate(losses):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smooth = mean / (1 - SMOOTHING ** (number + 1))
        rows.append((rate, loss, smooth))
        if not math.isfinite(loss) or smooth > DIVERGED * min(row[2] for row in rows):
            break
    return pd.DataFrame(rows, columns=["rate", "loss", "smooth"])


def _losses(manifest: Manifest, recipe: Recipe, rates: np.ndarray) -> Iterator[tuple[float, float]]:
    """Trains a step with each rate; yields rate and loss."""
    from helpers.common import keras
    from helpers.train.stages import compiled_model, recipe_batches, trace_once

    training = manifest.subset("train") if manifest.has_split else manifest
    keras.utils.set_random_seed(recipe.seed)
    model = compiled_model(training, recipe, fixed_rate=True)
    model.optimizer.build(model.trainable_variables)
    batches = recipe_batches(training, recipe)
    trace_once(model, batches)
    iterator = iter(batches)
    for rate in progress_bar(iterable=rates, unit="step", desc="rates"):
        model.optimizer.learning_rate = float(rate)
        model.reset_metrics()  # else the loss would be a mean over the steps
        yield rate, float(model.train_function(iterator)["loss"])


def proposed_rate(table: pd.DataFrame) -> float:
    """Returns the rate for the top of a cycle, from a table of `rate_range`."""
    finite = table[np.isfinite(table["smooth"])]
    return float(finite["rate"][finite["smooth"].idxmin()] / SAFETY)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("helpers.train.rate_test", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="the manifest CSV")
    add("--tasks", help="only these tasks")
    add("--out", type=Path, help="folder of the table and the curve")
    add("--steps", **number_flag("each with a higher rate", 2, 100_000, STEPS))
    add("--lowest", **number_flag("the first step's rate", 1e-12, 1e3, LOWEST))
    add("--highest", **number_flag("the last step's rate", 1e-12, 1e3, HIGHEST))
    add_recipe_arguments(parser.add_argument_group("recipe").add_argument)
    given = parser.parse_args(sys.argv[1:])
    recipe = recipe_from(given)
    manifest = read_manifest(given.manifest, tasks=given.tasks.split(",") if given.tasks else None)
    folder = given.out or artifacts_folder("rate_range")
    curve = folder / "rate_range.png"
    for path in (table_path := folder / "rate_range.csv", curve):
        check_file(path, [given.manifest, *manifest.paths])
    sizes = {"steps": given.steps, "lowest": given.lowest, "highest": given.highest}
    table = rate_range(manifest, recipe, **sizes)
    from helpers.plots import learning_rate_range

    write_text(table_path, table.to_csv(index=False))
    rate = proposed_rate(table)
    learning_rate_range(table, rate).savefig(curve, dpi=150)
    print(f"the curve is in {curve}; propose --learning-rate {rate:.1g}")


if __name__ == "__main__":
    run_command(main)
