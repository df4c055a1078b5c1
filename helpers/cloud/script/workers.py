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
import pandas as pd

from helpers import train
from helpers.cloud.script.hosts import Hosts, told_when_lost
from helpers.common import expected, keras, tf
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

    Raises:
        WorkshopError: what `train` raises, on any worker; too few images on one; different
            validation images on another; a worker that is lost.
    """
    began = time.monotonic() if began is None else began
    with told_when_lost(hosts):
        how = {"resume": resume, "overwrite": overwrite}
        run, state, data = _open(manifest, Path(folder), recipe, hosts, **how)
        parts = part_of_host(data, hosts)
        stages = run.recipe.stages
        for number in range(hosts.share(state and state.stage), len(stages)):
            clock = None
            if state and stages[number].minutes:
                kept = afterwards if number + 1 == len(stages) else 0.0
                clock = train.Clock(stages[number], began, state.seconds, kept)
            train_stage(run, stages[number], hosts, state, clock, *parts, after_epoch)
            began = time.monotonic()
    return run if hosts.is_first else None


def _open(
    manifest: Manifest, folder: Path, recipe: train.Recipe | None, hosts: Hosts, **how: bool
) -> tuple[train.Run, train.State | None, Manifest]:
    """Opens the run on the first worker, and sends its recipe and tasks to the others."""
    run, state = None, None
    with hosts.all_or_none():
        if hosts.is_first:
            run, _ = train.open_or_create(manifest, folder, recipe, **how)
            state = train.State(run)
    recipe = train.Recipe.from_json(hosts.share(run and run.recipe.to_json()))
    data = manifest.select(hosts.share(run and list(run.labels.tasks)))
    if any(stage.accumulate > 1 for stage in recipe.stages):
        found = "more: there a batch is divided between the hosts already"
        what = "stages with accumulate 1 on several hosts"
        raise expected(what, found, "Leave --accumulate out.")
    return run or train.Run(folder, data.labels, recipe), state, data


def part_of_host(manifest: Manifest, hosts: Hosts) -> tuple[Manifest, Manifest]:
    """Returns this worker's part of the training images, and all validation images."""
    with hosts.all_or_none():
        training, validation = manifest.subset("train"), manifest.subset("validation")
    digests = hosts.gather([_digest(training), _digest(validation)])
    same_training, same_validation = (digests == digests[0]).all(axis=0)
    if not same_validation:
        fix = "Put them into a channel `validation` that every host gets whole (FullyReplicated)."
        what = "the same validation images on every host"
        raise expected(what, "others", fix, where=hosts.name)
    if same_training:
        training = training.rows(np.arange(len(training)) % hosts.count == hosts.number)
    return training, validation


def _digest(manifest: Manifest) -> int:
    """Identifies rows, wherever the worker has put their images."""
    names = [Path(path).name for path in manifest.frame[IMAGE]]
    return zlib.crc32(manifest.frame.assign(**{IMAGE: names}).to_csv(index=False).encode())


class SharedLoss(keras.losses.Loss):
    """A task's loss over the batch of all workers, with the gradient of this worker's part."""

    def __init__(self, loss: keras.losses.Loss, hosts: Hosts):
        super().__init__(name=loss.name, reduction="none")
        self.loss, self.hosts = loss, hosts
        loss.mean_over_workers = hosts.mean

    def call(self, targets, probabilities):
        """Returns a scalar; the arguments are those of the task's loss."""
        loss = self.loss(targets, probabilities)
        return loss + tf.stop_gradient(self.hosts.mean(loss) - loss)


class Shared(train.Idea):
    """Changes what a network of one worker is trained with to what several share."""

    def __init__(self, hosts: Hosts):
        self.hosts = hosts

    def loss(self, task: str, loss: keras.losses.Loss, counts: np.ndarray) -> keras.losses.Loss:
        """Returns the loss of all workers."""
        return SharedLoss(loss, self.hosts)


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
            assign(
                weights, [total / self.hosts.count for total in self.hosts.add(numbers(weights))]
            )
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


def train_stage(
    run: train.Run,
    stage: train.Stage,
    hosts: Hosts,
    state: train.State | None,
    clock: train.Clock | None,
    training: Manifest,
    validation: Manifest,
    after_epoch: Callable[[Mapping[str, float]], None] | None,
) -> keras.Model:
    """Trains a stage to its end; only the first worker has a `state`, and perhaps a `clock`."""
    steps = agree_on_steps(training, stage, hosts)
    model = _build(run, stage, hosts, state, training, steps * stage.repeats)
    callbacks, plan = [], None
    if state:
        last = state.stage_start + (train.ENDLESS if clock else stage.epochs)
        until = f", {stage.minutes:g} minutes in all" if clock else f"/{last}"
        log = train.BatchLog(run.folder / "batches.csv", until)
        recorder = train.EpochRecorder(run, stage, state, validation, clock, after_epoch)
        callbacks = [clock, log, recorder] if clock else [log, recorder]
        is_over = clock.share >= 1 if clock and state.seconds else state.epoch >= last
        plan = [last if is_over or recorder.has_stopped() else state.epoch, last]
    epoch, last = hosts.share(plan)
    seed = run.recipe.seed + NEXT_HOST * hosts.number
    if epoch < last:
        how = {"seed": seed, "first_epoch": epoch * stage.repeats, "steps": steps}
        how["sampling_weights"] = compute_sampling_weights(training, run.recipe.sampling)
        how["augmentation"] = AUGMENTATIONS[stage.augmentation]
        batches = training_batches(training, stage.image_size, stage.batch_size, **how)
        train.trace_once(model, batches)
        how = {"steps_per_epoch": steps * stage.repeats, "shuffle": False, "verbose": 0}
        callbacks = [Together(hosts, seed), *callbacks, Follow(hosts, stage)]
        model.fit(batches, initial_epoch=epoch, epochs=last, callbacks=callbacks, **how)
    if state:
        run.mark_best(pd.DataFrame(state.rows))
        state.start_next_stage()
    return model


def agree_on_steps(training: Manifest, stage: train.Stage, hosts: Hosts) -> int:
    """Returns the steps, as many as on one machine, in which all images come once."""
    sizes = hosts.gather([len(training)])[:, 0].astype(int)
    steps = -(-int(sizes.sum()) // stage.batch_size)
    if sizes.min() < LEAST_IMAGES * steps:
        found = ", ".join(f"{n:,} on {name}" for name, n in zip(hosts.names, sizes))
        what = f"at least {LEAST_IMAGES * steps:,} training images on each host"
        fix = "Write as many shards as hosts, or a multiple, or ask for a larger batch size."
        each = f"{LEAST_IMAGES} in each of {steps:,} steps"
        raise expected(f"{what} ({each})", found, fix)
    if hosts.is_first:
        told = f"{hosts.count} hosts train {sizes.sum():,} images, "
        print(f"{told}{stage.batch_size} in a step of all hosts", flush=True)
    return steps


def _build(
    run: train.Run,
    stage: train.Stage,
    hosts: Hosts,
    state: train.State | None,
    training: Manifest,
    epoch_steps: int,
) -> keras.Model:
    """Returns the network, compiled, with weights and optimizer where the first worker's run is."""
    counts = class_counts(training)
    counts = dict(zip(counts, hosts.add(list(counts.values()))))
    keras.utils.set_random_seed(run.recipe.seed)
    model = train.build_stage_model(run.labels, run.recipe, stage)
    if state:
        train.start_from_before(model, run, stage, state, training)
    steps = epoch_steps * stage.epochs
    train.compile_model(model, run.labels, counts, run.recipe, stage, steps, Shared(hosts))
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    if state:
        state.restore(model)
    variables = [*model.weights, *optimizer.variables]
    assign(variables, hosts.of_first(numbers(variables)))
    apply = optimizer.apply

    def apply_mean(gradients, variables=None):
        apply([total / hosts.count for total in hosts.sums(list(gradients))], variables)

    optimizer.apply = apply_mean  # `fit` offers no place between the gradients and the step
    return model
