"""Trains ours and KerasHub's RetinaNet equally long on the same records, from random weights.

    python -m pip install --target PEER --no-deps keras-hub regex tokenizers
    python -m benchmarks detection --records DIR [DIR ...] --minutes 10 --peer PEER

KerasHub is needed for this command only. The sides train one after the other, each in a process of
its own, and the same function scores both on the split val. --checkpoint RUN: ours from it as well.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.command import markdown, publish, shared
from benchmarks.measures import FOREVER, Measured, speed_of
from helpers import common, detection, train
from helpers.train import Stage

PEER_BATCH = 4  # as KerasHub was tried on two cores
PEER_RATE = 1e-3  # of Adam, its default
SPEED_SECONDS = 5.0  # of predicting, measured
SPEED_BATCH = 8  # images predicted at once
MOST_BOXES = 64  # of an image, for the peer


def ours(config: dict[str, Any], folder: Path) -> Callable[[], dict[str, float]]:
    """Trains our detector; AP, AP50, steps, images trained and predicted per second."""

    def measure() -> dict[str, float]:
        start = time.monotonic()
        run = detection.train(detection.Config(**config), folder, overwrite=True)
        steps, seconds = int(run.log["step"].iloc[-1]), time.monotonic() - start
        detect = common.tf.function(run.network().detect)
        trained = steps * run.config.batch_size / seconds
        return _row(run.log.iloc[-1], steps, trained, detect, run.config.image_size)

    return measure


def retinanet(config: dict[str, Any], peer: Path) -> Callable[[], dict[str, float]]:
    """Trains RetinaNet with a ResNet18, as KerasHub builds it, by its own `fit`; as `ours`."""
    setting = detection.Config(**{**config, "batch_size": PEER_BATCH})
    label_map = setting.read_label_map()
    model = _build_peer(_import_peer(peer), setting.image_size, label_map.classes)

    @common.tf.function
    def detect(pixels: Any) -> dict:  # `predict_on_batch` fails in KerasHub 0.32
        pixels = pixels / 127.5 - 1.0
        return model.decode_predictions(model(pixels, training=False), pixels)

    def measure() -> dict[str, float]:
        start = time.monotonic()
        steps = _fit_peer(model, setting, label_map)
        trained = steps * PEER_BATCH / (time.monotonic() - start)
        scores = _score_peer(detect, setting, label_map)
        return _row(scores, steps, trained, detect, setting.image_size)

    return measure


def _row(scores, steps: int, trained: float, detect: Callable, image_size: tuple) -> dict:
    pixels = np.random.default_rng(0).uniform(0, 255, (SPEED_BATCH, *image_size, 3)).astype("f4")

    def predict() -> int:
        detect(common.tf.constant(pixels))
        return SPEED_BATCH

    predict()  # builds graphs
    row = {"AP": float(scores["AP"]), "AP50": float(scores["AP50"]), "steps": steps}
    return row | {"trained/s": trained, "predicted/s": speed_of(predict, SPEED_SECONDS)()}


def _import_peer(peer: Path) -> Any:
    """Imports KerasHub from a folder of its own; the workshop itself never needs it."""
    from helpers.common import keras  # noqa: F401 - first, so that it keeps quiet

    sys.path.append(str(peer))
    try:
        import keras_hub
    except ImportError as error:
        install = "python -m pip install --target PEER --no-deps keras-hub regex tokenizers"
        fix = f"Install it apart: {install}, then name that folder with --peer."
        raise common.expected("KerasHub for the comparison", f"none ({error})", fix) from None
    return keras_hub


def _build_peer(hub: Any, image_size: tuple[int, int], classes: int) -> Any:
    keras, shape = common.keras, (*image_size, 3)
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


def _fit_peer(model: Any, config: detection.Config, label_map: Any) -> int:
    """Trains the peer on our batches, with our schedule; returns its steps."""
    tf, began, files = common.tf, time.monotonic(), detection.shard_files(config.train)
    images = sum(detection.require_whole(files).values())
    batches = detection.training_batches(files, label_map, config, images, MOST_BOXES)

    def as_the_peer_wants(batch: detection.Example) -> tuple:
        real = batch.labels > 0
        boxes = tf.where(real[..., None], batch.boxes, -1.0)
        labels = tf.where(real, batch.labels - 1, -1)
        return batch.pixels / 127.5 - 1.0, {"boxes": boxes, "labels": labels}

    stage = Stage(epochs=1, batch_size=PEER_BATCH, learning_rate=PEER_RATE, minutes=config.minutes)
    model.fit(batches.map(as_the_peer_wants), callbacks=[train.Clock(stage, began)], **FOREVER)
    return int(model.optimizer.iterations)


def _score_peer(detect: Callable, config: detection.Config, label_map: Any) -> pd.Series:
    truths, answers, files = [], [], detection.shard_files(config.val)
    for batch in detection.batches_in_order(files, label_map, config.image_size):
        found = detect(common.tf.cast(batch.pixels, "float32"))
        for row, labels in enumerate(batch.labels.numpy()):
            count = int(found["num_detections"][row])
            names = ("boxes", "confidence", "labels")
            answers.append(tuple(np.asarray(found[name][row][:count]) for name in names))
            truths.append((batch.boxes[row].numpy()[labels != 0], labels[labels != 0]))
    return detection.average_precision(truths, answers, label_map.names).loc["all"]


def compare(
    records: list[Path], minutes: float, peer: Path | None, checkpoint: Path | None, out: Path
) -> pd.DataFrame:
    """Trains every side on every folder of records: a row for each."""
    rows, sides = [], {"ours": True, "RetinaNet": peer, "from ours": checkpoint}
    pairs = [(folder, side) for folder in records for side, wanted in sides.items() if wanted]
    for folder, side in common.progress_bar(iterable=pairs, desc="comparing", unit="training"):
        config = {
            "label_map": str(folder / detection.LABEL_MAP_FILE),
            "train": (str(folder / "*_train.record-*"),),
            "val": (str(folder / "*_val.record-*"),),
            "minutes": minutes,
            "checkpoint_every": 10**8,  # scored once, at the end: both sides train all the time
            "checkpoint": str(checkpoint) if side == "from ours" else None,
        }
        place = out / f"{folder.name}_{side.replace(' ', '_')}"
        prepare, where = (retinanet, peer) if side == "RetinaNet" else (ours, place)
        measured = Measured(prepare, config, where)
        row = {"records": folder.name, "network": side, **measured()}
        rows.append(row | {"GB": measured.close()})
        print(row, flush=True)
    return pd.DataFrame(rows)


FLAGS = {
    **shared(minutes=10.0, out=common.artifacts_folder("bench_detection")),
    "--records": {"type": Path, "nargs": "+", "required": True, "help": "folders of records"},
    "--peer": {"type": Path, "help": "where KerasHub is installed; ours alone without it"},
    "--checkpoint": {"type": Path, "help": "a run that ours starts from as well"},
}


def run(given) -> None:
    """Trains, and writes detection.md."""
    table = compare(given.records, given.minutes, given.peer, given.checkpoint, given.out)
    heading = f"{given.minutes:g} minutes of training for each, from random weights unless said "
    page = f"{heading}otherwise\n\n{markdown(table, '.3f')}"
    publish(page, given.out / "detection.md")
