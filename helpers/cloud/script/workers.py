"""Trains one network on several machines (hosts), each of which reads pictures of its own.

Every host runs `helpers.train` with the same flags. What is the same as on one machine:

- the recipe. `batch_size` counts the pictures of all hosts together, so that steps, schedule and
  loss of an epoch do not depend on the number of hosts. More hosts are faster when each of them
  still has enough pictures in a step; raise the batch size (and the learning rate) for that.
- an epoch. Every picture of every host is seen once, however unevenly they are spread: each host
  deals its own out to the steps that all have agreed on.
- the run. The first host keeps it: it validates, saves, logs, prints, exports and goes on after
  an interruption. The others only train.

What differs: BatchNormalization standardizes with the pictures of its own host, as it does on
several GPUs, so it sees smaller batches; its moving statistics are averaged after every epoch.
Shuffling, augmentation and dropout draw other random numbers on every host.

The hosts are called as SM_HOSTS does, and listen on `PORT`. Where these names lead to no machine,
as in a rehearsal, WORKSHOP_HOST_ADDRESSES says where they are:
"algo-1=127.0.0.1:5001,algo-2=127.0.0.1:5002". While it trains, TensorFlow's server answers on every
network of the host, and has no option for less: that is what a job's private network is for.
"""

import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.common import WorkshopError, keras, tf
from helpers.manifest import IMAGE, Manifest
from helpers.model import class_counts, labels_of, sampling_chances
from helpers.pipeline import AUGMENTATIONS, training_batches
from helpers.train import (
    ENDLESS,
    BatchLog,
    Clock,
    EpochRecorder,
    Recipe,
    Run,
    Stage,
    State,
    build_optimizer,
    build_stage_model,
    compile_model,
    learning_rate,
    losses_of,
    open_or_create,
    seed_dropout,
    start_from_before,
)

PORT = 2222  # of every host, TensorFlow's usual one
ADDRESSES = "WORKSHOP_HOST_ADDRESSES"
LEAST_PICTURES = 2  # of a host in a step: BatchNormalization learns nothing from one
NEXT_HOST = 1_000_003  # between the seeds of two hosts
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.InternalError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)  # what TensorFlow raises when another host is gone


def cluster(
    names: Sequence[str], name: str, environment: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Returns the value of TF_CONFIG for one host.

    Args:
        names: of all hosts, in the same order on each.
        name: of this host.
        environment: may hold WORKSHOP_HOST_ADDRESSES.

    Raises:
        WorkshopError: WORKSHOP_HOST_ADDRESSES has another form, or lacks a host.
    """
    addresses = {host: f"{host}:{PORT}" for host in names}
    if given := environment.get(ADDRESSES):
        addresses = dict(part.strip().partition("=")[::2] for part in given.split(","))
        if not set(names) <= set(addresses) or not all(map(_is_address, addresses.values())):
            example = ",".join(f"{host}=127.0.0.1:{5001 + i}" for i, host in enumerate(names))
            raise WorkshopError(f"{ADDRESSES}: expected such as {example}, found {given}.")
    return {
        "cluster": {"worker": [addresses[host] for host in names]},
        "task": {"type": "worker", "index": list(names).index(name)},
    }


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65536


class Hosts:
    """The machines that train together. What one of them asks, all must ask, in the same order.

    It must be made before TensorFlow does anything else, and waits until all hosts are there.

    Args:
        names: of all hosts, in the same order on each. The first one keeps the run.
        name: of this host.
    """

    def __init__(self, names: Sequence[str], name: str):
        self.names, self.name = list(names), name
        self.number, self.count = self.names.index(name), len(self.names)
        os.environ["TF_CONFIG"] = json.dumps(cluster(names, name))
        print(f"{name}: waiting for {', '.join(self.names)}", flush=True)
        gpus = tf.config.list_physical_devices("GPU")
        tf.config.set_visible_devices(gpus[:1], "GPU")  # one replica for each host
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        # A thread looks every 30 s whether all hosts live. At the end TensorFlow would wait until
        # it has woken up; forgotten, it ends with the process.
        self.strategy.extended._check_health_thread = None
        self._add = tf.function(self._add_on_replicas)

    @property
    def is_first(self) -> bool:
        """Whether this host keeps the run."""
        return self.number == 0

    def add(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the sum over all hosts of each array, float64; on each host the same."""
        sums = self._add([tf.constant(array, tf.float64) for array in arrays])
        return [total.numpy() for total in sums]

    def _add_on_replicas(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        def on_replica(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
            placed = [tf.identity(tensor) for tensor in tensors]  # on the device of the replica
            return tf.distribute.get_replica_context().all_reduce("SUM", placed)

        sums = self.strategy.run(on_replica, args=(tensors,))
        return [self.strategy.experimental_local_results(total)[0] for total in sums]

    def gather(self, values: Sequence[float]) -> np.ndarray:
        """Returns what each host gave: float64 (hosts, values)."""
        table = np.zeros((self.count, len(values)))
        table[self.number] = values
        return self.add([table])[0]

    def of_first(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the first host's arrays; the others give arrays of the same shapes."""
        return self.add(arrays if self.is_first else [np.zeros_like(array) for array in arrays])

    def share(self, value: Any) -> Any:
        """Returns the first host's value, which JSON must be able to hold."""
        text = json.dumps(value).encode() if self.is_first else b""
        length = int(self.gather([len(text)])[0, 0])
        (codes,) = self.of_first([np.frombuffer(text.ljust(length), np.uint8)])
        return json.loads(codes.astype(np.uint8).tobytes())

    def wait(self) -> None:
        """Returns when all hosts have come here."""
        with told_when_lost(self):
            self.gather([0])

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Ends the command on all hosts when what follows cannot be done on one of them.

        Raises:
            WorkshopError: the host's own, or that of the others, which names the host.
        """
        problem = None
        try:
            yield
        except WorkshopError as error:
            problem = error
        failed = self.gather([problem is not None])[:, 0]
        if problem:
            raise problem
        if failed.any():
            names = ", ".join(np.array(self.names)[failed > 0])
            raise WorkshopError(
                f"{self.name}: expected all hosts to train, found a mistake on {names}. Read what "
                "is printed there."
            )


@contextmanager
def told_when_lost(hosts: Hosts) -> Iterator[None]:
    """Turns what TensorFlow raises when another host is gone into a message."""
    try:
        yield
    except LOST as error:
        raise WorkshopError(
            f"{hosts.name}: lost another host of {', '.join(hosts.names)}. Read why on that host; "
            "the same command with the same checkpoints goes on after the last whole epoch."
        ) from error


def train_on_hosts(
    manifest: Manifest,
    folder: Path,
    recipe: Recipe | None,
    hosts: Hosts,
    *,
    resume: bool = False,
    overwrite: bool = False,
    began: float | None = None,
    afterwards: float = 0.0,
    after_epoch: Callable[[Mapping[str, float]], None] | None = None,
) -> Run | None:
    """Trains one network on several hosts; the arguments are those of `helpers.train.train`.

    Args:
        manifest: the training pictures of this host, or of all (then each takes its part), and
            all validation pictures.
        folder: where the run goes, on the first host.
        recipe: what to do.
        hosts: all of them.
        resume: go on after the last whole epoch, on the first host.
        overwrite: replace a run, on the first host.
        began: for a stage with `minutes`, when they began.
        afterwards: seconds to leave for what comes after training.
        after_epoch: on the first host.

    Returns:
        The finished run on the first host, None on the others.

    Raises:
        WorkshopError: what `train` raises, on any host; too few pictures on a host; other
            validation pictures on another host; a host that is lost.
    """
    began = time.monotonic() if began is None else began
    with told_when_lost(hosts):
        run, state = None, None
        with hosts.all_or_none():
            if hosts.is_first:
                run = open_or_create(manifest, Path(folder), recipe, resume, overwrite)
                state = State(run)
        recipe = Recipe.from_json(hosts.share(run and run.recipe.to_json()))
        data = manifest.select(hosts.share(run and list(run.labels.tasks)))
        run = run or Run(Path(folder), data.labels, recipe)
        _check_stages(recipe)
        training, validation = part_of_host(data, hosts)
        for number in range(hosts.share(state and state.stage), len(recipe.stages)):
            stage, clock = recipe.stages[number], None
            if state and stage.minutes:
                kept = afterwards if number + 1 == len(recipe.stages) else 0.0
                clock = Clock(stage, began, state.seconds, kept)
            stage = SharedStage(run, number, hosts, state, clock, training, validation)
            stage.train(after_epoch)
            began = time.monotonic()
    return run if hosts.is_first else None


def _check_stages(recipe: Recipe) -> None:
    """Refuses what the optimizer cannot do where several hosts add up their gradients."""
    if any(stage.accumulate > 1 for stage in recipe.stages):
        raise WorkshopError(
            "expected stages with accumulate 1 on several hosts, found more: there a batch is "
            "divided between the hosts already. Leave --accumulate out."
        )


def part_of_host(manifest: Manifest, hosts: Hosts) -> tuple[Manifest, Manifest]:
    """Returns the training pictures of this host, and the validation pictures.

    Where all hosts hold the same training pictures, each takes its part of them.

    Raises:
        WorkshopError: the hosts hold different validation pictures.
    """
    with hosts.all_or_none():
        training, validation = manifest.subset("train"), manifest.subset("validation")
    digests = hosts.gather([_digest(training), _digest(validation)])
    same_training, same_validation = (digests == digests[0]).all(axis=0)
    if not same_validation:
        raise WorkshopError(
            f"{hosts.name}: expected the same validation pictures on every host, found others. "
            "Put them into a channel `validation` that every host gets whole (FullyReplicated)."
        )
    if same_training:
        training = training.rows(np.arange(len(training)) % hosts.count == hosts.number)
    return training, validation


def _digest(manifest: Manifest) -> int:
    """Identifies rows, wherever the host has put their pictures."""
    names = [Path(path).name for path in manifest.frame[IMAGE]]
    return zlib.crc32(manifest.frame.assign(**{IMAGE: names}).to_csv(index=False).encode())


class SharedStage:
    """A stage of a run that several hosts train.

    Keras 3's `fit` fails under `MultiWorkerMirroredStrategy`, so this has a loop of its own. On
    the first host stands a twin of the network outside of the strategy. It gets all values after
    every epoch; what validates, saves, logs and stops a run on one machine works on it.

    Args:
        run: the run; on the first host with its folder.
        number: of the stage, from 0.
        hosts: all of them.
        state: where the run stands, on the first host.
        clock: of a stage with `minutes`, on the first host.
        training: this host's pictures.
        validation: all of the validation pictures.
    """

    def __init__(
        self,
        run: Run,
        number: int,
        hosts: Hosts,
        state: State | None,
        clock: Clock | None,
        training: Manifest,
        validation: Manifest,
    ):
        self.run, self.hosts, self.state, self.clock = run, hosts, state, clock
        self.stage: Stage = run.recipe.stages[number]
        self.training, self.validation = training, validation
        self.tasks = list(run.labels.tasks)
        self.counts = self._counts_of_all()
        self.steps, self.pictures = self._agree_on_steps()
        plan = learning_rate(self.stage, self.steps * self.stage.epochs)
        self._rate_is_planned = callable(plan)  # else the first host says how high it is
        self._build()

    def _counts_of_all(self) -> dict[str, np.ndarray]:
        counts = class_counts(self.training)
        return dict(zip(counts, self.hosts.add(list(counts.values()))))

    def _agree_on_steps(self) -> tuple[int, int]:
        """Returns the steps of an epoch, as many as one machine would make, and the pictures."""
        sizes = self.hosts.gather([len(self.training)])[:, 0].astype(int)
        pictures = int(sizes.sum())
        steps = -(-pictures // self.stage.batch_size)
        if sizes.min() < LEAST_PICTURES * steps:
            found = ", ".join(f"{n:,} on {name}" for name, n in zip(self.hosts.names, sizes))
            raise WorkshopError(
                f"expected at least {LEAST_PICTURES * steps:,} training pictures on each host, "
                f"{LEAST_PICTURES} in each of {steps:,} steps; found {found}. Write as many shards "
                "as hosts, or a multiple, or ask for a larger batch size."
            )
        return steps, pictures

    def _build(self) -> None:
        recipe, steps = self.run.recipe, self.steps * self.stage.epochs
        keras.utils.set_random_seed(recipe.seed)
        with self.hosts.strategy.scope():
            self.model = build_stage_model(self.run, self.stage)
            self.optimizer = build_optimizer(recipe, self.stage, steps)
            self.optimizer.build(self.model.trainable_variables)
        self.losses, self.weights = losses_of(self.model, self.training, recipe, self.counts)
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
        twin = build_stage_model(run, self.stage)
        start_from_before(twin, run, self.stage, state, self.training)
        compile_model(twin, self.training, run.recipe, self.stage, steps, self.counts)
        twin.optimizer.build(twin.trainable_variables)
        state.restore(twin)
        return twin

    def train(self, after_epoch: Callable[[Mapping[str, float]], None] | None = None) -> None:
        """Trains to the end of the stage."""
        callbacks, plan = keras.callbacks.CallbackList(), None
        if self.hosts.is_first:
            last = self.state.stage_start + (ENDLESS if self.clock else self.stage.epochs)
            recorder = EpochRecorder(
                self.run, self.stage, self.state, self.validation, self.clock, after_epoch
            )
            callbacks = self._callbacks(recorder, last)
            late = self.clock and self.state.seconds and self.clock.share >= 1
            is_over = late or self.state.epoch >= last or recorder.has_stopped()
            plan = {"epoch": self.state.epoch, "last": last, "is_over": bool(is_over)}
        plan = self.hosts.share(plan)
        if not plan["is_over"]:
            self._train_epochs(plan["epoch"], plan["last"], callbacks)
        if self.hosts.is_first:
            self.run.mark_best(pd.DataFrame(self.state.rows))
            self.state.start_next_stage()

    def _callbacks(self, recorder: EpochRecorder, last: int) -> keras.callbacks.CallbackList:
        until = f", {self.stage.minutes:g} minutes in all" if self.clock else f"/{last}"
        log = BatchLog(self.run.folder / "batches.csv", until)
        each = [*([self.clock] if self.clock else []), log, recorder]
        return keras.callbacks.CallbackList(each, model=self.twin, steps=self.steps)

    def _train_epochs(self, epoch: int, last: int, callbacks: keras.callbacks.CallbackList) -> None:
        batches = training_batches(
            self.training,
            self.stage.image_size,
            self.stage.batch_size,
            augmentation=AUGMENTATIONS[self.stage.augmentation],
            chances=sampling_chances(self.training, self.run.recipe.sampling),
            seed=self.run.recipe.seed + NEXT_HOST * self.hosts.number,
            first_epoch=epoch,
            steps=self.steps,
        )
        step = tf.function(self._step, input_signature=batches.element_spec)
        if self.hosts.is_first:
            print(
                f"{self.hosts.count} hosts train {self.pictures:,} pictures, "
                f"{self.stage.batch_size} in a step of all hosts",
                flush=True,
            )
        batches, stop = iter(batches), False
        callbacks.on_train_begin()
        while epoch < last and not stop:
            self._train_epoch(epoch, step, batches, callbacks)
            epoch, stop = epoch + 1, self._follow()
        callbacks.on_train_end()

    def _train_epoch(self, epoch: int, step, batches: Iterator, callbacks) -> None:
        callbacks.on_epoch_begin(epoch)
        seed_dropout(self.model, self.run.recipe.seed + NEXT_HOST * self.hosts.number, epoch)
        sums, logs = 0.0, {}
        for number in range(self.steps):
            callbacks.on_train_batch_begin(number)
            if self.stage.minutes and self._follow():
                break
            sums = sums + step(*next(batches)).numpy().astype(float)
            logs = self._logs(sums)
            callbacks.on_train_batch_end(number, logs)
        self._average_moving_statistics()
        if self.twin:
            ours, theirs = self.model, self.twin
            for variable, copy in zip(
                _variables(ours, self.optimizer), _variables(theirs, theirs.optimizer), strict=True
            ):
                copy.assign(self._value(variable))
        callbacks.on_epoch_end(epoch, logs)

    def _step(self, pictures: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Makes a step on all hosts; returns the sums that `_logs` reads."""
        sums = self.hosts.strategy.run(self._step_on_replica, args=(pictures, targets))
        return self.hosts.strategy.experimental_local_results(sums)[0]

    def _step_on_replica(self, pictures: tf.Tensor, targets: Mapping[str, tf.Tensor]) -> tf.Tensor:
        with tf.GradientTape() as tape:
            answers = self.model(pictures, training=True)
            losses = [self.losses[task](targets[task], answers[task]) for task in self.tasks]
            weights = [self.weights[task] for task in self.tasks]
            loss = sum(w * x for w, x in zip(weights, losses)) + sum(self.model.losses)
            part = loss / self.hosts.count  # Keras's optimizer adds up the gradients of all hosts
        variables = self.model.trainable_variables
        self.optimizer.apply(tape.gradient(part, variables), variables)
        counts = [_right_and_known(targets[task], answers[task]) for task in self.tasks]
        rows = tf.cast(tf.shape(pictures)[0], tf.float32)
        sums = tf.stack([rows, *(x / self.hosts.count for x in [loss, *losses])])
        sums = tf.concat([sums, *counts], axis=0)
        sums = tf.distribute.get_replica_context().all_reduce("SUM", sums)
        means = slice(1, 2 + len(self.tasks))  # losses count by the pictures that they are of
        return tf.concat([sums[:1], sums[means] * sums[0], sums[means.stop :]], axis=0)

    def _logs(self, sums: np.ndarray) -> dict[str, float]:
        """Returns the figures since the start of the epoch, named as Keras does."""
        rows, loss, *others = sums
        logs = {"loss": loss / rows}
        for number, task in enumerate(self.tasks):
            right, known = others[len(self.tasks) + 2 * number :][:2]
            logs[f"{task}_loss"] = others[number] / rows
            logs[f"{task}_accuracy"] = right / max(known, 1)
        return logs

    def _average_moving_statistics(self) -> None:
        weights = self.model.non_trainable_weights
        if weights:
            values = self.hosts.add([self._value(weight) for weight in weights])
            for weight, value in zip(weights, values):
                weight.assign((value / self.hosts.count).astype(weight.dtype))

    def _follow(self) -> bool:
        """Takes over the learning rate of the first host; returns whether it wants to stop."""
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
    """Returns how many labels are guessed rightly, and how many are known: float32 (2,)."""
    targets = labels_of(targets, probabilities.shape[-1])
    known = targets >= 0
    right = known & (tf.argmax(probabilities, axis=-1, output_type=targets.dtype) == targets)
    return tf.stack([tf.reduce_sum(tf.cast(mask, tf.float32)) for mask in (right, known)])
