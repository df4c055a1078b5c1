"""Exports a network and predicts with the export: files in, probabilities out."""

from typing import TYPE_CHECKING

from helpers.common import front_door

if TYPE_CHECKING:
    from helpers.predict.export import FORMATS, archive_folder, export_model, export_run
    from helpers.predict.litert import (
        LiteRTPredictor,
        find_images,
        fit_pixels,
        named,
        predict_files,
        reduction,
    )

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
