"""What every part uses: errors, files, progress, settings, and Keras without its notices."""

from typing import TYPE_CHECKING

import helpers.common.settings
from helpers.common.lazy import front_door

if TYPE_CHECKING:
    from helpers.common.backend import keras, layers, steady, tf
    from helpers.common.bounds import Declared, describe_bounds, number_flag, plain_name, seed_flag
    from helpers.common.errors import WorkshopError, expected, more, run_command
    from helpers.common.files import (
        EXPORT_FILES,
        Draft,
        Output,
        check_file,
        check_out,
        read_json,
        sweep,
        temporary_draft,
        whole_file,
        whole_folder,
        write_json,
        write_text,
    )
    from helpers.common.inputs import (
        check_sums,
        digest,
        extract,
        open_input,
        read_input,
        reading,
        write_sums,
    )
    from helpers.common.settings import (
        CORES,
        EVENT_NAMES,
        EXPORT_NAMES,
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
    )
    from helpers.common.terminal import progress_bar, standard_error_silenced

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
