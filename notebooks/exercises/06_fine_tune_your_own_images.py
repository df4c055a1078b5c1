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


def _freeze(answer: Any, backbone: Any) -> bool:
    own = [layer for layer in backbone.layers if layer.weights]
    names = [layer.name for layer in own]
    last = names.index(LAST_FROZEN)
    frozen = [not layer.trainable_weights for layer in own]
    untrained = answer.compiled and int(answer.optimizer.iterations) == 0
    right = all(frozen[: last + 1]) and not any(frozen[last + 1 :])
    return right and untrained and backbone in answer.layers


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
        "glob('*/*.jpg') of the folder finds the files. `Path('cats', 'p7_c2.jpg').parent.name` is "
        "the class, `Path('cats', 'p7_c2.jpg').name.split('_')[0]` the person, and relative_to() "
        "gives the path in the table.",
    ),
    "06-freeze": Exercise(
        _freeze,
        "`backbone.get_layer('block_4_project')` is the last frozen layer, and `backbone.layers` "
        "has all of them in order. Make the backbone trainable first, and compile at the end.",
    ),
    "06-stored": Exercise(
        _stored,
        "The input of the small network is `keras.Input(extractor.output.shape[1:])`. Normalize it "
        "first, as the notebook does. `keras.Input(extractor.input.shape[1:])` is the input of the "
        "whole, which calls extractor and then the small network.",
    ),
}
