"""One of the hosts of tests/test_distributed.py: python -m tests.worker NAME FOLDER CASE...

It trains the cases one after the other, and leaves its own weights beside each run. The case "job"
goes through the command, as SageMaker calls it; it is killed in its second epoch at first.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

import helpers.model.network
import helpers.pipeline.batches
from helpers.cloud.script import __main__ as train
from helpers.cloud.script import workers as distributed
from helpers.cloud.script.environment import JobEnvironment, read_channels
from helpers.cloud.script.workers import train_stage
from helpers.common import keras, run_command
from tests.conftest import small_recipe, tiny_features, tuned_recipe

NAMES = ("algo-1", "algo-2")
learned: list[Path] = []  # the folder of the run that is trained


def plain_features(x, **_):
    """A backbone without BatchNormalization: two hosts can then do exactly what one does."""
    x = helpers.model.network.layers.Conv2D(6, 3, strides=2, activation="relu")(x)
    return helpers.model.network.layers.AveragePooling2D(2)(x)


def exact_recipe(**changes):
    """Three steps, each of all 27 images, with nothing that is random."""
    exact = {"batch_size": 27, "augmentation": "none", "tower": 0, "dropout": 0.0, "ema": 0.5}
    return small_recipe(**{**exact, "task_weights": "top_color=2", **changes})


CASES = {  # recipe, backbone
    "exact": (exact_recipe(class_weights="balanced"), plain_features),
    "uncertainty": (exact_recipe(task_weights="uncertainty", epochs=2), plain_features),
    "whole": (small_recipe(), tiny_features),
    "job": (small_recipe(), tiny_features),
    "tuned": (tuned_recipe(epochs=1, repeats=2), tiny_features),
    "replicated": (small_recipe(epochs=1, minutes=0.02), tiny_features),
}


def keep_what_is_learned(recipe, stage, training, hosts, *others):
    """Trains a stage, then keeps the weights and the number of images for the test to compare."""
    model = train_stage(recipe, stage, training, hosts, *others)
    values = [keras.ops.convert_to_numpy(v) for v in [*model.weights, *model.optimizer.variables]]
    path = learned[0].parent / f"{learned[0].name}-{hosts.name}.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez(path, len(training), *values)
    return model


def main() -> None:
    """Trains the cases."""
    name, folder, *cases = sys.argv[1:]
    folder = Path(folder)
    helpers.pipeline.batches.load_images.__defaults__ = (folder / "cache",)
    distributed.train_stage = keep_what_is_learned
    data = folder / name
    job = JobEnvironment(training=data / "training", validation=data / "validation")
    manifest, whole = read_channels(job), read_channels(JobEnvironment(training=folder / "people"))
    hosts = distributed.Hosts(NAMES, name)
    for case in cases:
        recipe, helpers.model.network.street_features = CASES[case]
        if case == "job":
            learned[:] = [data / "checkpoints/run"]
            train_as_job(data, name, recipe, hosts)
            return
        rows = whole if case == "replicated" else manifest
        learned[:] = [folder / case]
        run = distributed.train_on_hosts(rows, folder / case, recipe, hosts)
        print(f"{case}: {'the run' if run else 'no run'}", flush=True)


def train_as_job(data: Path, name: str, recipe, hosts: distributed.Hosts) -> None:
    """Runs the command with the variables of a job, whose checkpoints are in `data`."""
    (data / "recipe.json").write_text(json.dumps(recipe.to_json()))
    os.environ |= {
        "SM_CHANNEL_TRAINING": str(data / "training"),
        "SM_CHANNEL_VALIDATION": str(data / "validation"),
        "SM_MODEL_DIR": str(data / "model"),
        "SM_CHECKPOINT_DIR": str(data / "checkpoints"),
        "SM_HOSTS": json.dumps(NAMES),
        "SM_CURRENT_HOST": name,
        "SM_HPS": json.dumps({"recipe": str(data / "recipe.json"), "no_check": True}),
    }
    if not (data / "interrupted").exists():
        (data / "interrupted").touch()
        die_in_the_second_epoch()
    distributed.Hosts = lambda *_: hosts  # a process can have but one
    sys.argv = ["train"]
    train.main()


def die_in_the_second_epoch() -> None:
    """Lets the machine be taken away in the middle of an epoch."""
    steps = []

    def die(self, batch, logs=None):
        steps.append(batch)
        if len(steps) == 6:
            os.kill(os.getpid(), signal.SIGKILL)

    distributed.Follow.on_train_batch_end = die


if __name__ == "__main__":
    run_command(main)
