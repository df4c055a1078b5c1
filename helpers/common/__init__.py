"""What every part uses: errors, files, progress, settings, and Keras without its notices."""

from helpers.common.lazy import front_door

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        "backend": ["keras", "layers", "steady", "tf"],
        "errors": ["WorkshopError", "expected", "run_command"],
        "files": ["read_json", "whole_file", "whole_folder", "write_json", "write_text"],
        "lazy": ["front_door"],
        "memory": ["peak_memory"],
        "models": ["Declared"],
        "settings": [
            "CORES",
            "LITERT_FILE",
            "ONNX_FILE",
            "ROOT",
            "SAVED_MODEL",
            "artifacts_folder",
            "choose",
            "cloud_world",
            "generated_folder",
            "is_fast",
            "need",
        ],
        "terminal": ["progress_bar", "standard_error_silenced"],
    },
)
