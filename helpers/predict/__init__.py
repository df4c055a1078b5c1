"""Exports a network and predicts with the export: files in, probabilities out."""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "export": [
            "FORMATS",
            "SavedModelPredictor",
            "archive_folder",
            "convert_to_litert",
            "export_model",
            "export_onnx",
            "export_run",
            "export_saved_model",
        ],
        "files": ["find_images", "named", "predict_files"],
        "litert": ["LiteRTPredictor", "fit_pixels", "reduction"],
        "timing": ["images_per_second", "seconds_per_call"],
    },
)
