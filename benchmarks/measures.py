"""What the benchmark speed measures: ours, and the peers and limits that stand beside it.

Each function prepares something and returns a measure: a function that works for about
`SECONDS` and returns a speed. Each runs in a process of its own, so imports stand inside.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np

from benchmarks import until_core
from helpers.common import LITERT_FILE, ONNX_FILE, ROOT, SAVED_MODEL
from helpers.manifest import LABELS_FILE, Labels, Manifest

SECONDS = 1.0  # of work in a measurement
WARM_UP = 3  # training steps before it, which fill buffers; fewer of a network that is slow
MOST_FILES = 2000  # pictures that are read from the disk
MODEL_FILE = "model.keras"
FOREVER = {"steps_per_epoch": 10**6, "epochs": 1, "shuffle": False, "verbose": 0}  # for `fit`
WAYS = (  # of predicting: the peer, then ours
    "model.predict", "SavedModel, bytes", "LiteRT, bytes", "LiteRT, pixels", "ONNX Runtime, pixels",
)  # fmt: skip

# until helpers.train asks for them no more
compiled_model, stage_step = until_core.compiled_model, until_core.stage_step
pipeline_batches, Data = until_core.recipe_batches, until_core.Data

Measure = Callable[[], float]


def speed_of(work: Callable[[], int], seconds: float = 0.0) -> Measure:
    """Returns a measure of `work`, which returns how many images it has done: images per second."""

    def measure() -> float:
        done, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < (seconds or SECONDS):
            done += work()
        return done / passed

    return measure


# --- reading ---------------------------------------------------------------------------------


def decoding(manifest: Manifest, image_size: tuple[int, int]) -> Measure:
    """Ours: files to pictures of the network's size, upright, at the JPEG scale that serves."""
    from helpers.pipeline import decoded

    few = manifest.rows(np.arange(min(len(manifest), MOST_FILES)))
    return speed_of(lambda: sum(1 for _ in decoded(few, image_size)))


def batching(manifest: Manifest, recipe: dict) -> Measure:
    """Ours: the batches of an epoch after the first, from the cache of decoded pictures."""
    from benchmarks.until_core import recipe_batches
    from helpers.train import Recipe

    batches = iter(recipe_batches(manifest, Recipe.from_json(recipe)))
    return speed_of(lambda: len(next(batches)[0]))


def bare_decoding(files: list[str]) -> Measure:
    """The limit: files through `tf.io.decode_jpeg` and nothing else."""
    from helpers.common import tf

    pictures = tf.data.Dataset.from_tensor_slices(files).map(
        lambda path: tf.io.decode_jpeg(tf.io.read_file(path), channels=3),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return speed_of(lambda: sum(1 for _ in pictures))


# --- training --------------------------------------------------------------------------------


def training(manifest: Manifest, recipe: dict, source: str) -> Measure:
    """Trains a network, and counts the pictures of its steps.

    Args:
        manifest: the training split.
        recipe: a `Recipe` as plain data; its first stage is measured.
        source: "pipeline" for ours, "repeated" for one batch again and again, which is the limit,
            "sequence" for `sequence_batches`, "unfused" for ours with Keras's batch normalization.
    """
    from benchmarks.until_core import compiled_model, recipe_batches
    from helpers.common import layers, steady, tf
    from helpers.train import Recipe, trace_once

    plan = Recipe.from_json(recipe)
    model = compiled_model(manifest, plan)
    if source == "unfused":
        for layer in model._flatten_layers():
            if isinstance(layer, layers.BatchNormalization):
                layer.call = MethodType(layers.BatchNormalization.call, layer)
    if source == "sequence":  # no tf.data to trace with: `fit` traces by itself
        batches = sequence_batches(manifest, plan)
    else:
        batches = recipe_batches(manifest, plan)
        if source == "repeated":
            batches = steady(tf.data.Dataset.from_tensors(next(iter(batches))).repeat())
        model.optimizer.build(model.trainable_variables)
        trace_once(model, batches)

    def measure() -> float:
        timer = _step_timer()
        model.fit(batches, callbacks=[timer], **FOREVER)
        return timer.steps * plan.stages[0].batch_size / timer.seconds

    return measure


def sequence_batches(training: Manifest, plan):
    """The peer: a Keras Sequence that reads row by row with OpenCV.

    So the person-attribute system read: every picture of every epoch is opened, decoded, resized
    and mirrored at random in Python. (Keras 3 calls a Sequence PyDataset.)
    """
    import cv2

    from helpers.common import keras

    (height, width), size = plan.stages[0].image_size, plan.stages[0].batch_size
    targets = {task: training.targets(task) for task in training.labels.tasks}
    paths, rng = training.paths, np.random.default_rng(plan.seed)
    rows = chain.from_iterable(rng.permutation(len(paths)) for _ in count())

    def read(path: str) -> np.ndarray:
        picture = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        picture = cv2.resize(picture, (width, height))
        return picture[:, ::-1] if rng.random() < 0.5 else picture

    class Sequence(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 10**6  # whoever trains decides when to stop

        def __getitem__(self, number: int) -> tuple:
            batch = list(islice(rows, size))
            pictures = np.stack([read(paths[row]) for row in batch])
            return pictures, {task: values[batch] for task, values in targets.items()}

    return Sequence()


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


def exporting(labels: Labels, image_size: tuple[int, int], run: Path) -> Measure:
    """Exports an untrained network in every format: its weights do not change how fast it is."""
    from helpers.model import build_model
    from helpers.predict import convert_to_litert, export_onnx, export_saved_model

    model, export = build_model(labels, image_size), run / "export"
    export.mkdir(parents=True)
    model.save(run / MODEL_FILE)
    labels.write(export / LABELS_FILE)
    export_saved_model(model, labels, export / SAVED_MODEL)
    (export / LITERT_FILE).write_bytes(convert_to_litert(model))
    export_onnx(model, export / ONNX_FILE)
    return lambda: 0.0


def predicting(run: Path, files: list[str], way: str, image_size: tuple[int, int]) -> Measure:
    """Predicts the same files again and again, as one batch.

    Args:
        run: a folder of `exporting`.
        files: what is predicted.
        way: of `WAYS`.
        image_size: of the network; where a way takes pixels, they are random.
    """
    contents = [Path(file).read_bytes() for file in files]
    pixels = np.random.default_rng(0).integers(0, 256, (len(files), *image_size, 3), np.uint8)
    predict = _prepared(way, run, contents, pixels)

    def work() -> int:
        predict()
        return len(files)

    work()  # the first call builds graphs
    return speed_of(work)


def _prepared(way: str, run: Path, files: list[bytes], pixels: np.ndarray) -> Callable[[], Any]:
    if way == "model.predict":
        from helpers.model import load_model

        model, floats = load_model(run / MODEL_FILE), pixels.astype(np.float32)
        return lambda: model.predict(floats, verbose=0)
    if way == "SavedModel, bytes":
        from helpers.predict import SavedModelPredictor

        return partial(SavedModelPredictor(run / "export").predict_bytes, files)
    if way == "ONNX Runtime, pixels":
        import onnxruntime

        providers = ["CPUExecutionProvider"]
        network = onnxruntime.InferenceSession(run / "export" / ONNX_FILE, providers=providers)
        inputs = {network.get_inputs()[0].name: pixels.astype(np.float32)}
        return lambda: network.run(None, inputs)
    from helpers.predict import LiteRTPredictor

    predictor = LiteRTPredictor(run / "export")
    if way == "LiteRT, bytes":
        return partial(predictor.predict_bytes, files)
    return partial(predictor.predict_pixels, pixels)


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
