"""Measures each part beside its peer or its limit, in the same minutes on the same machine.

    python -m helpers.bench --manifest M [--out FOLDER] [--rounds N]

Every round measures ours and then the other one, because a machine that others use is now fast and
now slow; the ratio is the median over the rounds. The network has random weights: how fast it is
does not depend on them.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.errors import WorkshopError, run_command
from helpers.files import write_text
from helpers.progress import progress_bar
from helpers.quiet import quiet_tensorflow
from helpers.settings import ROOT, artifacts_folder

BATCH = 32
STEPS = 30  # training steps of a measurement, after WARM_UP that are not counted
WARM_UP = 5
MOST_FILES = 2000  # pictures that are read from the disk
VERSIONS_OF = ("tensorflow", "keras", "numpy", "pillow", "ai-edge-litert", "onnxruntime")
COLUMNS = ["what", "ours", "beside", "theirs", "unit", "ratio"]

Measure = Callable[[], float]


def compare(ours: Measure, theirs: Measure, rounds: int) -> tuple[float, float, float]:
    """Measures both in turn.

    Args:
        ours: returns a speed.
        theirs: likewise.
        rounds: how often each is measured, after once that is not counted.

    Returns:
        The median speed of each, and the median of ours by theirs over the rounds.
    """
    ours(), theirs()
    pairs = np.array([(ours(), theirs()) for _ in range(rounds)])
    return *np.median(pairs, axis=0), float(np.median(pairs[:, 0] / pairs[:, 1]))


def speed_of(function: Callable[[], int]) -> Measure:
    """Returns a measure of what `function` does: the pictures it returns, by the second."""

    def measure() -> float:
        start = time.perf_counter()
        return function() / (time.perf_counter() - start)

    return measure


def _input_pipeline(paths: list[str], image_size: tuple[int, int], manifest) -> tuple:
    import tensorflow as tf

    from helpers.pipeline import decoded

    def bare() -> int:
        files = tf.data.Dataset.from_tensor_slices(paths)
        pictures = files.map(
            lambda path: tf.io.decode_jpeg(tf.io.read_file(path), channels=3),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return sum(1 for _ in pictures)

    def whole() -> int:
        return sum(1 for _ in decoded(manifest, image_size))

    return whole, bare


def _training(manifest, stage) -> tuple[Measure, Measure]:
    import tensorflow as tf

    from helpers.augmentation import AUGMENTATIONS
    from helpers.pipeline import training_batches
    from helpers.recipe import Recipe
    from helpers.runs import Run
    from helpers.training import build_stage_model, compile_model, trace_once

    recipe = Recipe(stages=(stage,))
    model = build_stage_model(Run(Path("unused"), manifest.labels, recipe), stage)
    compile_model(model, manifest, recipe, stage, steps=10_000)
    model.optimizer.build(model.trainable_variables)
    batches = training_batches(
        manifest,
        stage.image_size,
        stage.batch_size,
        augmentation=AUGMENTATIONS[stage.augmentation],
    )
    repeated = tf.data.Dataset.from_tensors(next(iter(batches.take(1)))).repeat()
    trace_once(model, repeated)

    def measure_of(iterator) -> Measure:
        def measure() -> float:
            for step in range(WARM_UP + STEPS):
                if step == WARM_UP:
                    start = time.perf_counter()
                float(model.train_function(iterator)["loss"])
            return STEPS * stage.batch_size / (time.perf_counter() - start)

        return measure

    return measure_of(iter(batches)), measure_of(iter(repeated))


def _exported(labels, image_size: tuple[int, int], folder: Path):
    """Exports an untrained network, and returns it."""
    from helpers.files import write_json
    from helpers.manifest import LABELS_FILE
    from helpers.model import build_model
    from helpers.serving import (
        LITERT_FILE,
        ONNX_FILE,
        SAVED_MODEL,
        convert_to_litert,
        export_onnx,
        export_saved_model,
    )

    model = build_model(labels, image_size)
    folder.mkdir(parents=True)
    write_json(folder / LABELS_FILE, {"tasks": {t: list(c) for t, c in labels.tasks.items()}})
    export_saved_model(model, labels, folder / SAVED_MODEL)
    (folder / LITERT_FILE).write_bytes(convert_to_litert(model))
    export_onnx(model, folder / ONNX_FILE)
    return model


def _inference(model, export: Path, paths: list[str], rounds: int) -> list[dict]:
    import onnxruntime

    from helpers.litert import LiteRTPredictor
    from helpers.serving import ONNX_FILE, SavedModelPredictor

    litert, saved = LiteRTPredictor(export), SavedModelPredictor(export)
    onnx = onnxruntime.InferenceSession(export / ONNX_FILE, providers=["CPUExecutionProvider"])
    name = onnx.get_inputs()[0].name
    rows = []
    for size in (1, BATCH):
        files = [Path(path).read_bytes() for path in paths[:size]]
        pixels = np.random.default_rng(0).integers(0, 256, (size, *litert.image_size, 3), np.uint8)
        floats = pixels.astype(np.float32)
        ways = {
            "SavedModel, bytes": lambda files=files: saved.predict_bytes(files),
            "LiteRT, bytes": lambda files=files: litert.predict_bytes(files),
            "LiteRT, pixels": lambda pixels=pixels: litert.predict_pixels(pixels),
            "ONNX Runtime, pixels": lambda floats=floats: onnx.run(None, {name: floats}),
        }
        peer = speed_of(_repeat(lambda floats=floats: model.predict(floats, verbose=0), 5, size))
        for way, function in ways.items():
            ours = speed_of(_repeat(function, 50 if size == 1 else 5, size))
            what = f"{size} picture{'s' * (size > 1)}: {way}"
            rows.append(_row(what, "model.predict", "pictures/s", compare(ours, peer, rounds)))
    return rows


def _repeat(function: Callable[[], object], times: int, pictures: int) -> Callable[[], int]:
    def repeated() -> int:
        for _ in range(times):
            function()
        return times * pictures

    return repeated


def _folder(export: Path, paths: list[str]) -> tuple[Callable[[], int], Callable[[], int]]:
    from helpers.litert import LiteRTPredictor
    from helpers.predict import predict_files

    predictor = LiteRTPredictor(export)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *predictor.image_size, 3), np.uint8)
    times = -(-len(paths) // BATCH)
    files = [Path(path) for path in paths]
    return (
        lambda: sum(1 for _ in predict_files(predictor, files)),
        _repeat(lambda: predictor.predict_pixels(pixels), times, BATCH),
    )


def _seconds_of(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - start


def _row(what: str, beside: str, unit: str, measured: tuple[float, float, float]) -> dict:
    ours, theirs, ratio = measured
    return dict(zip(COLUMNS, (what, ours, beside, theirs, unit, ratio)))


def run_bench(manifest, rounds: int = 5) -> pd.DataFrame:
    """Measures everything.

    Args:
        manifest: pictures and labels; the training split is used where there is one.
        rounds: measurements of each.

    Returns:
        A row for each measurement: what, ours, beside, theirs, unit, ratio.
    """
    from helpers.recipe import Stage

    data = manifest.subset("train") if manifest.has_split else manifest
    few = data.rows(np.arange(min(len(data), MOST_FILES)))
    stage, rows = Stage(epochs=1, batch_size=BATCH), []
    size = stage.image_size
    with progress_bar(total=5, unit="part") as bar, tempfile.TemporaryDirectory() as folder:
        bar.set_description("reading")
        whole, bare = _input_pipeline(few.paths, size, few)
        measured = compare(speed_of(whole), speed_of(bare), rounds)
        rows.append(
            _row("decode and resize from files", "decode_jpeg alone", "pictures/s", measured)
        )
        bar.update()
        bar.set_description("training")
        measured = compare(*_training(data, stage), rounds)
        rows.append(_row("training step", "one repeated batch", "pictures/s", measured))
        bar.update()
        bar.set_description("exporting")
        export = Path(folder) / "run" / "export"
        model = _exported(data.labels, size, export)
        bar.set_description("predicting")
        rows += _inference(model, export, few.paths, rounds)
        bar.update()
        whole, bare = _folder(export, few.paths)
        measured = compare(speed_of(whole), speed_of(bare), rounds)
        rows.append(_row("a folder of files", "network alone, LiteRT", "pictures/s", measured))
        bar.update()
        bar.set_description("starting")
        first = ("-m", "helpers.predict", "--run", str(export.parent), few.paths[0])
        measured = compare(
            lambda: _seconds_of(*first), lambda: _seconds_of("-c", "import tensorflow"), rounds
        )
        rows.append(_row("first answer from a cold start", "import tensorflow", "s", measured))
        bar.update()
    return pd.DataFrame(rows, columns=COLUMNS)


def as_page(table: pd.DataFrame, pictures: int, minutes: float) -> str:
    """Returns the table as Markdown, with what it was measured with."""
    shown = table.copy()
    for column in ("ours", "theirs"):
        shown[column] = [f"{v:,.0f}" if v >= 100 else f"{v:.2f}" for v in table[column]]
    shown["ratio"] = table["ratio"].map("{:.2f}".format)
    lines = [" | ".join(COLUMNS), " | ".join("---" for _ in COLUMNS)]
    lines += [" | ".join(row) for row in shown[COLUMNS].astype(str).to_numpy()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS_OF)
    return "\n".join(
        [
            "# Speed",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.processor()}, "
            f"Python {platform.python_version()}, {versions}.",
            f"{pictures:,} pictures, {minutes:.1f} minutes, at most {peak:.1f} GB of memory. A "
            "ratio is the median over rounds that measure both in turn.",
            "",
            *(f"| {line} |" for line in lines),
            "",
        ]
    )


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("helpers.bench", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="the manifest CSV")
    add("--out", type=Path, help="folder of the page (default artifacts/full/bench)")
    add("--rounds", type=int, default=5, help="measurements of each (default 5)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        raise WorkshopError(f"expected --rounds of 1 or more, found {arguments.rounds}.")
    quiet_tensorflow()
    from helpers.manifest import read_manifest

    manifest = read_manifest(arguments.manifest)
    start = time.perf_counter()
    table = run_bench(manifest, arguments.rounds)
    page = as_page(table, len(manifest), (time.perf_counter() - start) / 60)
    folder = arguments.out or artifacts_folder("bench")
    write_text(folder / "speed.md", page)
    print(page)
    print(f"wrote {folder / 'speed.md'}")


if __name__ == "__main__":
    run_command(main)
