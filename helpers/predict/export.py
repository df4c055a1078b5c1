"""Exports a network: image files in, probabilities out, everything in between inside the graph.

export/
    saved_model/   signature "serving_default": bytes of files in (TensorFlow Serving, SageMaker)
    model.tflite   uint8 pixels in (LiteRT: phones, small machines, fast starts)
    model.onnx     float32 pixels in, 0 to 255 (ONNX Runtime)
    labels.json    the class names of every output
"""

import logging
import tarfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from helpers.common import (
    EXPORT_FILES,
    LITERT_FILE,
    ONNX_FILE,
    SAVED_MODEL,
    WorkshopError,
    check_file,
    keras,
    temporary_draft,
    tf,
    whole_file,
    whole_folder,
    write_sums,
)
from helpers.manifest import IMAGE_HEADER, LABELS_FILE, Labels
from helpers.pipeline import decode_image
from helpers.predict.litert import need_export

FORMATS = ("saved_model", "litert", "onnx")


def export_run(run: Any, formats: Sequence[str] = FORMATS) -> Path:
    """Exports the best model of a run and returns the folder; raises where no epoch has ended."""
    return export_model(run.load_predictor(), run.labels, run.export_folder, formats)


def export_model(
    model: keras.Model, labels: Labels, folder: Path, formats: Sequence[str] = FORMATS
) -> Path:
    """Exports a network of `helpers.model.build_model` into a folder, which it returns."""
    if unknown := sorted(set(formats) - set(FORMATS)):
        raise WorkshopError(f"expected formats of {', '.join(FORMATS)}, found {unknown}.")
    with whole_folder(folder, EXPORT_FILES) as draft, _quiet():
        labels.write(draft / LABELS_FILE)
        if "saved_model" in formats:
            export_saved_model(model, labels, draft / SAVED_MODEL)
        if "litert" in formats:
            (draft / LITERT_FILE).write_bytes(convert_to_litert(model))
        if "onnx" in formats:
            # takes float32 (batch, height, width, 3), RGB 0 to 255
            model.export(str(draft / ONNX_FILE), format="onnx", verbose=False)
        write_sums(draft, SAVED_MODEL, LITERT_FILE, ONNX_FILE)
    return folder


def export_saved_model(model: keras.Model, labels: Labels, folder: Path) -> None:
    """Writes a SavedModel: `image_bytes` of files (batch,) to {task: float32 (batch, classes)}."""
    image_size = model.input_shape[1:3]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = tf.TensorSpec((*image_size, 3), tf.uint8)
        decode = partial(decode_image, image_size=image_size)
        images = tf.map_fn(decode, image_bytes, fn_output_signature=spec)
        return model(tf.cast(images, tf.float32), training=False)

    _write_saved_model(model, serve, folder)
    labels.write(folder / "assets.extra" / LABELS_FILE)  # where TensorFlow Serving allows files


def _write_saved_model(model: keras.Model, serve: Callable, folder: Path) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve)
    archive.write_out(str(folder), verbose=False)


def convert_to_litert(model: keras.Model) -> bytes:
    """Converts to a LiteRT flatbuffer: uint8 (batch, height, width, 3) RGB to probabilities."""
    shape = (None, *model.input_shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8, name="pixels")])
    def classify(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return model(tf.cast(pixels, tf.float32), training=False)

    with closing(temporary_draft("litert")) as draft, _quiet():
        _write_saved_model(model, classify, draft.path)
        return tf.lite.TFLiteConverter.from_saved_model(str(draft.path)).convert()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the progress and warnings of the converters; errors still raise."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(level)


def archive_folder(export_folder: Path, path: Path, code: Sequence[Path] = ()) -> Path:
    """Packs the SavedModel of an export as `1/` into a tar.gz, as TensorFlow Serving wants it.

    What the container runs at each request, `code`, goes into `code/`, and the labels with it.
    """
    saved_model = need_export(export_folder, SAVED_MODEL)
    labels = Path(export_folder) / LABELS_FILE
    path = Path(f"{str(path).removesuffix('.tar.gz')}.tar.gz")
    check_file(path)
    with whole_file(path) as draft, tarfile.open(draft, "w:gz") as archive:
        archive.add(saved_model, "1")
        for file in (*code, IMAGE_HEADER) if code else ():
            archive.add(file, f"code/{file.name}")
        if code and labels.exists():  # the names that the code answers with
            archive.add(labels, f"code/{LABELS_FILE}")
    return path
