"""Trains one network on several workers, each of which reads its own images.

Every worker runs `helpers.train` with the same flags. `batch_size` counts the images of all
workers, so steps, schedule and loss of an epoch do not depend on their number; every image is seen
once, however unevenly they are distributed. The first worker keeps the run: it validates, saves,
logs, exports and resumes. The others only train.

What differs from one machine: BatchNormalization standardizes with the images of its own worker,
as on several GPUs; its moving statistics are averaged after every epoch. Shuffling, augmentation
and dropout draw different random numbers on every worker.
"""

import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from helpers import train
from helpers.cloud.script.hosts import Hosts, told_when_lost
from helpers.common import WorkshopError, expected, keras, tf
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
        training, validation = part_of_host(data, hosts)
        stages = run.recipe.stages
        for number in range(hosts.share(state and state.stage), len(stages)):
            stage = SharedStage(run, number, hosts, state, training, validation)
            stage.train(began, afterwards, after_epoch)
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


class SharedStage:
    """A stage of a run that several workers train.

    Keras 3's `fit` fails under `MultiWorkerMirroredStrategy`, so this has its own loop. The first
    worker has a twin of the network outside of the strategy. It gets all values after every epoch;
    what validates, saves, logs and stops a run on one machine works on it. Only the first worker
    has a `state`.
    """

    def __init__(
        self,
        run: train.Run,
        number: int,
        hosts: Hosts,
        state: train.State | None,
        training: Manifest,
        validation: Manifest,
    ):
        self.run, self.hosts, self.state = run, hosts, state
        self.stage, self.tasks = run.recipe.stages[number], list(run.labels.tasks)
        self.training, self.validation = training, validation
        self.seed = run.recipe.seed + NEXT_HOST * hosts.number
        counts = class_counts(training)
        self.counts = dict(zip(counts, hosts.add(list(counts.values()))))
        self.steps, self.images = self._agree_on_steps()
        self.epoch_steps = self.steps * self.stage.repeats
        plan = train.learning_rate(self.stage, self.epoch_steps * self.stage.epochs)
        self._rate_is_planned = callable(plan)  # otherwise the first worker sets it
        self._build()

    def _agree_on_steps(self) -> tuple[int, int]:
        """Returns steps (as many as on one machine) in which all images come, and the images."""
        sizes = self.hosts.gather([len(self.training)])[:, 0].astype(int)
        images = int(sizes.sum())
        steps = -(-images // self.stage.batch_size)
        if sizes.min() < LEAST_IMAGES * steps:
            found = ", ".join(f"{n:,} on {name}" for name, n in zip(self.hosts.names, sizes))
            what = f"at least {LEAST_IMAGES * steps:,} training images on each host"
            fix = "Write as many shards as hosts, or a multiple, or ask for a larger batch size."
            each = f"{LEAST_IMAGES} in each of {steps:,} steps"
            raise WorkshopError(f"expected {what}, {each}; found {found}. {fix}")
        return steps, images

    def _build(self) -> None:
        recipe, steps = self.run.recipe, self.epoch_steps * self.stage.epochs
        keras.utils.set_random_seed(recipe.seed)
        with self.hosts.strategy.scope():
            self.model = train.build_stage_model(self.run.labels, recipe, self.stage)
            self.optimizer = train.build_optimizer(recipe, self.stage, steps, self.model)
            self.optimizer.build(self.model.trainable_variables)
        labels = self.run.labels
        self.losses, self.weights = train.losses_of(self.model, labels, self.counts, recipe)
        self.twin = self._build_twin(steps) if self.hosts.is_first else None
        ours = _variables(self.model, self.optimizer)
        theirs = _variables(self.twin, self.twin.optimizer) if self.twin else ours
        values = self.hosts.of_first([self._value(variable) for variable in theirs])
        for variable, value in zip(ours, values, strict=True):
            variable.assign(value.astype(variable.dtype))

    def _build_twin(self, steps: int) -> keras.Model:
        """Builds the network where the run stands: from the state, or the best stage before."""
        run, state = self.run, self.state
        keras.utils.set_random_seed(run.recipe.seed)
        twin = train.build_stage_model(run.labels, run.recipe, self.stage)
        train.start_from_before(twin, state, self.training)
        train.compile_model(twin, run.labels, self.counts, run.recipe, self.stage, steps)
        twin.optimizer.build(twin.trainable_variables)
        state.restore(twin)
        return twin

    def train(self, began: float, afterwards: float, after_epoch: Callable | None) -> None:
        """Trains to the end of the stage; the arguments are those of `helpers.train.train`."""
        callbacks, plan, state = keras.callbacks.CallbackList(), None, self.state
        if self.hosts.is_first:
            how = (began, afterwards, after_epoch)
            last, each = train.stage_plan(state, self.validation, *how)
            callbacks = keras.callbacks.CallbackList(each, model=self.twin, steps=self.epoch_steps)
            plan = {"epoch": state.epoch, "last": last, "is_over": not each}
        plan = self.hosts.share(plan)
        if not plan["is_over"]:
            self._train_epochs(plan["epoch"], plan["last"], callbacks)
        if self.hosts.is_first:
            state.mark_best()
            state.start_next_stage()

    def _train_epochs(self, epoch: int, last: int, callbacks: keras.callbacks.CallbackList) -> None:
        stage, training = self.stage, self.training
        how = {"seed": self.seed, "first_epoch": epoch * stage.repeats, "steps": self.steps}
        how["sampling_weights"] = compute_sampling_weights(training, self.run.recipe.sampling)
        how["augmentation"] = AUGMENTATIONS[stage.augmentation]
        batches = training_batches(training, stage.image_size, stage.batch_size, **how)
        step = tf.function(self._step, input_signature=batches.element_spec)
        if self.hosts.is_first:
            told = f"{self.hosts.count} hosts train {self.images:,} images, "
            print(f"{told}{self.stage.batch_size} in a step of all hosts", flush=True)
        batches, stop = iter(batches), False
        callbacks.on_train_begin()
        while epoch < last and not stop:
            self._train_epoch(epoch, step, batches, callbacks)
            epoch, stop = epoch + 1, self._follow()
        callbacks.on_train_end()

    def _train_epoch(self, epoch: int, step, batches: Iterator, callbacks) -> None:
        callbacks.on_epoch_begin(epoch)
        train.seed_dropout(self.model, self.seed, epoch)
        sums, logs = 0.0, {}
        for number in range(self.epoch_steps):
            callbacks.on_train_batch_begin(number)
            if self.stage.minutes and self._follow():
                break
            sums = sums + step(*next(batches)).numpy().astype(float)
            logs = self._logs(sums)
            callbacks.on_train_batch_end(number, logs)
        self._end_epoch()
        callbacks.on_epoch_end(epoch, logs)

    def _end_epoch(self) -> None:
        """Averages the moving statistics of all workers, and gives the twin all values."""
        weights = self.model.non_trainable_weights
        values = self.hosts.add([self._value(weight) for weight in weights]) if weights else []
        for weight, value in zip(weights, values):
            weight.assign((value / self.hosts.count).astype(weight.dtype))
        if self.twin:
            ours = _variables(self.model, self.optimizer)
            theirs = _variables(self.twin, self.twin.optimizer)
            for variable, copy in zip(ours, theirs, strict=True):
                copy.assign(self._value(variable))

    def _step(self, images: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Makes a step on all workers; returns the sums that `_logs` reads."""
        sums = self.hosts.strategy.run(self._step_on_replica, args=(images, targets))
        return self.hosts.strategy.experimental_local_results(sums)[0]

    def _step_on_replica(self, images: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> tf.Tensor:
        with tf.GradientTape() as tape:
            predictions = self.model(images, training=True)
            losses = [self.losses[task](targets[task], predictions[task]) for task in self.tasks]
            weights = [self.weights[task] for task in self.tasks]
            loss = sum(w * x for w, x in zip(weights, losses)) + sum(self.model.losses)
            part = loss / self.hosts.count  # Keras's optimizer adds up the gradients of all workers
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(part, variables), variables)
        rows = tf.cast(tf.shape(images)[:1], tf.float32)
        means = tf.stack([loss, *losses]) / self.hosts.count
        counts = [_right_and_known(targets[task], predictions[task]) for task in self.tasks]
        sums = tf.distribute.get_replica_context().all_reduce("SUM", [rows, means, *counts])
        sums[1] *= sums[0]  # losses count by the images that they are of
        return tf.concat(sums, axis=0)

    def _logs(self, sums: np.ndarray) -> dict[str, float]:
        """Returns the figures since the start of the epoch, named as Keras does."""
        rows, loss, *others = sums
        logs = {"loss": loss / rows}
        for number, task in enumerate(self.tasks):
            right, known = others[len(self.tasks) + 2 * number :][:2]
            logs[f"{task}_loss"] = others[number] / rows
            logs[f"{task}_accuracy"] = right / max(known, 1)
        return logs

    def _follow(self) -> bool:
        """Takes over the first worker's learning rate; returns whether it wants to stop."""
        word = np.zeros(2)
        if self.twin:
            rate = keras.ops.convert_to_numpy(self.twin.optimizer.learning_rate)
            word = np.array([bool(self.twin.stop_training), float(rate)])
        (stop, rate), *_ = self.hosts.of_first([word])
        if not self._rate_is_planned:
            self.optimizer.learning_rate = float(rate)
        return bool(stop)

    def _value(self, variable: keras.Variable) -> np.ndarray:
        return self.hosts.strategy.experimental_local_results(variable.value)[0].numpy()


def _variables(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    return [*model.weights, *optimizer.variables]


def _right_and_known(targets: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """Counts labels that are predicted correctly, and labels that are known: float32 (2,)."""
    known = targets >= 0
    right = known & (tf.argmax(probabilities, axis=-1, output_type=targets.dtype) == targets)
    return tf.stack([tf.reduce_sum(tf.cast(mask, tf.float32)) for mask in (right, known)])
