"""Trains a network by a recipe: stages, a saved model for every epoch, and a way to go on."""

import csv
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import (
    WorkshopError,
    keras,
    peak_memory,
    progress_bar,
    read_json,
    tf,
    whole_file,
    write_json,
    write_text,
)
from helpers.manifest import Manifest, check_split
from helpers.model import (
    MaskedAccuracy,
    Style,
    balance,
    build_losses,
    build_model,
    class_counts,
    load_model,
    parse_task_weights,
    priors,
    sampling_chances,
    set_pixel_statistics,
    weigh_by_uncertainty,
)
from helpers.pipeline import (
    AUGMENTATIONS,
    batches_in_order,
    channel_statistics,
    load_pictures,
    steps_per_epoch,
    training_batches,
)
from helpers.scores import score_lines, score_manifest
from helpers.train.recipe import Recipe, Stage
from helpers.train.recipes import describe_stage, share_done
from helpers.train.runs import Run, check_data, check_folder, check_labels, create_run, open_run
from helpers.train.schedules import MEASURED_STEPS, Clock, learning_rate

PLATEAU_FACTOR, PLATEAU_EPOCHS = 0.7, 3  # the person-attribute system's values
ENDLESS = 2**20  # epochs
LEARNED_WEIGHTS = ("uncertainty", "gradients")  # of tasks
MIN_PROGRESS = 1e-3  # a smaller gain of the mean validation accuracy is no progress


def train(
    manifest: Manifest,
    folder: Path,
    recipe: Recipe | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    began: float | None = None,
    afterwards: float = 0.0,
    after_epoch: Callable[[Mapping[str, float]], None] | None = None,
) -> Run:
    """Trains on the split `train` and validates on `validation` after every epoch.

    Args:
        manifest: pictures, labels and split.
        folder: where the run goes.
        recipe: what to do; the default recipe where None. A resumed run keeps its own.
        resume: go on after the last whole epoch of the run in `folder`.
        overwrite: replace a run that is there.
        began: for a stage with `minutes`, when they began, on `time.monotonic`; now where None.
        afterwards: seconds of the last stage's minutes to leave for what comes after training.
        after_epoch: gets the log's line of every epoch, when the epoch is kept.

    Returns:
        The finished run.

    Raises:
        WorkshopError: a manifest without split or with a group on two sides; a folder that is
            not empty; a run of other labels or another recipe.
        KeyboardInterrupt: on Ctrl-C; everything up to the last whole epoch is kept.
    """
    began = time.monotonic() if began is None else began
    check_split(manifest)
    run = open_or_create(manifest, Path(folder), recipe, resume, overwrite)
    state = State(run)
    data = manifest.select(list(run.labels.tasks))
    try:
        for number in range(len(run.recipe.stages)):
            if number >= state.stage:
                stage = run.recipe.stages[number]
                kept = afterwards if number + 1 == len(run.recipe.stages) else 0.0
                clock = Clock(stage, began, state.seconds, kept) if stage.minutes else None
                _train_stage(data, run, number, state, clock, after_epoch)
                began = time.monotonic()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{state.epoch} whole epochs are kept in {run.folder}. The same command with "
            "--resume goes on after them."
        ) from None
    return run


def open_or_create(
    manifest: Manifest, folder: Path, recipe: Recipe | None, resume: bool, overwrite: bool
) -> Run:
    """Opens the run to go on with, or makes a new one; the arguments are those of `train`."""
    if not resume or not (folder / "run.json").exists():
        recipe = recipe or Recipe()
        check_folder(folder, overwrite)
        _try_out(manifest, Run(folder, manifest.labels, recipe))
        return create_run(folder, manifest, recipe, overwrite)
    run = open_run(folder)
    check_labels(run, manifest)
    check_data(run, manifest)
    if recipe and recipe != run.recipe:
        old, new = run.recipe.to_json(), recipe.to_json()
        changed = ", ".join(name for name in old if old[name] != new[name])
        raise WorkshopError(
            f"expected the recipe that {folder} was started with, found another {changed}. "
            "Resume without those flags, or train into another --out."
        )
    return run


def _try_out(manifest: Manifest, run: Run) -> None:
    """Meets bad input before anything is written, or a run that is there is replaced."""
    training, validation = manifest.subset("train"), manifest.subset("validation")
    if all((validation.targets(task) < 0).all() for task in validation.tasks):
        raise WorkshopError(
            f"{manifest.name}: expected labels in the split validation, found none. The best epoch "
            "could not be told from the others. Fill some in, or split again."
        )
    if run.recipe.task_weights not in LEARNED_WEIGHTS:
        parse_task_weights(run.recipe.task_weights, run.labels)
    sampling_chances(training, run.recipe.sampling)
    for stage in run.recipe.stages:
        build_stage_model(run, stage)
        load_pictures(training, stage.image_size)
        load_pictures(validation, stage.image_size)


class State:
    """Where a run stands, on the disk: what makes a killed run go on as if nothing had been.

    `state/state.json` names the weights file that belongs to it, and is replaced in one move
    after everything else of an epoch is on the disk.
    """

    def __init__(self, run: Run):
        self.run = run
        self.path = run.folder / "state" / "state.json"
        found = read_json(self.path) if self.path.exists() else {}
        self.stage: int = found.get("stage", 0)
        self.stage_start: int = found.get("stage_start", 0)
        self.epoch: int = found.get("epoch", 0)
        self.weights: str = found.get("weights", "")
        self.seconds: float = found.get("seconds", 0.0)  # of the stage, for one with `minutes`
        log = run.log
        # A kill between the log and the state leaves a line of an epoch that will be done again.
        self.rows = log[log["epoch"] <= self.epoch].to_dict("records") if len(log) else []

    def save_epoch(self, model: keras.Model, row: Mapping[str, float]) -> None:
        """Keeps an epoch: its log line, then weights and optimizer, then the word that it ended."""
        self.rows.append(dict(row))
        self.run.write_log(pd.DataFrame(self.rows))
        self.epoch = int(row["epoch"])
        name = f"epoch-{self.epoch:03d}.weights.h5"
        with whole_file(self.path.parent / name) as draft:
            model.save_weights(draft)
        previous, self.weights = self.weights, name
        self._write()
        if previous and previous != name:
            (self.path.parent / previous).unlink(missing_ok=True)

    def start_next_stage(self) -> None:
        """Notes that a stage has ended; the next one starts with a new optimizer."""
        self.stage, self.stage_start = self.stage + 1, self.epoch
        self.weights, self.seconds = "", 0.0
        self._write()

    def restore(self, model: keras.Model) -> None:
        """Puts weights and optimizer back to the end of the last whole epoch of this stage."""
        if self.weights:
            model.load_weights(self.path.parent / self.weights)

    def stage_rows(self) -> pd.DataFrame:
        """The log of the stage in progress."""
        return pd.DataFrame(self.rows[self.stage_start :])

    def _write(self) -> None:
        names = ("stage", "stage_start", "epoch", "weights", "seconds")
        write_json(self.path, {name: getattr(self, name) for name in names})


def _train_stage(
    manifest: Manifest,
    run: Run,
    number: int,
    state: State,
    clock: Clock | None,
    after_epoch: Callable[[Mapping[str, float]], None] | None,
) -> None:
    recipe, stage = run.recipe, run.recipe.stages[number]
    training, validation = manifest.subset("train"), manifest.subset("validation")
    keras.utils.set_random_seed(recipe.seed)  # here, so that a run resumed in stage 2 is the same
    model = build_stage_model(run, stage)
    start_from_before(model, run, stage, state, training)
    steps = steps_per_epoch(training, stage.batch_size)
    compile_model(model, training, recipe, stage, steps * stage.epochs)
    model.optimizer.build(model.trainable_variables)
    state.restore(model)
    batches = training_batches(
        training,
        stage.image_size,
        stage.batch_size,
        augmentation=AUGMENTATIONS[stage.augmentation],
        mixed=stage.mix,
        chances=sampling_chances(training, recipe.sampling),
        seed=recipe.seed,
        first_epoch=state.epoch,
    )
    recorder = EpochRecorder(run, stage, state, validation, clock, after_epoch)
    last = state.stage_start + (ENDLESS if clock else stage.epochs)
    until = f", {stage.minutes:g} minutes in all" if clock else f"/{last}"
    is_over = clock.share >= 1 if clock and state.seconds else state.epoch >= last
    if not is_over and not recorder.has_stopped():
        if len(recipe.stages) > 1:
            print(describe_stage(recipe, number), flush=True)
        trace_once(model, batches)
        model.fit(
            batches,
            steps_per_epoch=steps,
            initial_epoch=state.epoch,
            epochs=last,
            shuffle=False,  # the batches come shuffled
            verbose=0,
            callbacks=[
                clock or StagePlan(stage, last - state.epoch),
                BatchLog(run.folder / "batches.csv", until, Overall(run.recipe, number, state)),
                recorder,
            ],
        )
    else:  # killed after the last epoch was kept, perhaps before it was marked
        run.mark_best(pd.DataFrame(state.rows))
    state.start_next_stage()


def start_from_before(
    model: keras.Model, run: Run, stage: Stage, state: State, training: Manifest
) -> None:
    """Gives the network of a stage what comes before: the best epoch, or at first the pixels."""
    if not state.epoch:
        if run.recipe.pixels == "dataset":
            set_pixel_statistics(model, *channel_statistics(training, stage.image_size))
    elif not state.weights:  # a later stage starts from the best of those before
        best = run.mark_best(pd.DataFrame(state.rows))
        model.set_weights(load_model(run.epoch_path(best)).get_weights())


def build_stage_model(run: Run, stage: Stage) -> keras.Model:
    """Builds the network of a stage with the recipe's initial weights."""
    recipe = run.recipe
    model = build_model(
        run.labels,
        stage.image_size,
        backbone=recipe.backbone,
        weights=recipe.weights,
        pooling=recipe.pooling,
        tower=recipe.tower,
        dropout=recipe.dropout,
        task_uncertainty=recipe.task_weights == "uncertainty",
        balance_gradients=recipe.task_weights == "gradients",
        style=Style(recipe.normalization, recipe.initialization),
        pixels=recipe.pixels,
    )
    model.get_layer("backbone").trainable = not stage.freeze_backbone
    return model


def compile_model(
    model: keras.Model,
    training: Manifest,
    recipe: Recipe,
    stage: Stage,
    steps: int,
    counts: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Gives a network its optimizer, a loss for each task and their weights.

    Args:
        model: a network of `build_model`.
        training: gives tasks and class counts.
        recipe: the run's recipe.
        stage: the stage of it.
        steps: of the whole stage, for the schedule.
        counts: class counts, where `training` has but a part of the rows.
    """
    losses, loss_weights = losses_of(model, training, recipe, counts)
    model.compile(
        optimizer=build_optimizer(recipe, stage, steps),
        loss=losses,
        loss_weights=loss_weights,
        metrics={task: [MaskedAccuracy(name="accuracy")] for task in training.labels.tasks},
    )


def losses_of(
    model: keras.Model,
    training: Manifest,
    recipe: Recipe,
    counts: Mapping[str, np.ndarray] | None = None,
) -> tuple[dict[str, keras.losses.Loss], dict[str, float]]:
    """Returns a loss for each task and its weight in the sum; arguments as in `compile_model`."""
    class_weights, prior = None, None
    if recipe.class_weights == "balanced":
        class_weights = balance(counts or class_counts(training))
    if recipe.logit_adjustment:
        prior = priors(counts or class_counts(training), recipe.logit_adjustment)
    losses = build_losses(
        training.labels, class_weights, recipe.label_smoothing, recipe.focal, prior
    )
    if recipe.task_weights == "uncertainty":
        return weigh_by_uncertainty(model, losses), dict.fromkeys(losses, 1.0)
    if recipe.task_weights == "gradients":
        return losses, dict.fromkeys(losses, 1.0)
    return losses, parse_task_weights(recipe.task_weights, training.labels)


def build_optimizer(recipe: Recipe, stage: Stage, steps: int) -> keras.optimizers.Optimizer:
    """Returns the optimizer of a stage of `steps` steps in all."""
    optimizer = keras.optimizers.AdamW(
        learning_rate(stage, steps),
        weight_decay=recipe.weight_decay,
        use_ema=recipe.ema > 0,
        ema_momentum=recipe.ema or 0.99,
        ema_overwrite_frequency=None,
        gradient_accumulation_steps=stage.accumulate if stage.accumulate > 1 else None,
    )
    # Scales, offsets and biases are left alone, as usual: decay would pull them to no purpose.
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias", "log_variance"])
    return optimizer


def trace_once(model: keras.Model, batches: tf.data.Dataset) -> None:
    """Lets `fit` trace its training step once instead of twice; each takes seconds on two cores.

    Keras wraps the step in two functions and creates the metrics' variables while it traces, which
    makes TensorFlow trace again. Here everything is built beforehand, and one function is set.
    """
    model._symbolic_build(data_batch=next(iter(batches.take(1))))
    model.train_function = tf.function(lambda iterator: model.train_step(next(iterator)))


class BatchLog(keras.callbacks.Callback):
    """Shows a progress bar for each epoch and writes a line for each batch.

    The losses and accuracies are means since the start of the epoch, as Keras gives them.
    """

    def __init__(self, path: Path, until: str, overall: "Overall | None" = None):
        super().__init__()
        self._path, self._until, self._overall = path, until, overall
        self._epoch, self._bar, self._file, self._writer = 0, None, None, None

    def on_epoch_begin(self, epoch, logs=None):
        """Opens the bar."""
        self._epoch = epoch + 1
        self._bar = progress_bar(
            total=self.params["steps"],
            desc=f"{self._overall or ''}epoch {self._epoch}{self._until}",
            unit="batch",
        )

    def on_train_batch_end(self, batch, logs=None):
        """Adds a line."""
        logs = {name: round(float(value), 5) for name, value in sorted((logs or {}).items())}
        if self._file is None:
            kept = self._lines_of_whole_epochs()
            write_text(self._path, kept)
            self._file = self._path.open("a", newline="", encoding="utf-8")
            columns = ["epoch", "batch", *logs]
            self._writer = csv.DictWriter(self._file, columns, lineterminator="\n")
            if not kept:
                self._writer.writeheader()
        self._writer.writerow({"epoch": self._epoch, "batch": batch + 1, **logs})
        self._bar.update()
        self._bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)

    def _lines_of_whole_epochs(self) -> str:
        """Returns the log without the epoch (and the line) that a killed run left unfinished."""
        if not self._path.exists():
            return ""
        header, *lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True) or [""]
        whole = (line for line in lines if line.endswith("\n"))
        return header + "".join(x for x in whole if int(x.partition(",")[0]) < self._epoch)

    def on_epoch_end(self, epoch, logs=None):
        """Closes the bar and puts the lines on the disk."""
        self._bar.close()
        self._file.flush()

    def on_train_end(self, logs=None):
        """Closes the file."""
        if self._file:
            self._file.close()


class Overall:
    """Says on the progress bar of each epoch how far a run of several stages is as a whole."""

    def __init__(self, recipe: Recipe, number: int, state: State):
        self._recipe, self._number, self._state = recipe, number, state

    def __str__(self) -> str:
        if (count := len(self._recipe.stages)) == 1:
            return ""
        epochs = self._state.epoch - self._state.stage_start
        done = share_done(self._recipe, self._number, epochs, self._state.seconds)
        return f"{done:.0%} of all, stage {self._number + 1}/{count}, "


class StagePlan(keras.callbacks.Callback):
    """Tells after a few steps how long a stage takes at most, and in how much memory.

    Args:
        stage: one that counts epochs; of another one, `Clock` tells.
        epochs: that it has left.
    """

    def __init__(self, stage: Stage, epochs: int):
        super().__init__()
        self._stage, self._epochs, self._batches = stage, epochs, []

    def on_train_batch_end(self, batch, logs=None):
        """Measures the first steps, and tells."""
        if len(self._batches) > MEASURED_STEPS:
            return
        self._batches.append(time.monotonic())
        if len(self._batches) == MEASURED_STEPS:
            step = float(np.median(np.diff(self._batches)))
            minutes = step * self.params["steps"] * self._epochs / 60
            print(
                f"{self._stage.batch_size / step:.0f} pictures/s: at most {minutes:.1f} minutes of "
                f"training for {self._epochs} epochs; {peak_memory():.1f} GB of memory so far",
                flush=True,
            )


class EpochRecorder(keras.callbacks.Callback):
    """After every epoch: validates on the whole split, saves the model, logs, and lowers or stops.

    Args:
        run: where things go.
        stage: the stage in progress.
        state: where the run stands.
        validation: the pictures to validate on.
        clock: of a stage with `minutes`.
        after_epoch: see `train`.
    """

    def __init__(
        self,
        run: Run,
        stage: Stage,
        state: State,
        validation: Manifest,
        clock: Clock | None = None,
        after_epoch: Callable[[Mapping[str, float]], None] | None = None,
    ):
        super().__init__()
        self._clock, self._after_epoch = clock, after_epoch
        self._run, self._stage, self._state = run, stage, state
        self._validation = validation
        self._batches = batches_in_order(validation, stage.image_size)
        self._board = tf.summary.create_file_writer(str(run.folder / "tensorboard"))
        self._inference = None
        self._started = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._started = time.perf_counter()
        seed_dropout(self.model, self._run.recipe.seed, epoch)
        if self._inference is None:  # shares the layers, but carries no optimizer into the file
            self._inference = keras.Model(self.model.input, self.model.output, name="multi_task")

    def on_epoch_end(self, epoch, logs=None):
        """Does it all, in the order that loses nothing when the process is killed in between."""
        trained = time.perf_counter() - self._started
        with averaged_weights(self.model):
            probabilities = self._inference.predict(self._batches, verbose=0)
            with whole_file(self._run.epoch_path(epoch + 1)) as draft:
                self._inference.save(draft)
        scores = score_manifest(self._validation, probabilities, bootstraps=0)
        losses = {
            task: log_loss(self._validation.targets(task), probabilities[task])
            for task in self._run.labels.tasks
        }
        row = {
            "epoch": epoch + 1,
            "stage": self._state.stage + 1,
            "seconds": round(time.perf_counter() - self._started, 2),
            "training_seconds": round(trained, 2),
            **self._training_columns(logs),
            "val_loss": float(np.nansum(list(losses.values()))),
            "val_accuracy": float(scores["accuracy"].mean()),
            "val_macro_f1": float(scores["macro_f1"].mean()),
            **{f"val_{task}_loss": loss for task, loss in losses.items()},
            **{f"val_{task}_accuracy": scores.accuracy[task] for task in losses},
            **{f"val_{task}_macro_f1": scores.macro_f1[task] for task in losses},
        }
        if self._clock:
            self._state.seconds = self._clock.elapsed
        self._lower(row["val_accuracy"])  # first: a resumed run must start with the lowered rate
        self._state.save_epoch(self.model, row)
        best = self._run.mark_best(self._run.log)
        self._report(row, scores, best)
        if self.has_stopped():
            print(f"stopped early: {self._stage.early_stopping} epochs without progress")
            self.model.stop_training = True

    def _training_columns(self, logs: Mapping[str, float]) -> dict[str, float]:
        """Renames what Keras calls otherwise where there is one task only."""
        tasks = list(self._run.labels.tasks)
        columns = {name: float(value) for name, value in sorted(logs.items())}
        if len(tasks) == 1 and "accuracy" in columns:
            columns[f"{tasks[0]}_accuracy"] = columns.pop("accuracy")
            columns[f"{tasks[0]}_loss"] = columns["loss"]
        rate = self.model.optimizer.learning_rate
        return {**columns, "learning_rate": float(keras.ops.convert_to_numpy(rate))}

    def _report(self, row: Mapping[str, float], scores: pd.DataFrame, best: int) -> None:
        with self._board.as_default(step=int(row["epoch"])):
            for name, value in row.items():
                tf.summary.scalar(name, value)
        self._board.flush()
        mark = ", the best so far" if best == row["epoch"] else ""
        print(
            f"epoch {row['epoch']}: {row['seconds']:.0f} s, loss {row['loss']:.3f}, "
            f"validation loss {row['val_loss']:.3f}{mark}"
        )
        print("\n".join(score_lines(scores)), flush=True)
        if self._after_epoch:
            self._after_epoch(row)

    def _lower(self, accuracy: float) -> None:
        before = [row["val_accuracy"] for row in self._state.rows[self._state.stage_start :]]
        waited = epochs_without_progress([*before, accuracy])
        if self._stage.schedule == "plateau" and waited and waited % PLATEAU_EPOCHS == 0:
            self.model.optimizer.learning_rate *= PLATEAU_FACTOR

    def has_stopped(self) -> bool:
        """Whether the stage has already waited long enough for progress."""
        rows = self._state.stage_rows()
        patience = self._stage.early_stopping
        return bool(patience and len(rows)) and (
            epochs_without_progress(rows["val_accuracy"]) >= patience
        )


def epochs_without_progress(accuracies: Iterable[float]) -> int:
    """Counts the epochs since the accuracy last rose by at least `MIN_PROGRESS`."""
    best, waited = -np.inf, 0
    for accuracy in accuracies:
        waited += 1
        if accuracy >= best + MIN_PROGRESS:
            best, waited = accuracy, 0
    return waited


def seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Sets what is dropped by seed and epoch alone: Keras saves no state of its random numbers."""
    for number, layer in enumerate(model._flatten_layers()):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            state = np.random.SeedSequence([seed, epoch, number]).generate_state(2)
            generator.state.assign(state)


class averaged_weights:
    """Puts the moving average of the weights in their place, and the weights back afterwards.

    Does nothing where the optimizer keeps no average.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._kept: list[np.ndarray] = []

    def __enter__(self):
        if self._model.optimizer.use_ema:
            variables = self._model.trainable_variables
            self._kept = [variable.numpy() for variable in variables]
            self._model.optimizer.finalize_variable_values(variables)

    def __exit__(self, *_):
        for variable, value in zip(self._model.trainable_variables, self._kept):
            variable.assign(value)


def log_loss(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean of -log(probability of the label) over labelled rows; nan without any.

    Args:
        targets: int (n,), -1 where not known.
        probabilities: float (n, classes).
    """
    known = targets >= 0
    if not known.any():
        return float("nan")
    right = probabilities[known, targets[known]]
    return float(-np.log(np.maximum(right, 1e-7)).mean())


def predict_manifest(model: keras.Model, manifest: Manifest) -> dict[str, np.ndarray]:
    """Predicts every picture of a manifest, in its order, the last partial batch included.

    Returns:
        For each task float32 (pictures, classes), rows that sum to 1.
    """
    return model.predict(batches_in_order(manifest, model.input_shape[1:3]), verbose=0)


def single_task_twins(recipe: Recipe, manifest: Manifest, folder: Path) -> dict[str, Run]:
    """Trains for each task a network that differs in nothing but in having that task alone."""
    runs = {}
    for task in manifest.labels.tasks:
        print(f"single task: {task}")
        runs[task] = train(manifest.select([task]), Path(folder) / task, recipe, overwrite=True)
    return runs


def remove_state(run: Run) -> None:
    """Deletes what only --resume needs; the models stay."""
    shutil.rmtree(run.folder / "state", ignore_errors=True)
