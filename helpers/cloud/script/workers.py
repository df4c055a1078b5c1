"""Trains one network on several workers, each of which reads its own images.

Keras's `fit` fails under `MultiWorkerMirroredStrategy`. So each worker fits a network of its own,
gradients are averaged before every step, and `batch_size` counts the images of all workers: steps,
schedule and loss do not depend on their number. The first worker validates, saves and resumes.

What differs from one machine: BatchNormalization standardizes with the images of its own worker,
as on several GPUs; its moving statistics are averaged after every epoch. Shuffling, augmentation
and dropout draw different random numbers on every worker.
"""

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from helpers import train
from helpers.cloud.script.hosts import Hosts, told_when_lost
from helpers.common import expected, keras
from helpers.manifest import IMAGE, Manifest
from helpers.model import class_counts, compute_sampling_weights
from helpers.pipeline import AUGMENTATIONS, training_batches

LEAST_IMAGES = 2  # of a worker in a step: BatchNormalization learns nothing from one
NEXT_HOST = 1_000_003  # between the seeds of two workers


def train_on_hosts(
    manifest: Manifest,
    folder: Path,
    recipe: train.Recipe | None,
    hosts: Hosts,
    *,
    resume: bool = False,
    overwrite: bool = False,
    began: float | None = None,
    afterwards: float = 0.0,
    after_epoch: Callable[[Mapping[str, float]], None] | None = None,
) -> train.Run | None:
    """Trains one network on several workers; the arguments are those of `helpers.train.train`.

    `manifest` has the training images of this worker, or of all (then each takes its part), and all
    validation images. Only the first worker keeps, resumes and replaces the run, and returns it.
    WorkshopError, on any worker, also for too few images on one, and for one that is lost.
    """
    began = time.monotonic() if began is None else began
    with told_when_lost(hosts):
        run, state = None, None
        if hosts.is_first:
            run, _ = train.open_or_create(manifest, folder, recipe, resume, overwrite)
            state = train.State(run)
        recipe = train.Recipe.from_json(hosts.share(run and run.recipe.to_json()))
        data = manifest.select(hosts.share(run and list(run.labels.tasks)))
        check_stages(recipe)
        training = part_of_host(data, hosts)
        for stage in recipe.stages[hosts.share(state and state.stage) :]:
            last, callbacks, plan = 0, [], None
            if state:
                how = (data.subset("validation"), began, afterwards, after_epoch)
                last, callbacks = train.stage_plan(state, *how)
                plan = [state.epoch if callbacks else last, last]
            train_stage(recipe, stage, training, hosts, state, callbacks, *hosts.share(plan))
            if state:
                state.mark_best()
                state.start_next_stage()
            began = time.monotonic()
    return run


def check_stages(recipe: train.Recipe) -> None:
    """Refuses what only one machine can do."""
    if any(stage.accumulate > 1 for stage in recipe.stages):
        found = "more: there a batch is divided between the hosts already"
        what = "stages with accumulate 1 on several hosts"
        raise expected(what, found, "Leave --accumulate out.")


def part_of_host(manifest: Manifest, hosts: Hosts) -> Manifest:
    """Returns this worker's part of the training images: all of its own, if others have others."""
    training = manifest.subset("train")
    names = [Path(path).name for path in training.frame[IMAGE]]  # wherever a worker has put them
    rows = training.frame.assign(**{IMAGE: names}).to_csv(index=False).encode()
    if np.ptp(hosts.gather([zlib.crc32(rows)])) == 0:
        training = training.rows(np.arange(len(training)) % hosts.count == hosts.number)
    return training


def train_stage(
    recipe: train.Recipe,
    stage: train.Stage,
    training: Manifest,
    hosts: Hosts,
    state: train.State | None,
    callbacks: list[keras.callbacks.Callback],
    epoch: int,
    last: int,
) -> keras.Model:
    """Trains a stage from an epoch to the last; only the first worker has a state and callbacks."""
    steps = agree_on_steps(training, stage, hosts)
    counts = class_counts(training)
    counts = dict(zip(counts, hosts.add(list(counts.values()))))
    keras.utils.set_random_seed(recipe.seed)
    model = train.build_stage_model(training.labels, recipe, stage)
    if state:
        train.start_from_before(model, state, training)
    idea, planned = Shared(hosts), steps * stage.repeats * stage.epochs
    train.compile_model(model, training.labels, counts, recipe, stage, planned, idea)
    model.optimizer.build(model.trainable_variables)
    if state:
        state.restore(model)
    variables = [*model.weights, *model.optimizer.variables]
    assign(variables, hosts.of_first(numbers(variables)))
    average_gradients(model.optimizer, hosts)
    if epoch < last:
        seed = recipe.seed + NEXT_HOST * hosts.number
        how = {"seed": seed, "first_epoch": epoch * stage.repeats, "steps": steps}
        how["sampling_weights"] = compute_sampling_weights(training, recipe.sampling)
        how["augmentation"] = AUGMENTATIONS[stage.augmentation]
        batches = training_batches(training, stage.image_size, stage.batch_size, **how)
        train.trace_once(model, batches)
        how = {"steps_per_epoch": steps * stage.repeats, "shuffle": False, "verbose": 0}
        how["callbacks"] = [Together(hosts, seed), *callbacks, Follow(hosts, stage)]
        model.fit(batches, initial_epoch=epoch, epochs=last, **how)
    return model


def agree_on_steps(training: Manifest, stage: train.Stage, hosts: Hosts) -> int:
    """Returns the steps, as many as on one machine, in which all images come once."""
    sizes = hosts.gather([len(training)])[:, 0].astype(int)
    steps = -(-int(sizes.sum()) // stage.batch_size)
    if sizes.min() < LEAST_IMAGES * steps:
        found = ", ".join(f"{n:,} on {name}" for name, n in zip(hosts.names, sizes))
        what = f"at least {LEAST_IMAGES * steps:,} training images on each host"
        fix = "Write as many shards as hosts, or a multiple, or ask for a larger batch size."
        raise expected(f"{what} ({LEAST_IMAGES} in each of {steps:,} steps)", found, fix)
    if hosts.is_first:
        told = f"{hosts.count} hosts train {sizes.sum():,} images, "
        print(f"{told}{stage.batch_size} in a step of all hosts", flush=True)
    return steps


def average_gradients(optimizer: keras.optimizers.Optimizer, hosts: Hosts) -> None:
    """Lets an optimizer step by the mean gradients of all workers."""
    apply = optimizer.apply

    def apply_mean(gradients: Sequence, variables: Sequence | None = None) -> None:
        apply([total / hosts.count for total in hosts.sums(list(gradients))], variables)

    optimizer.apply = apply_mean  # `fit` offers no other place before the step


class Shared(train.Idea):
    """Gives each worker the loss of all, with the gradient of its own part."""

    def __init__(self, hosts: Hosts):
        self.hosts = hosts

    def loss(self, task: str, loss: keras.losses.Loss, counts: np.ndarray) -> keras.losses.Loss:
        """Returns the loss."""
        loss.mean_over_workers = lambda tensor: self.hosts.sums([tensor])[0] / self.hosts.count
        return loss


class Together(keras.callbacks.Callback):
    """Makes logs and moving statistics those of all workers, for the callbacks that come after."""

    def __init__(self, hosts: Hosts, seed: int):
        super().__init__()
        self.hosts, self.seed, self.figures = hosts, seed, {}

    def on_epoch_begin(self, epoch, logs=None):
        """Seeds dropout."""
        train.seed_dropout(self.model, self.seed, epoch)

    def on_train_batch_end(self, batch, logs=None):
        """Puts the means over the images of all workers into the logs."""
        variables = self.model.metrics_variables
        own = numbers(variables)
        assign(variables, self.hosts.add(own))
        self.figures = {name: float(x) for name, x in self.model.get_metrics_result().items()}
        assign(variables, own)
        logs.update(self.figures)

    def on_epoch_end(self, epoch, logs=None):
        """Averages the moving statistics."""
        weights = self.model.non_trainable_weights
        if weights:
            sums = self.hosts.add(numbers(weights))
            assign(weights, [total / self.hosts.count for total in sums])
        logs.update(self.figures)


class Follow(keras.callbacks.Callback):
    """Takes over the first worker's learning rate, and stops when it does; comes last."""

    def __init__(self, hosts: Hosts, stage: train.Stage):
        super().__init__()
        self.hosts, self.has_clock = hosts, stage.minutes > 0
        self.rate_is_planned = callable(train.learning_rate(stage, 1))

    def on_train_batch_begin(self, batch, logs=None):
        """Follows the clock, which sets the rate before a step, and may stop after any."""
        if self.has_clock:
            self.on_epoch_end(0)

    on_train_batch_end = on_train_batch_begin

    def on_epoch_end(self, epoch, logs=None):
        """Follows."""
        (rate,) = numbers([self.model.optimizer.learning_rate])
        ((stop, rate),) = self.hosts.of_first([np.array([self.model.stop_training, rate], float)])
        self.model.stop_training = bool(stop)
        if not self.rate_is_planned:
            self.model.optimizer.learning_rate = float(rate)


def numbers(variables: Sequence[keras.Variable]) -> list[np.ndarray]:
    """Returns the values of variables."""
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Gives variables values of any type."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(np.asarray(value).astype(variable.dtype))
