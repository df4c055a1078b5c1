"""Mean average precision, computed by pycocotools."""

import contextlib
import io
import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from helpers.common import progress_bar, tf
from helpers.detection.config import LabelMap
from helpers.detection.images import batches_in_order
from helpers.detection.network import FasterRCNN

COLUMNS = ("AP", "AP50", "AP75")
MOST = 100  # predictions that count for each image, as in COCO
LEAST_SCORE = 0.01  # lower predictions change no figure that is shown


def score_network(network: FasterRCNN, files: Sequence[str], label_map: LabelMap) -> pd.DataFrame:
    """Scores a network on every image of the records.

    Returns a row per class and one named "all": AP (the mean over IoU .5 to .95), AP50, AP75, and
    the number of `boxes` that count. Difficult boxes are ignored.
    """
    detect = tf.function(network.detect, reduce_retracing=True)
    truths, answers = [], []
    batches = batches_in_order(files, label_map, network.image_size)
    for batch in progress_bar(iterable=batches, desc="scoring", unit="batch"):
        found = detect(batch.pixels, tf.constant(LEAST_SCORE), tf.constant(MOST))
        for row, labels in enumerate(batch.labels.numpy()):
            answers.append([part[row, : found.count[row]].numpy() for part in found[:3]])
            truths.append((batch.boxes[row].numpy()[labels != 0], labels[labels != 0]))
    return average_precision(truths, answers, label_map.names)


def average_precision(truths: Sequence, answers: Sequence, names: Sequence[str]) -> pd.DataFrame:
    """Scores predictions against the truth, as `score_network`; nan where a class has no box.

    An image's truth is boxes (n, 4), ymin, xmin, ymax, xmax, and labels (n,) from 1 on, or -1 for a
    difficult object; its prediction is boxes (m, 4), scores (m,), and classes (m,) from 0.
    """
    numbers = range(1, len(names) + 1)
    rows = [
        [image, *_box(box), float(score), 1 + int(cls)]
        for image, answer in enumerate(answers, 1)
        for box, score, cls in zip(*answer)
    ]
    counts = [sum(int((labels == n).sum()) for _, labels in truths) for n in numbers]
    if not rows or not sum(counts):
        values = np.where(np.array(counts)[:, None] > 0, np.zeros(3), np.nan)
    else:
        things = {
            "images": [{"id": i} for i in range(1, len(truths) + 1)],
            "categories": [{"id": n, "name": name} for n, name in zip(numbers, names)],
            "annotations": list(_annotations(truths, numbers)),
        }
        values = _evaluate(things, np.array(rows))
    table = pd.DataFrame(values, columns=COLUMNS, index=list(names))
    table["boxes"] = counts
    table.loc["all"] = [*table[list(COLUMNS)].mean(), sum(counts)]
    return table.astype({"boxes": int})


def _annotations(truths: Sequence, numbers: Sequence[int]):
    ids = itertools.count(1)
    for image, (boxes, labels) in enumerate(truths, 1):
        for box, label in zip(map(_box, boxes), labels):
            for category in [int(label)] if label > 0 else numbers:
                one = {"id": next(ids), "image_id": image, "category_id": category}
                # a crowd is neither asked for nor held against a prediction
                yield one | {"bbox": box, "area": box[2] * box[3], "iscrowd": int(label < 0)}


def _box(box: np.ndarray) -> list[float]:
    top, left, bottom, right = (float(edge) for edge in box)
    return [left, top, right - left, bottom - top]


def _evaluate(things: dict, rows: np.ndarray) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):  # it reports each of its steps
        truth = COCO()
        truth.dataset = things
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(rows), "bbox")
        judge.evaluate()
        judge.accumulate()
    # (IoU, recall, class, area, most): all sizes, most predictions
    precision = judge.eval["precision"][:, :, :, 0, -1]
    by_iou = np.where(precision < 0, np.nan, precision).mean(axis=1)
    return np.stack([by_iou.mean(axis=0), by_iou[0], by_iou[5]], axis=1)
