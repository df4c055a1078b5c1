"""What watches an epoch: the bar and the log of its batches, then validation and saving."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pandas as pd

from helpers.common import keras, progress_bar, tf, whole_file, write_text
from helpers.manifest import Manifest
from helpers.pipeline import batches_in_order
from helpers.scores import score_lines, score_manifest
from helpers.train.schedules import Clock
from helpers.train.state import State, csv_text

PLATEAU_FACTOR, PLATEAU_EPOCHS = 0.7, 3  # the person-attribute system's values
MIN_PROGRESS = 1e-3  # a smaller gain of the mean validation accuracy is no progress


class BatchLog(keras.callbacks.Callback):
    """Shows a bar for each epoch, and then writes a line for each batch, of Keras's means.

    `until` stands after the number of an epoch in the bar.
    """

    def __init__(self, state: State, until: str):
        super().__init__()
        self._state, self._until, self._rows = state, until, []
        self._path = state.run.folder / "batches.csv"
        if self._path.exists():  # a killed run may have lines of an epoch that comes again
            kept = {"epoch", *map(str, range(1, state.epoch + 1))}
            lines = self._path.read_text("utf-8", "replace").splitlines(keepends=True)
            whole = (line for line in lines if line.endswith("\n"))
            write_text(self._path, "".join(line for line in whole if line.split(",")[0] in kept))

    def on_epoch_begin(self, epoch, logs=None):
        """Opens the bar."""
        text, stages = f"epoch {epoch + 1}{self._until}", len(self._state.run.recipe.stages)
        if stages > 1:
            text = f"stage {self._state.stage + 1}/{stages}, {text}"
        self._bar = progress_bar(total=self.params["steps"], desc=text, unit="batch")

    def on_train_batch_end(self, batch, logs=None):
        """Keeps a line."""
        means = {name: round(float(value), 5) for name, value in sorted((logs or {}).items())}
        self._rows.append({"epoch": self._state.epoch + 1, "batch": batch + 1, **means})
        self._bar.update()
        self._bar.set_postfix(loss=f"{means['loss']:.3f}", refresh=False)

    def on_epoch_end(self, epoch, logs=None):
        """Closes the bar and writes the lines."""
        self._bar.close()
        with self._path.open("a", encoding="utf-8") as file:
            file.write(csv_text(pd.DataFrame(self._rows), header=file.tell() == 0))
        self._rows = []


class EpochRecorder(keras.callbacks.Callback):
    """After every epoch: validates on the whole split, saves the model, logs, lowers or stops."""

    def __init__(
        self,
        state: State,
        validation: Manifest,
        clock: Clock | None = None,
        after_epoch: Callable[[Mapping[str, float]], None] | None = None,
    ):
        super().__init__()
        self._run, self._state, self._clock = state.run, state, clock
        self._stage = state.run.recipe.stages[state.stage]
        self._validation, self._after_epoch = validation, after_epoch
        self._batches = batches_in_order(validation, self._stage.image_size)
        self._board = tf.summary.create_file_writer(str(state.run.folder / "tensorboard"))
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
        self._report(row, scores, self._state.mark_best())
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
