"""Mean average precision, computed by pycocotools."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from helpers.common import progress_bar, tf
from helpers.detection.images import batches_in_order
from helpers.detection.label_map import LabelMap
from helpers.detection.network import FasterRCNN

COLUMNS = ("AP", "AP50", "AP75")
MOST = 100  # answers that count for each image, as COCO has it
LEAST_SCORE = 0.01  # answers below change no figure that is shown


def score_network(network: FasterRCNN, files: Sequence[str], label_map: LabelMap) -> pd.DataFrame:
    """Scores a network on every image of the records.

    Returns:
        A row per class and one named "all": AP (the mean over IoU .5 to .95), AP50, AP75, and
        the number of `boxes` that count. Difficult boxes are ignored.
    """
    detect = tf.function(network.detect, reduce_retracing=True)
    truths, answers = [], []
    batches = batches_in_order(files, label_map, network.image_size)
    for batch in progress_bar(iterable=batches, desc="scoring", unit="batch"):
        found = detect(batch.pixels, tf.constant(LEAST_SCORE), tf.constant(MOST))
        for row, labels in enumerate(batch.labels.numpy()):
            found_here = (part[row, : found.count[row]].numpy() for part in found[:3])
            answers.append(tuple(found_here))
            truths.append((batch.boxes[row].numpy()[labels != 0], labels[labels != 0]))
    return average_precision(truths, answers, label_map.names)


def average_precision(
    truths: Sequence[tuple[np.ndarray, np.ndarray]],
    answers: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    names: Sequence[str],
) -> pd.DataFrame:
    """Scores predictions against the truth, as `score_network`; nan where a class has no box.

    Args:
        truths: of each image boxes (n, 4) as ymin, xmin, ymax, xmax, and labels (n,): the place
            of the class from 1 on, or -1 for a difficult object of whatever class.
        answers: of each image boxes (m, 4), scores (m,), and classes (m,), from 0.
        names: of the classes.
    """
    numbers = list(range(1, len(names) + 1))
    rows = [
        [image, *_box(box), float(score), 1 + int(cls)]
        for image, answer in enumerate(answers, 1)
        for box, score, cls in zip(*answer)
    ]
    counts = [sum(int((labels == n).sum()) for _, labels in truths) for n in numbers]
    if not rows or not sum(counts):
        values = np.where(np.array(counts)[:, None] > 0, 0.0, np.nan) * np.ones((1, 3))
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
    number = 0
    for image, (boxes, labels) in enumerate(truths, 1):
        for box, label in zip(boxes, labels):
            x, y, width, height = _box(box)
            for category in [label] if label > 0 else numbers:
                number += 1
                yield {
                    "id": number,
                    "image_id": image,
                    "category_id": int(category),
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": int(label < 0),  # neither asked for nor held against an answer
                }


def _box(box: np.ndarray) -> tuple[float, float, float, float]:
    top, left, bottom, right = (float(edge) for edge in box)
    return left, top, right - left, bottom - top


def _evaluate(things: dict, rows: np.ndarray) -> np.ndarray:
    with contextlib.redirect_stdout(io.StringIO()):  # it tells about each of its steps
        truth = COCO()
        truth.dataset = things
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(rows), "bbox")
        judge.evaluate()
        judge.accumulate()
    # (IoU, recall, class, area, most): all sizes, most answers
    precision = judge.eval["precision"][:, :, :, 0, -1]
    precision = np.where(precision < 0, np.nan, precision)
    values = [precision.mean(axis=(0, 1)), precision[0].mean(axis=0), precision[5].mean(axis=0)]
    return np.stack(values, axis=1)
