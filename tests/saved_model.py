"""Predicts with an exported SavedModel in this process, as TensorFlow Serving does in its own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from helpers.common import SAVED_MODEL, WorkshopError, reading, tf
from helpers.manifest import open_image
from helpers.predict.litert import HOW, need_export, read_labels


class SavedModelPredictor:
    """Predicts with the exported SavedModel: the bytes of files in, probabilities out."""

    def __init__(self, export_folder: Path):
        path = need_export(export_folder, SAVED_MODEL)
        with reading(path, "a SavedModel of a run", f"Export the run anew {HOW}."):
            self._model = tf.saved_model.load(str(path))
            self._serve = self._model.signatures["serving_default"]
            outputs = self._serve.structured_outputs.items()
            heads = {task: int(spec.shape[-1]) for task, spec in outputs}
        self.labels = read_labels(path.parent, heads)

    def predict_bytes(self, files: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Predicts a batch of files: for each task float32 (files, classes), rows that sum to 1.

        One that is no image, or larger than `helpers.manifest` allows, raises a `WorkshopError`.
        """
        images = [open_image(file)[1] for file in files]
        try:
            answers = self._serve(image_bytes=tf.constant(images))
        except tf.errors.InvalidArgumentError as error:
            raise WorkshopError(
                "expected JPEG, PNG, BMP or GIF images, found at least one that cannot be read. "
                "Send them one by one to see which."
            ) from error
        return {task: answers[task].numpy() for task in self.labels.tasks}
