"""What watches an epoch: the bar and the log of its batches, then validation and saving."""

import csv
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import keras, progress_bar, tf, whole_file, write_text
from helpers.manifest import Manifest
from helpers.pipeline import batches_in_order
from helpers.scores import score_lines, score_manifest
from helpers.train.recipe import Stage
from helpers.train.recipes import share_done
from helpers.train.runs import Run
from helpers.train.schedules import Clock
from helpers.train.state import State

PLATEAU_FACTOR, PLATEAU_EPOCHS = 0.7, 3  # the person-attribute system's values
MIN_PROGRESS = 1e-3  # a smaller gain of the mean validation accuracy is no progress


class BatchLog(keras.callbacks.Callback):
    """Shows a progress bar for each epoch and writes a line for each batch, of Keras's means.

    `until` stands after the number of an epoch; from `state` the bar shows the progress of the run.
    """

    def __init__(self, path: Path, until: str, state: State | None = None):
        super().__init__()
        self._path, self._until, self._state = path, until, state
        self._epoch, self._bar, self._file, self._writer = 0, None, None, None

    def on_epoch_begin(self, epoch, logs=None):
        """Opens the bar."""
        self._epoch = epoch + 1
        text = f"epoch {self._epoch}{self._until}"
        if (state := self._state) and (stages := len(state.run.recipe.stages)) > 1:
            epochs = state.epoch - state.stage_start
            done = share_done(state.run.recipe, state.stage, epochs, state.seconds)
            text = f"{done:.0%} of all, stage {state.stage + 1}/{stages}, {text}"
        self._bar = progress_bar(total=self.params["steps"], desc=text, unit="batch")

    def on_train_batch_end(self, batch, logs=None):
        """Adds a line."""
        logs = {name: round(float(value), 5) for name, value in sorted((logs or {}).items())}
        if self._file is None:
            kept = self._lines_of_whole_epochs()
            write_text(self._path, kept)
            self._file = self._path.open("a", newline="", encoding="utf-8")
            self._writer = csv.DictWriter(
                self._file, ["epoch", "batch", *logs], lineterminator="\n"
            )
            if not kept:
                self._writer.writeheader()
        self._writer.writerow({"epoch": self._epoch, "batch": batch + 1, **logs})
        self._bar.update()
        self._bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)

    def _lines_of_whole_epochs(self) -> str:
        """Returns the log without what a killed run left unfinished."""
        if not self._path.exists():
            return ""
        header, *lines = self._path.read_text("utf-8", "replace").splitlines(keepends=True) or [""]
        whole = (line.partition(",") for line in lines if line.endswith("\n"))
        kept = (parts for parts in whole if parts[0].isdecimal() and int(parts[0]) < self._epoch)
        return header + "".join(map("".join, kept))

    def on_epoch_end(self, epoch, logs=None):
        """Closes the bar and puts the lines on the disk."""
        self._bar.close()
        self._file.flush()

    def on_train_end(self, logs=None):
        """Closes the file."""
        if self._file:
            self._file.close()


class EpochRecorder(keras.callbacks.Callback):
    """After every epoch: validates on the whole split, saves the model, logs, lowers or stops."""

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
        self._run, self._stage, self._state = run, stage, state
        self._validation, self._clock, self._after_epoch = validation, clock, after_epoch
        self._batches = batches_in_order(validation, stage.image_size)
        self._board = tf.summary.create_file_writer(str(run.folder / "tensorboard"))
        self._inference, self._started = None, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._started = time.perf_counter()
        seed_dropout(self.model, self._run.recipe.seed, epoch)
        if self._inference is None:  # shares the layers, but carries no optimizer into the file
            self._inference = keras.Model(self.model.input, self.model.output, name="multi_task")

    def on_epoch_end(self, epoch, logs=None):
        """Does it all, in the order that loses nothing when the process is killed."""
        trained = time.perf_counter() - self._started
        with averaged_weights(self.model):
            probabilities = self._inference.predict(self._batches, verbose=0)
            with whole_file(self._run.epoch_path(epoch + 1)) as draft:
                self._inference.save(draft)
        scores = score_manifest(self._validation, probabilities, bootstraps=0)
        row = {
            "epoch": epoch + 1,
            "stage": self._state.stage + 1,
            "seconds": round(time.perf_counter() - self._started, 2),
            "training_seconds": round(trained, 2),
            **self._training_columns(logs),
            **self._validation_columns(scores, probabilities),
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

    def _validation_columns(
        self, scores: pd.DataFrame, probabilities: Mapping[str, np.ndarray]
    ) -> dict[str, float]:
        tasks, part = self._run.labels.tasks, self._validation
        losses = {task: log_loss(part.targets(task), probabilities[task]) for task in tasks}
        return {
            "val_loss": float(np.nansum(list(losses.values()))),
            "val_accuracy": float(scores["accuracy"].mean()),
            "val_macro_f1": float(scores["macro_f1"].mean()),
            **{f"val_{task}_loss": loss for task, loss in losses.items()},
            **{f"val_{task}_accuracy": scores.accuracy[task] for task in tasks},
            **{f"val_{task}_macro_f1": scores.macro_f1[task] for task in tasks},
        }

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

    def _accuracies(self) -> list[float]:
        return [row["val_accuracy"] for row in self._state.rows[self._state.stage_start :]]

    def _lower(self, accuracy: float) -> None:
        waited = epochs_without_progress([*self._accuracies(), accuracy])
        if self._stage.schedule == "plateau" and waited and waited % PLATEAU_EPOCHS == 0:
            self.model.optimizer.learning_rate *= PLATEAU_FACTOR

    def has_stopped(self) -> bool:
        """Whether the stage has already waited long enough for progress."""
        patience = self._stage.early_stopping
        return patience > 0 and epochs_without_progress(self._accuracies()) >= patience


def epochs_without_progress(accuracies: Iterable[float]) -> int:
    """Counts the epochs since the accuracy last rose by at least `MIN_PROGRESS`."""
    best, waited = -np.inf, 0
    for accuracy in accuracies:
        waited += 1
        if accuracy >= best + MIN_PROGRESS:
            best, waited = accuracy, 0
    return waited


def seed_dropout(model: keras.Model, seed: int, epoch: int) -> None:
    """Makes dropout depend on seed and epoch alone: Keras saves no state of its generators."""
    for number, layer in enumerate(model._flatten_layers()):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            state = np.random.SeedSequence([seed, epoch, number]).generate_state(2)
            generator.state.assign(state)


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Puts the moving average of the weights, if there is one, in their place."""
    variables = model.trainable_variables if model.optimizer.use_ema else []
    kept = [variable.numpy() for variable in variables]
    if variables:
        model.optimizer.finalize_variable_values(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, kept):
            variable.assign(value)


def log_loss(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the mean of -log(probability of the label) over labelled rows; nan without any."""
    known = targets >= 0
    if not known.any():
        return float("nan")
    right = probabilities[known, targets[known]]
    return float(-np.log(np.maximum(right, 1e-7)).mean())
