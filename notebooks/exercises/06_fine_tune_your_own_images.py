"""What 06_fine_tune_your_own_images accepts as an answer, and the hints."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from helpers.workshop import Exercise

FILES = {  # below a folder: label and group, or None for what is no image
    "cats/p0007_c1.jpg": ("cats", "p0007"),
    "cats/p0007_c2.jpg": ("cats", "p0007"),
    "dogs/p0012_c1.jpg": ("dogs", "p0012"),
    "dogs/p0007_c3.jpg": ("dogs", "p0007"),
    "dogs/notes.txt": None,
}
LAST_FROZEN = "block_4_project"
LEARNED = 0.8  # of the images that it was trained on: a head that learned nothing is far below


def _folder(answer: Any) -> bool:
    with TemporaryDirectory() as name:
        for file in FILES:
            (Path(name) / file).parent.mkdir(exist_ok=True)
            (Path(name) / file).touch()
        table = answer(Path(name))
    rows = table[["image_path", "label", "group"]].astype(str).to_numpy()
    found = {path.replace("\\", "/"): (label, group) for path, label, group in rows}
    wanted = {file: row for file, row in FILES.items() if row}
    return found == wanted and len(rows) == len(wanted)


def _freeze(answer: Any) -> bool:
    own = [layer for layer in answer.get_layer("backbone").layers if layer.weights]
    names = [layer.name for layer in own]
    last = names.index(LAST_FROZEN)
    frozen = [not layer.trainable_weights for layer in own]
    untrained = answer.compiled and int(answer.optimizer.iterations) == 0
    return all(frozen[: last + 1]) and not any(frozen[last + 1 :]) and untrained


def _stored(answer: Any, extractor: Any, images: Any, targets: Any) -> bool:
    predictions = answer.predict(images, verbose=0)
    right = [
        (predictions[task].argmax(axis=1) == rows)[rows >= 0].mean()
        for task, rows in targets.items()
    ]
    return extractor in answer.layers and np.mean(right) > LEARNED


EXERCISES: dict[str, Exercise] = {
    "06-folder": Exercise(
        _folder,
        "folder.glob('*/*.jpg') finds the files. Of a file, `file.parent.name` is the class and "
        "`file.name.split('_')[0]` the person; file.relative_to(folder) is its path in the table.",
    ),
    "06-freeze": Exercise(
        _freeze,
        "`[layer.name for layer in backbone.layers].index('block_4_project')` is the place of the "
        "last frozen layer. Make the whole backbone trainable first, and compile at the end.",
    ),
    "06-stored": Exercise(
        _stored,
        "The input of the small network is `keras.Input(features.shape[1:])`. Normalize it first, "
        "as the notebook does; `keras.Input((*IMAGE_SIZE, 3))` is that of the whole, which calls "
        "extractor and then the small network.",
    ),
}
