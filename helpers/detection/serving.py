"""Exports a detection run: image files in; boxes, names and scores out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import helpers.detection.inference as inference
from helpers.cloud import IMAGE_REQUESTS
from helpers.common import (
    EXPORT_FILES,
    SAVED_MODEL,
    check_sums,
    expected,
    keras,
    reading,
    tf,
    whole_folder,
    write_sums,
)
from helpers.detection.config import LABEL_MAP_FILE, LabelMap
from helpers.detection.images import fit_image, scale_of
from helpers.detection.network import FasterRCNN
from helpers.detection.runs import DetectionRun
from helpers.manifest import open_image
from helpers.predict import archive_folder

THRESHOLD, MOST = inference.THRESHOLD, inference.MOST
EXPORT = "export"
ADVICE = "Export the run with helpers.detection.export_run."


class Detections(NamedTuple):
    """What was found in one image, best first."""

    boxes: np.ndarray  # float32 (found, 4), ymin, xmin, ymax, xmax in pixels of the upright image
    normalized: np.ndarray  # the same as fractions of its height and width, 0 to 1
    names: list[str]  # the class of each
    scores: np.ndarray  # float32 (found,), 0 to 1


def export_run(run: DetectionRun) -> Path:
    """Exports the newest checkpoint of a run and returns the folder."""
    network = run.network()
    answer = _answering(network, run.label_map)
    files = tf.TensorSpec([None], tf.string, name="image_bytes")
    limits = tf.TensorSpec([], tf.float32, "threshold"), tf.TensorSpec([], tf.int32, "most")
    alone = tf.function(lambda image_bytes: answer(image_bytes, THRESHOLD, MOST), [files])
    archive = keras.export.ExportArchive()
    for part in (network.pyramid, network.proposer, network.box_head):
        archive.track(part)
    archive.add_endpoint("detect", tf.function(answer, input_signature=[files, *limits]))
    archive.add_endpoint("serving_default", alone)
    with whole_folder(run.folder / EXPORT, EXPORT_FILES) as folder:
        run.label_map.write(folder / LABEL_MAP_FILE)
        archive.write_out(str(folder / SAVED_MODEL), verbose=False)
        run.label_map.write(folder / SAVED_MODEL / "assets.extra" / LABEL_MAP_FILE)
        write_sums(folder, SAVED_MODEL)
    return run.folder / EXPORT


def _answering(network: FasterRCNN, label_map: LabelMap) -> Callable:
    """Returns what the signature "detect" computes; "serving_default" takes `image_bytes` alone."""
    names, image_size = tf.constant(["", *label_map.names]), network.image_size

    def answer(image_bytes, threshold, most) -> dict[str, tf.Tensor]:
        kinds = tf.TensorSpec((*image_size, 3), tf.uint8), tf.TensorSpec((2,), tf.int32)
        pixels, size = tf.map_fn(
            lambda one: fit_image(one, image_size), image_bytes, fn_output_signature=kinds
        )
        found = network.detect(tf.cast(pixels, tf.float32), threshold, most)
        whole = tf.cast(tf.tile(size, [1, 2]), tf.float32)[:, None]
        boxes = tf.minimum(found.boxes / scale_of(size, image_size)[:, None, None], whole)
        real = tf.sequence_mask(found.count, tf.shape(boxes)[1], tf.int32)
        return {
            "boxes": boxes,  # (batch, most, 4) in pixels of the image
            "boxes_normalized": boxes / whole,
            "scores": found.scores,  # (batch, most)
            "names": tf.gather(names, (found.classes + 1) * real),
            "count": found.count,
            "size": size,  # (batch, 2), height and width
        }

    return answer


class Detector:
    """Predicts with the SavedModel that `export_run` made."""

    def __init__(self, export_folder: Path):
        folder = Path(export_folder)
        if not (folder / SAVED_MODEL / "saved_model.pb").is_file():
            raise expected(f"a detector's export in {folder}", "none", ADVICE)
        check_sums(folder, SAVED_MODEL, ADVICE)
        own = folder / SAVED_MODEL / "assets.extra" / LABEL_MAP_FILE  # not in older exports
        self.label_map = LabelMap.read(own if own.is_file() else folder / LABEL_MAP_FILE)
        with reading(folder / SAVED_MODEL, "a detector", ADVICE):
            self._model = tf.saved_model.load(str(folder / SAVED_MODEL))
            self._detect = self._model.signatures["detect"]

    def detect_bytes(
        self, files: Sequence[bytes], threshold: float = THRESHOLD, most: int = MOST
    ) -> list[Detections]:
        """Finds up to `most` objects with a score of `threshold` and more in each image file."""
        limits = {"threshold": tf.constant(threshold, tf.float32), "most": tf.constant(most)}
        images = [open_image(file)[1] for file in files]
        try:
            found = self._detect(image_bytes=tf.constant(images), **limits)
        except tf.errors.InvalidArgumentError as error:
            what, why = "JPEG, PNG, BMP or GIF images", "at least one that cannot be read"
            raise expected(what, why, "Send them one by one to see which.") from error
        columns = ("boxes", "boxes_normalized", "names", "scores")
        answers = []
        for row, count in enumerate(found["count"].numpy()):
            boxes, normalized, names, scores = (found[c][row, :count].numpy() for c in columns)
            answers.append(Detections(boxes, normalized, [n.decode() for n in names], scores))
        return answers


def archive_export(run: DetectionRun, path: Path) -> Path:
    """Packs the export and `helpers.detection.inference` into a tar.gz for an endpoint."""
    return archive_folder(run.folder / EXPORT, path, (Path(inference.__file__), IMAGE_REQUESTS))
