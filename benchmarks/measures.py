"""What the benchmark speed measures: ours, and the peers and limits it is compared with.

Each function prepares something, in a process of its own, and returns a measure: a function that
works for about `SECONDS` and returns a speed. Those that need no TensorFlow do not import it.
"""

import multiprocessing
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from helpers import common, model, pipeline, predict, train
from helpers.manifest import Labels, Manifest

SECONDS = 1.0  # of work in a measurement
WARM_UP = 3  # training steps before it, which fill buffers; fewer of a network that is slow
MOST_FILES = 2000  # images that are read from the disk
MODEL_FILE = "model.keras"
FOREVER = {"steps_per_epoch": 10**6, "epochs": 1, "shuffle": False, "verbose": 0}  # for `fit`
WAYS = (  # of predicting: the peer, then ours
    "model.predict", "SavedModel, bytes", "LiteRT, bytes", "LiteRT, pixels", "ONNX Runtime, pixels",
)  # fmt: skip

Measure = Callable[[], float]


def speed_of(work: Callable[[], int], seconds: float = 0.0) -> Measure:
    """Returns a measure of `work`, which returns how many images it has done: images per second."""

    def measure() -> float:
        done, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < (seconds or SECONDS):
            done += work()
        return done / passed

    return measure


def decoding(manifest: Manifest, image_size: tuple[int, int]) -> Measure:
    """Ours: files to images of the network's size, upright, at the JPEG scale that serves."""
    few = manifest.rows(np.arange(min(len(manifest), MOST_FILES)))
    return speed_of(lambda: sum(1 for _ in pipeline.decoded(few, image_size)))


def batching(manifest: Manifest, recipe: dict) -> Measure:
    """Ours: the batches of an epoch after the first, from the cache of decoded images."""
    batches = iter(recipe_batches(manifest, train.Recipe.from_json(recipe)))
    return speed_of(lambda: len(next(batches)[0]))


def bare_decoding(files: list[str]) -> Measure:
    """The limit: files through `tf.io.decode_jpeg` and nothing else."""
    tf, data = common.tf, common.tf.data.Dataset.from_tensor_slices(files)
    images = data.map(lambda path: tf.io.decode_jpeg(tf.io.read_file(path), 3), tf.data.AUTOTUNE)
    return speed_of(lambda: sum(1 for _ in images))


def training(manifest: Manifest, recipe: dict, source: str) -> Measure:
    """Trains on a whole manifest, and counts the images of the steps of the recipe's first stage.

    `source`: "pipeline" (ours), "unfused" (ours with Keras's batch normalization), "sequence" (of
    `sequence_batches`), "repeated" (one batch: the limit), or "random" (one of random pixels).
    """
    plan = train.Recipe.from_json(recipe)
    network = compiled_model(manifest, plan)
    plain = common.layers.BatchNormalization
    if source == "unfused":
        for layer in network._flatten_layers():
            if isinstance(layer, plain):
                layer.call = partial(plain.call, layer)
    makers = {"sequence": sequence_batches, "random": _random_batches}
    batches = makers.get(source, recipe_batches)(manifest, plan)
    if source == "repeated":
        batches = common.steady(batches.take(1).cache().repeat())
    if source != "sequence":  # which gives no tf.data to trace with: `fit` traces by itself
        network.optimizer.build(network.trainable_variables)
        train.trace_once(network, batches)
    return lambda: plan.stages[0].batch_size * _steps_per_second(network, batches)


def compiled_model(manifest: Manifest, plan):
    """Returns the network of a recipe's first stage."""
    stage, labels = plan.stages[0], manifest.labels
    network = train.build_stage_model(labels, plan, stage)
    steps = pipeline.steps_per_epoch(manifest, stage.batch_size) * stage.repeats * stage.epochs
    train.compile_model(network, labels, model.class_counts(manifest), plan, stage, steps)
    return network


def recipe_batches(manifest: Manifest, plan):
    """Returns the batches of a recipe's first stage from all of a manifest."""
    return train.stage_batches(manifest, plan, plan.stages[0])


def _steps_per_second(network, batches) -> float:
    steps, start, seconds = -WARM_UP, time.perf_counter(), 0.0

    def after_step(batch: int, logs: dict) -> None:
        nonlocal steps, start, seconds
        steps, seconds = steps + 1, time.perf_counter() - start
        if steps == 0 or (steps < 0 and seconds > SECONDS):
            steps, start = 0, time.perf_counter()
        network.stop_training = steps > 0 and seconds > SECONDS

    timer = common.keras.callbacks.LambdaCallback(on_train_batch_end=after_step)
    network.fit(batches, callbacks=[timer], **FOREVER)
    return steps / seconds


def _random_batches(training: Manifest, plan):
    rng, size = np.random.default_rng(0), plan.stages[0].batch_size
    pixels = rng.integers(0, 256, (size, *plan.stages[0].image_size, 3), np.uint8)
    tasks = training.labels.tasks.items()
    targets = {task: rng.integers(0, len(names), size, np.int32) for task, names in tasks}
    return common.steady(common.tf.data.Dataset.from_tensors((pixels, targets)).repeat())


def sequence_batches(training: Manifest, plan):
    """The peer, as the person-attribute system read: a Keras Sequence, row by row with OpenCV."""
    import cv2

    (height, width), size = plan.stages[0].image_size, plan.stages[0].batch_size
    targets = {task: training.targets(task) for task in training.labels.tasks}
    paths, rng = training.paths, np.random.default_rng(plan.seed)
    rows = chain.from_iterable(rng.permutation(len(paths)) for _ in count())

    def read(path: str) -> np.ndarray:
        image = cv2.resize(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB), (width, height))
        return image[:, ::-1] if rng.random() < 0.5 else image

    class Sequence(common.keras.utils.PyDataset):  # as Keras 3 calls it
        def __len__(self) -> int:
            return 10**6  # whoever trains decides when to stop

        def __getitem__(self, number: int) -> tuple:
            batch = list(islice(rows, size))
            images = np.stack([read(paths[row]) for row in batch])
            return images, {task: values[batch] for task, values in targets.items()}

    return Sequence()


def exporting(labels: Labels, image_size: tuple[int, int], run: Path) -> Measure:
    """Exports an untrained network in every format: its weights do not change how fast it is."""
    network = model.build_model(labels, image_size)
    predict.export_model(network, labels, run / "export")
    network.save(run / MODEL_FILE)
    return lambda: 0.0


def predicting(run: Path, files: list[str], way: str, image_size: tuple[int, int]) -> Measure:
    """Predicts one batch, of the files or of random pixels; `run` is a folder of `exporting`."""
    export, contents = run / "export", [Path(file).read_bytes() for file in files]
    pixels = np.random.default_rng(0).integers(0, 256, (len(files), *image_size, 3), np.uint8)
    floats = pixels.astype(np.float32)
    if way == "model.predict":
        answers = partial(model.load_model(run / MODEL_FILE).predict, floats, verbose=0)
    elif way == "SavedModel, bytes":
        saved = common.tf.saved_model.load(str(export / common.SAVED_MODEL))
        asked = {"image_bytes": common.tf.constant(contents)}
        answers = partial(saved.signatures["serving_default"], **asked)
    elif way == "LiteRT, bytes":
        answers = partial(predict.LiteRTPredictor(export).predict_bytes, contents)
    elif way == "LiteRT, pixels":
        answers = partial(predict.LiteRTPredictor(export).predict_pixels, pixels)
    else:
        import onnxruntime

        providers = ["CPUExecutionProvider"]
        network = onnxruntime.InferenceSession(export / common.ONNX_FILE, providers=providers)
        answers = partial(network.run, None, {network.get_inputs()[0].name: floats})

    def work() -> int:
        answers()
        return len(files)

    work()  # the first call builds graphs
    return speed_of(work)


def folder(run: Path, files: list[str]) -> Measure:
    """Ours: `helpers.predict` over files, reading and decoding included."""
    predictor, paths = predict.LiteRTPredictor(run / "export"), [Path(file) for file in files]
    return speed_of(lambda: sum(1 for _ in predict.predict_files(predictor, paths)))


def cold(*command: str) -> Measure:
    """Seconds of a whole Python process, from its start to its end."""

    def measure() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=common.ROOT)
        return time.perf_counter() - start

    return measure


class Measured:
    """The measure that `prepare(*arguments)`, importable, returns; `peak` is its memory in GB.

    Raises `WorkshopError` where the process has ended, or what it does fails.
    """

    def __init__(self, prepare: Callable[..., Callable[[], Any]], *arguments: Any):
        context = multiprocessing.get_context("spawn")  # a fork would share our memory
        self._connection, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
        process.start()
        theirs.close()
        self._process, self._name = process, prepare.__name__
        self._receive()

    def __call__(self) -> Any:
        """Returns what the measure returns."""
        self._connection.send("measure")
        return self._receive()

    def close(self) -> float:
        """Ends the process; returns its peak."""
        self._process.kill()  # there is nothing to save, and TensorFlow's threads may not end
        self._process.join()
        return self.peak

    def _receive(self) -> Any:
        try:
            answer, self.peak = self._connection.recv()
        except EOFError:
            answer, self.peak = common.WorkshopError("the process ended, out of memory?"), 0.0
        if isinstance(answer, Exception):
            raise common.WorkshopError(f"measuring {self._name}: {answer}")
        return answer


def peak_memory() -> float:
    """Returns the most memory of this process, or of one that it started, in GB."""
    unit = 2**30 if sys.platform == "darwin" else 2**20  # macOS counts bytes, Linux kilobytes
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if (status := Path("/proc/self/status")).exists():  # the other one begins with the parent's
        own = int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text()).group(1)) / 2**20
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit)


def _serve(connection, prepare: Callable[..., Callable[[], Any]], arguments) -> None:
    # Its own lock is a semaphore of the system, which stays behind when this process is killed.
    tqdm.set_lock(threading.RLock())
    try:
        measure = prepare(*arguments)
        connection.send((None, peak_memory()))
        while connection.recv():
            connection.send((measure(), peak_memory()))
    except Exception as error:  # reported by the parent: this process has no terminal of its own
        connection.send((common.WorkshopError(f"{type(error).__name__}: {error}"), 0.0))
