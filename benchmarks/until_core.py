"""What `helpers.train` is about to export: goes when it does.

Then `from benchmarks.until_core import` becomes `from helpers.train import`.
"""

import time
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Data(NamedTuple):
    """For `helpers.train.recipes`."""

    manifest: Path
    tasks: list[str] | None = None

    def training(self):
        """Returns the training split."""
        from helpers.manifest import read_manifest

        whole = read_manifest(self.manifest, tasks=self.tasks)
        return whole.subset("train") if whole.has_split else whole


def compiled_model(data, plan, fixed_rate: bool = False):
    """Returns the network of a recipe's first stage, ready to be trained."""
    from helpers.pipeline import steps_per_epoch
    from helpers.train import Run, build_stage_model, change, compile_model

    stage = (change(plan, schedule="constant") if fixed_rate else plan).stages[0]
    model = build_stage_model(Run(Path("unused"), data.labels, plan), stage)
    steps = steps_per_epoch(data, stage.batch_size) * stage.epochs
    compile_model(model, data, plan, stage, steps)
    return model


def recipe_batches(data, plan):
    """Returns the batches of a recipe's first stage."""
    from helpers.model import sampling_chances
    from helpers.pipeline import AUGMENTATIONS, training_batches

    stage = plan.stages[0]
    return training_batches(
        data,
        stage.image_size,
        stage.batch_size,
        augmentation=AUGMENTATIONS[stage.augmentation],
        chances=sampling_chances(data, plan.sampling),
        seed=plan.seed,
    )


def train(manifest, folder, recipe, idea=None, overwrite=False):
    """Trains; here without the idea."""
    from helpers.train import train

    return train(manifest, folder, recipe, overwrite=overwrite)


def stage_step(data, recipe: dict):
    """Makes steps on random pixels, for `helpers.train.recipes --plan`: seconds of a step."""
    from helpers.train import Recipe

    manifest, plan = data.training(), Recipe.from_json(recipe)
    stage, rng = plan.stages[0], np.random.default_rng(0)
    model = compiled_model(manifest, plan)
    pixels = rng.integers(0, 256, (stage.batch_size, *stage.image_size, 3), np.uint8)
    targets = {
        task: rng.integers(0, len(classes), stage.batch_size)
        for task, classes in manifest.labels.tasks.items()
    }

    def seconds() -> float:
        start = time.perf_counter()
        model.train_on_batch(pixels, targets)
        return time.perf_counter() - start

    seconds()  # traces
    return lambda: float(np.median([seconds() for _ in range(3)]))
