"""What `benchmarks.speed` measures: ours, and the peers and limits that stand beside it.

Each function prepares something and returns a measure: a function that works for about
`SECONDS` and returns a speed. Each runs in a process of its own, so imports stand inside.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np

from helpers.common import LITERT_FILE, ONNX_FILE, ROOT, SAVED_MODEL

SECONDS = 1.0  # of work in a measurement
WARM_UP = 3  # training steps before it, which fill buffers; fewer of a network that is slow
MOST_FILES = 2000  # pictures that are read from the disk
FOLDER_FILES = 10_000  # of a folder that is predicted
BATCH = 32  # pictures predicted at once
MODEL_FILE = "model.keras"

SCORES = {"accuracy": "", "macro_f1": "_macro_f1", "balanced_accuracy": "_balanced_accuracy"}

Measure = Callable[[], float]


def speed_of(work: Callable[[], int]) -> Measure:
    """Returns a measure of `work`, which returns how many pictures it has done: pictures/s."""

    def measure() -> float:
        done, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < SECONDS:
            done += work()
        return done / passed

    return measure


class Data(NamedTuple):
    """What to measure on, as something that a process can be told.

    Attributes:
        manifest: path of a manifest.
        tasks: only these, or all where None.
        groups: share of the groups of the training split; the others are left out.
    """

    manifest: Path
    tasks: list[str] | None = None
    groups: float = 1.0

    def read(self):
        """Returns the `Manifest`."""
        from helpers.manifest import SPLIT, fewer_groups, read_manifest

        whole = read_manifest(self.manifest, tasks=self.tasks)
        if self.groups == 1:
            return whole
        training = whole.frame[SPLIT] == "train"
        return whole.rows(fewer_groups(whole.groups, training.to_numpy(), self.groups))

    def training(self):
        """Returns its training split, or all of it where it is not split."""
        whole = self.read()
        return whole.subset("train") if whole.has_split else whole


def files_of(data: Data) -> list[str]:
    """Returns the first `MOST_FILES` pictures."""
    return data.training().paths[:MOST_FILES]


def files_of_all_kinds(data: Data) -> list[str]:
    """Returns `FOLDER_FILES` pictures from all over the manifest, or all of them."""
    paths = data.training().paths
    count = min(len(paths), FOLDER_FILES)
    return [paths[row] for row in np.linspace(0, len(paths) - 1, count).astype(int)]


# --- reading ---------------------------------------------------------------------------------


def decoding(data: Data, image_size: tuple[int, int]) -> Measure:
    """Ours: files to pictures of the network's size, upright, at the JPEG scale that serves."""
    from helpers.pipeline import decoded

    whole = data.training()
    few = whole.rows(np.arange(min(len(whole), MOST_FILES)))
    return speed_of(lambda: sum(1 for _ in decoded(few, image_size)))


def batching(data: Data, recipe: dict) -> Measure:
    """Ours: the batches of an epoch after the first, from the cache of decoded pictures."""
    from helpers.train import Recipe

    plan = Recipe.from_json(recipe)
    batches = iter(pipeline_batches(data.training(), plan))

    def work() -> int:
        pictures, _ = next(batches)
        return len(pictures)

    return speed_of(work)


def bare_decoding(data: Data) -> Measure:
    """The limit: the same files through `tf.io.decode_jpeg` and nothing else."""
    from helpers.common import tf

    paths = tf.data.Dataset.from_tensor_slices(files_of(data))
    pictures = paths.map(
        lambda path: tf.io.decode_jpeg(tf.io.read_file(path), channels=3),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return speed_of(lambda: sum(1 for _ in pictures))


# --- training --------------------------------------------------------------------------------


def training(data: Data, recipe: dict, source: str) -> Measure:
    """Trains a network, and counts the pictures of its steps.

    Args:
        data: pictures and labels.
        recipe: a `Recipe` as plain data; its first stage is measured.
        source: "pipeline" for ours, "repeated" for one batch again and again, "sequence" for
            `sequence_batches`, "unfused" for ours with the batch normalization of Keras.
    """
    from helpers.common import keras
    from helpers.model import backbones
    from helpers.train import Recipe, compiled_model, trace_once

    manifest, plan = data.training(), Recipe.from_json(recipe)
    fused = backbones.FusedBatchNormalization
    layer = keras.layers.BatchNormalization if source == "unfused" else fused
    with mock.patch.object(backbones, "FusedBatchNormalization", layer):
        model = compiled_model(manifest, plan)
    batches = BATCHES_OF[source](manifest, plan)
    if source != "sequence":  # which gives no tf.data to trace with: `fit` then traces by itself
        model.optimizer.build(model.trainable_variables)
        trace_once(model, batches)

    def measure() -> float:
        timer = _step_timer()
        model.fit(
            batches, steps_per_epoch=10**6, epochs=1, shuffle=False, verbose=0, callbacks=[timer]
        )
        return timer.steps * plan.stages[0].batch_size / timer.seconds

    return measure


def stage_step(data: Data, recipe: dict) -> Callable[[], float]:
    """Makes steps of the first stage of a recipe on random pixels.

    What a step costs does not depend on them, and no picture has to be decoded.

    Returns:
        A function that returns the seconds of a step, the median of `WARM_UP`.
    """
    from helpers.train import Recipe, compiled_model

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
    return lambda: float(np.median([seconds() for _ in range(WARM_UP)]))


def pipeline_batches(data, plan):
    """Ours: `helpers.pipeline`."""
    from helpers.train import recipe_batches

    return recipe_batches(data, plan)


def repeated_batches(data, plan):
    """The limit: one batch in memory, again and again."""
    from helpers.common import steady, tf

    batch = next(iter(pipeline_batches(data, plan)))
    return steady(tf.data.Dataset.from_tensors(batch).repeat())


def sequence_batches(data, plan):
    """The peer: a Keras Sequence that reads row by row with OpenCV.

    So the person-attribute system read: every picture of every epoch is opened, decoded, resized
    and mirrored at random in Python. (Keras 3 calls a Sequence PyDataset.)
    """
    import cv2

    from helpers.common import keras

    stage = plan.stages[0]
    height, width = stage.image_size
    targets = {task: data.targets(task) for task in data.labels.tasks}
    paths = data.paths

    class Sequence(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            self._rng = np.random.default_rng(plan.seed)
            self._rows = iter(())

        def __len__(self) -> int:
            return 10**6  # whoever trains decides when to stop

        def __getitem__(self, number: int) -> tuple:
            rows = [self._next_row() for _ in range(stage.batch_size)]
            pictures = np.stack([self._read(paths[row]) for row in rows])
            return pictures, {task: values[rows] for task, values in targets.items()}

        def _next_row(self) -> int:
            if (row := next(self._rows, None)) is None:
                self._rows = iter(self._rng.permutation(len(data)))
                row = next(self._rows)
            return int(row)

        def _read(self, path: str) -> np.ndarray:
            picture = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
            picture = cv2.resize(picture, (width, height))
            return picture[:, ::-1] if self._rng.random() < 0.5 else picture

    return Sequence()


BATCHES_OF = {
    "pipeline": pipeline_batches,
    "unfused": pipeline_batches,
    "repeated": repeated_batches,
    "sequence": sequence_batches,
}


def trained(data: Data, recipe: dict, source: str, folder: Path) -> Callable[[], dict]:
    """Trains, and scores the last weights on the whole validation split.

    Args:
        data: pictures, labels and split.
        recipe: a `Recipe` as plain data, for "sequence" of one stage.
        source: "pipeline" or "sequence", see `training`.
        folder: of the run.

    Returns:
        A function that returns minutes, epochs, and for each task its accuracy, as {task}, and
        its {task}_macro_f1 and {task}_balanced_accuracy.
    """
    from helpers.train import Recipe

    whole, plan = data.read(), Recipe.from_json(recipe)
    way = {"pipeline": _as_the_command, "sequence": _from_sequence}[source]

    def measure() -> dict:
        start = time.monotonic()
        epochs, scores = way(whole, plan, folder)
        row = {"minutes": (time.monotonic() - start) / 60, "epochs": epochs}
        for name, suffix in SCORES.items():
            row |= {f"{task}{suffix}": float(score) for task, score in scores[name].items()}
        return row

    return measure


def _as_the_command(whole, plan, folder: Path):
    import pandas as pd

    from helpers.model import load_model
    from helpers.pipeline import steps_per_epoch
    from helpers.scores import score_manifest
    from helpers.train import predict_manifest, train

    run = train(whole, folder, plan)
    steps = len(pd.read_csv(folder / "batches.csv"))
    epochs = steps / steps_per_epoch(whole.subset("train"), plan.stages[0].batch_size)
    validation = whole.subset("validation")
    # Of several stages the best epoch counts, from which each starts; else the last, not chosen.
    model = load_model(run.best_path if len(plan.stages) > 1 else run.epoch_path(len(run.log)))
    return epochs, score_manifest(validation, predict_manifest(model, validation), bootstraps=0)


def _from_sequence(whole, plan, folder: Path):
    from helpers.pipeline import steps_per_epoch
    from helpers.scores import score_manifest
    from helpers.train import Clock, compiled_model, predict_manifest

    began, stage = time.monotonic(), plan.stages[0]
    data, validation = whole.subset("train"), whole.subset("validation")
    model = compiled_model(data, plan)
    model.fit(
        sequence_batches(data, plan),
        steps_per_epoch=10**6,
        epochs=1,
        shuffle=False,
        verbose=0,
        callbacks=[Clock(stage, began)],
    )
    scores = score_manifest(validation, predict_manifest(model, validation), bootstraps=0)
    epochs = int(model.optimizer.iterations) / steps_per_epoch(data, stage.batch_size)
    return epochs, scores


def _step_timer():
    from helpers.common import keras

    class StepTimer(keras.callbacks.Callback):
        steps, seconds = -WARM_UP, 0.0

        def on_train_begin(self, logs=None):
            self._start = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            passed = time.perf_counter() - self._start
            self.steps += 1
            if self.steps <= 0 and (passed > SECONDS or self.steps == 0):
                self.steps, self._start = 0, time.perf_counter()
            elif self.steps > 0:
                self.seconds = passed
                self.model.stop_training = passed > SECONDS

    return StepTimer()


# --- predicting ------------------------------------------------------------------------------


def exporting(data: Data, image_size: tuple[int, int], run: Path) -> Measure:
    """Exports an untrained network in every format: its weights do not change how fast it is."""
    from helpers.common import write_json
    from helpers.manifest import LABELS_FILE
    from helpers.model import build_model
    from helpers.predict import convert_to_litert, export_onnx, export_saved_model

    labels, export = data.read().labels, run / "export"
    model = build_model(labels, image_size)
    export.mkdir(parents=True)
    model.save(run / MODEL_FILE)
    write_json(export / LABELS_FILE, {"tasks": {t: list(c) for t, c in labels.tasks.items()}})
    export_saved_model(model, labels, export / SAVED_MODEL)
    (export / LITERT_FILE).write_bytes(convert_to_litert(model))
    export_onnx(model, export / ONNX_FILE)
    return lambda: 0.0


def predicting(run: Path, files: list[str], way: str) -> Measure:
    """Predicts the same few pictures again and again.

    Args:
        run: a folder of `exporting`.
        files: the pictures, predicted as one batch.
        way: a key of `WAYS`.
    """
    predict = WAYS[way](run, [Path(file).read_bytes() for file in files])

    def work() -> int:
        predict()
        return len(files)

    work()  # the first call builds graphs
    return speed_of(work)


def _random_pixels(run: Path, count: int) -> np.ndarray:
    from helpers.predict import LiteRTPredictor

    size = LiteRTPredictor(run / "export").image_size
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)


def _keras(run: Path, files: list[bytes]) -> Callable:
    from helpers.model import load_model

    model, pixels = load_model(run / MODEL_FILE), _random_pixels(run, len(files))
    floats = pixels.astype(np.float32)
    return lambda: model.predict(floats, verbose=0)


def _saved_model(run: Path, files: list[bytes]) -> Callable:
    from helpers.predict import SavedModelPredictor

    predictor = SavedModelPredictor(run / "export")
    return lambda: predictor.predict_bytes(files)


def _litert_bytes(run: Path, files: list[bytes]) -> Callable:
    from helpers.predict import LiteRTPredictor

    predictor = LiteRTPredictor(run / "export")
    return lambda: predictor.predict_bytes(files)


def _litert_pixels(run: Path, files: list[bytes]) -> Callable:
    from helpers.predict import LiteRTPredictor

    predictor, pixels = LiteRTPredictor(run / "export"), _random_pixels(run, len(files))
    return lambda: predictor.predict_pixels(pixels)


def _onnx_pixels(run: Path, files: list[bytes]) -> Callable:
    import onnxruntime

    network = onnxruntime.InferenceSession(
        run / "export" / ONNX_FILE, providers=["CPUExecutionProvider"]
    )
    name = network.get_inputs()[0].name
    floats = _random_pixels(run, len(files)).astype(np.float32)
    return lambda: network.run(None, {name: floats})


WAYS = {
    "model.predict": _keras,
    "SavedModel, bytes": _saved_model,
    "LiteRT, bytes": _litert_bytes,
    "LiteRT, pixels": _litert_pixels,
    "ONNX Runtime, pixels": _onnx_pixels,
}


def folder(run: Path, files: list[str]) -> Measure:
    """Ours: `helpers.predict` over files, reading and decoding included."""
    from helpers.predict import LiteRTPredictor, predict_files

    predictor, paths = LiteRTPredictor(run / "export"), [Path(file) for file in files]
    return speed_of(lambda: sum(1 for _ in predict_files(predictor, paths)))


def cold_start(run: Path, file: str) -> Measure:
    """Ours: seconds of the command `helpers.predict` for one picture, from its start to its end."""
    return lambda: _seconds_of("-m", "helpers.predict", "--run", str(run), file)


def cold_import() -> Measure:
    """The peer: seconds of a Python process that does no more than import TensorFlow."""
    return lambda: _seconds_of("-c", "import tensorflow")


def _seconds_of(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - start
