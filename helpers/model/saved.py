"""Opens a saved model, which may be damaged, or come from a stranger."""

import zipfile
from pathlib import Path

import helpers.model.layers  # noqa: F401 - Keras finds our layers once they are registered
from helpers.common import keras, open_input, reading

PARTS = ["config.json", "metadata.json", "model.weights.h5"]
MOST_TIMES = 4  # the size of a file, unpacked: Keras packs nothing, and weights hardly shrink
AGAIN = "Restore it, or train again; --resume of the training makes best.keras from epochs/ anew."


def load_model(path: Path) -> keras.Model:
    """Loads a model that a run saved, of layers of Keras and of ours, without code of its own.

    WorkshopError where there is none, it is damaged, or holds something else, such as a lambda.
    """
    with reading(path, "a saved Keras model", AGAIN):
        with open_input(path) as file, zipfile.ZipFile(file) as archive:
            _check(archive, Path(path).stat().st_size)
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def _check(archive: zipfile.ZipFile, size: int) -> None:
    names = sorted(archive.namelist())
    if names != PARTS:  # and so nothing that leads out of a folder
        raise ValueError(f"it holds {', '.join(names[:5]) or 'nothing'}")
    unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > MOST_TIMES * size:
        raise ValueError(f"its {size:,} bytes would become {unpacked:,}")
    if broken := archive.testzip():
        raise ValueError(f"{broken} is damaged")
