"""Ours beside KerasHub's RetinaNet: same pictures, same minutes, both from random weights.

    python -m pip install --target PEER --no-deps keras-hub regex tokenizers
    python -m benchmarks.detection --records DIR [DIR ...] --minutes 10 --peer PEER

KerasHub is needed for this command only. Each side trains for the same wall time in a process of
its own, one after the other, and is scored on the split val by the same function. With
--checkpoint RUN ours also starts from that run.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.ablation import markdown_table
from benchmarks.processes import Measured
from helpers.common import WorkshopError, artifacts_folder, progress_bar, run_command, write_text
from helpers.detection import LABEL_MAP_FILE, Config

DESCRIPTION = "Trains ours and KerasHub's RetinaNet for the same minutes on the same records."
PEER_BATCH = 4  # as KerasHub was tried on two cores
PEER_RATE = 1e-3  # of Adam, its default
SPEED_SECONDS = 5.0  # of predicting, measured
SPEED_BATCH = 8  # pictures predicted at once
INSTALL = "python -m pip install --target PEER --no-deps keras-hub regex tokenizers"
MOST_BOXES = 64  # of a picture, for the peer


def config_of(records: Path, minutes: float, changes: dict[str, Any]) -> Config:
    """Returns the config of a folder of records: the defaults, trained by the clock."""
    return Config(
        **{
            "label_map": str(records / LABEL_MAP_FILE),
            "train": str(records / "*_train.record-*"),
            "val": str(records / "*_val.record-*"),
            "minutes": minutes,
            "checkpoint_every": 10**9,  # scored once, at the end: both sides train all the time
            **changes,
        }
    )


def ours(config: dict[str, Any], folder: Path) -> Callable[[], dict[str, float]]:
    """Trains our detector.

    Returns:
        A function that returns AP, AP50, steps, pictures trained per second, and predicted.
    """
    from helpers.common import tf
    from helpers.detection import train

    def measure() -> dict[str, float]:
        start = time.monotonic()
        run = train(Config(**config), folder, overwrite=True)
        steps, seconds = int(run.log["step"].iloc[-1]), time.monotonic() - start
        detect = tf.function(run.network().detect)
        speed = _speed(lambda pixels: detect(tf.constant(pixels)), run.config.image_size)
        row = run.log.iloc[-1]
        return _row(row["AP"], row["AP50"], steps, config["batch_size"], seconds, speed)

    return measure


def retinanet(config: dict[str, Any], peer: Path) -> Callable[[], dict[str, float]]:
    """Trains the peer: RetinaNet with a ResNet18, as KerasHub builds it, through its own `fit`.

    Returns:
        As `ours`.
    """
    from helpers.common import tf

    setting = Config(**config)
    hub = _import_peer(peer)
    label_map = setting.read_label_map()
    model = _build_peer(hub, setting.image_size, label_map.classes)

    def measure() -> dict[str, float]:
        start = time.monotonic()
        steps = _fit_peer(model, setting, label_map)
        seconds = time.monotonic() - start
        table = _score_peer(model, setting, label_map)
        detect = _peer_detects(model)
        speed = _speed(lambda pixels: detect(tf.constant(pixels)), setting.image_size)
        scores = table.loc["all"]
        return _row(scores["AP"], scores["AP50"], steps, PEER_BATCH, seconds, speed)

    return measure


def _row(ap: float, ap50: float, steps: int, batch: int, seconds: float, speed: float) -> dict:
    return {
        "AP": float(ap),
        "AP50": float(ap50),
        "steps": steps,
        "trained/s": steps * batch / seconds,
        "predicted/s": speed,
    }


def _speed(predict: Callable[[np.ndarray], Any], image_size: tuple[int, int]) -> float:
    pixels = np.random.default_rng(0).uniform(0, 255, (SPEED_BATCH, *image_size, 3))
    pixels = pixels.astype(np.float32)
    predict(pixels)  # builds graphs
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < SPEED_SECONDS:
        predict(pixels)
        done += SPEED_BATCH
    return done / passed


def _import_peer(peer: Path) -> Any:
    """Imports KerasHub from a folder of its own; the workshop itself never needs it."""
    from helpers.common import keras  # noqa: F401 - first, so that it keeps quiet

    sys.path.append(str(peer))
    try:
        import keras_hub
    except ImportError as error:
        raise WorkshopError(
            f"expected KerasHub for the comparison, found none ({error}). Install it apart: "
            f"{INSTALL}, then name that folder with --peer."
        ) from None
    return keras_hub


def _build_peer(hub: Any, image_size: tuple[int, int], classes: int) -> Any:
    from helpers.common import keras

    shape = (*image_size, 3)
    encoder = hub.models.ResNetBackbone(  # ResNet18
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=shape,
    )
    backbone = hub.models.RetinaNetBackbone(encoder, 3, 5, use_p5=False, image_shape=shape)
    # its own limit is a score of 0.5, which would cut the curve of precision and recall short
    decoder = hub.layers.NonMaxSuppression(
        "yxyx", from_logits=True, confidence_threshold=0.01, max_detections=100
    )
    model = hub.models.RetinaNetObjectDetector(
        backbone, num_classes=classes, bounding_box_format="yxyx", prediction_decoder=decoder
    )
    model.compile(
        optimizer=keras.optimizers.Adam(PEER_RATE, global_clipnorm=10.0),
        box_loss=keras.losses.Huber(reduction="sum"),
        classification_loss=keras.losses.BinaryFocalCrossentropy(
            from_logits=True, apply_class_balancing=True, reduction="sum"
        ),
    )
    return model


def _fit_peer(model: Any, config: Config, label_map: Any) -> int:
    """Trains the peer on our batches, with our schedule; returns its steps."""
    from helpers.common import tf
    from helpers.detection import Example, require_whole, shard_files, training_batches
    from helpers.train import Clock, Stage

    began = time.monotonic()
    files = shard_files(config.train)
    pictures = sum(require_whole(files).values())
    setting = config.replace(batch_size=PEER_BATCH)
    batches = training_batches(files, label_map, setting, pictures, MOST_BOXES)

    def as_the_peer_wants(batch: Example) -> tuple:
        real = batch.labels > 0
        return _scaled(batch.pixels), {
            "boxes": tf.where(real[..., None], batch.boxes, -1.0),
            "labels": tf.where(real, batch.labels - 1, -1),
        }

    stage = Stage(epochs=1, batch_size=PEER_BATCH, learning_rate=PEER_RATE, minutes=config.minutes)
    model.fit(
        batches.map(as_the_peer_wants),
        steps_per_epoch=10**6,
        epochs=1,
        verbose=0,
        callbacks=[Clock(stage, began)],
    )
    return int(model.optimizer.iterations)


def _scaled(pixels: Any) -> Any:
    return pixels / 127.5 - 1.0


def _peer_detects(model: Any) -> Callable:
    """Returns a graph from pixels to answers; `predict_on_batch` fails in KerasHub 0.32.

    A graph for each size of a batch: the peer's own suppression needs to know it.
    """
    from helpers.common import tf

    @tf.function
    def detect(pixels: tf.Tensor) -> dict:
        pixels = _scaled(pixels)
        return model.decode_predictions(model(pixels, training=False), pixels)

    return detect


def _score_peer(model: Any, config: Config, label_map: Any) -> pd.DataFrame:
    from helpers.common import tf
    from helpers.detection import average_precision, batches_in_order, shard_files

    detect = _peer_detects(model)
    truths, answers = [], []
    for batch in batches_in_order(shard_files(config.val), label_map, config.image_size):
        found = detect(tf.cast(batch.pixels, tf.float32))
        for row, labels in enumerate(batch.labels.numpy()):
            count = int(found["num_detections"][row])
            answers.append(
                tuple(np.asarray(found[n][row][:count]) for n in ("boxes", "confidence", "labels"))
            )
            truths.append((batch.boxes[row].numpy()[labels != 0], labels[labels != 0]))
    return average_precision(truths, answers, label_map.names)


def compare(
    records: list[Path], minutes: float, peer: Path | None, checkpoint: Path | None, out: Path
) -> pd.DataFrame:
    """Trains every side on every folder of records.

    Returns:
        A row per records and side.
    """
    rows = {}
    sides = [(folder, side) for folder in records for side in ("ours", "RetinaNet", "from ours")]
    for folder, side in progress_bar(iterable=sides, desc="comparing", unit="training"):
        if (side == "RetinaNet" and peer is None) or (side == "from ours" and checkpoint is None):
            continue
        changes = {"checkpoint": str(checkpoint)} if side == "from ours" else {}
        config = config_of(folder, minutes, changes).model_dump()
        if side == "RetinaNet":
            measured = Measured(retinanet, config, peer)
        else:
            measured = Measured(ours, config, out / f"{folder.name}_{side.replace(' ', '_')}")
        row = measured()
        rows[(folder.name, side)] = row | {"GB": measured.close()}
        print(f"{folder.name}, {side}: {row}", flush=True)
    return pd.DataFrame(rows).T.rename_axis(["records", "network"])


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("benchmarks.detection", description=DESCRIPTION)
    add = parser.add_argument
    add("--records", type=Path, nargs="+", required=True, help="folders of records")
    add("--minutes", type=float, default=10.0, help="of training, for each side (default 10)")
    add("--peer", type=Path, help="where KerasHub is installed; ours alone without it")
    add("--checkpoint", type=Path, help="a run that ours starts from as well")
    add("--out", type=Path, default=artifacts_folder("bench_detection"), help="folder of the page")
    arguments = parser.parse_args()
    table = compare(
        arguments.records, arguments.minutes, arguments.peer, arguments.checkpoint, arguments.out
    )
    page = markdown_table(table.round(3).reset_index())
    write_text(
        arguments.out / "detection.md",
        f"{arguments.minutes:g} minutes of training for each, from random weights unless said "
        f"otherwise\n\n{page}\n",
    )
    print(table.round(3).to_string())


if __name__ == "__main__":
    run_command(main)
