"""What every part uses: errors, files, progress, settings, and Keras without its notices."""

from helpers.common.errors import WorkshopError, expected, run_command
from helpers.common.files import read_json, whole_file, whole_folder, write_json, write_text
from helpers.common.lazy import front_door
from helpers.common.memory import peak_memory
from helpers.common.progress import progress_bar
from helpers.common.settings import (
    CORES,
    LITERT_FILE,
    ONNX_FILE,
    ROOT,
    SAVED_MODEL,
    artifacts_folder,
    choose,
    cloud_world,
    generated_folder,
    is_fast,
    need,
    real_manifest,
)

__getattr__, __dir__, _names = front_door(
    __name__, {"backend": ["keras", "layers", "steady", "tf"], "quiet": ["standard_error_silenced"]}
)
__all__ = [
    "CORES",
    "LITERT_FILE",
    "ONNX_FILE",
    "ROOT",
    "SAVED_MODEL",
    "WorkshopError",
    "artifacts_folder",
    "choose",
    "cloud_world",
    "expected",
    "front_door",
    "generated_folder",
    "is_fast",
    "keras",
    "layers",
    "need",
    "peak_memory",
    "progress_bar",
    "read_json",
    "real_manifest",
    "run_command",
    "standard_error_silenced",
    "steady",
    "tf",
    "whole_file",
    "whole_folder",
    "write_json",
    "write_text",
]
