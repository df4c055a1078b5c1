"""What a network has to beat: the largest class, colors alone, and what ImageNet already taught.

    python -m benchmarks baselines --manifest M [--tasks gender,top_color] [--run RUN]

Each takes a minute at most, learns from the split `train` and is scored on `validation`, beside
the network of a run where one is named.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.command import markdown, shared
from helpers import common, model, train
from helpers.evaluate import evaluate
from helpers.manifest import Manifest, read_manifest
from helpers.pipeline import load_images
from helpers.scores import score_manifest

BASELINES = ("majority class", "color histogram", "frozen features")
IMAGE_SIZE = (160, 64)
BANDS = 4  # of an image, each with a histogram of 4 x 4 x 4 colors
SHOWN = ["accuracy", "balanced_accuracy", "macro_f1"]


def predict_baseline(name: str, training: Manifest, asked: Manifest) -> dict[str, np.ndarray]:
    """Learns one of `BASELINES`; returns for each task probabilities, (images, classes)."""
    describe, strength = {
        "color histogram": (_colors, 1e-2),  # on PETA better than 1e-3 and 0.1
        "frozen features": (_features, 1e-3),
    }.get(name, (lambda part: np.zeros((len(part), 1)), 0))
    learner = DummyClassifier(strategy="prior")
    if strength:
        learner = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
    known_inputs, inputs, answers = describe(training), describe(asked), {}
    for task, classes in training.labels.tasks.items():
        targets = training.targets(task)
        learner.fit(known_inputs[targets >= 0], targets[targets >= 0])
        answers[task] = np.zeros((len(asked), len(classes)))
        answers[task][:, learner.classes_] = learner.predict_proba(inputs)
    return answers


def _colors(manifest: Manifest) -> np.ndarray:
    rows = []
    for image in load_images(manifest, IMAGE_SIZE):
        codes = (image >> 6) @ np.array([16, 4, 1], np.uint8)
        bands = np.array_split(codes, BANDS)
        rows.append(np.concatenate([np.bincount(band.ravel(), minlength=64) for band in bands]))
    return np.sqrt(rows)  # of frequencies: few pixels of a color count too


def _features(manifest: Manifest) -> np.ndarray:
    backbone = model.build_backbone(IMAGE_SIZE, "lite0", "imagenet")
    pooled = common.keras.Model(backbone.input, model.pool(backbone.output))
    return train.predict_manifest(pooled, manifest)


def unbeaten(accuracies: pd.DataFrame) -> str:
    """Says of each row and task, its columns, where one of `BASELINES` is as good, a line each."""
    is_baseline, lines = accuracies.index.isin(BASELINES), []
    for task, best in accuracies[is_baseline].max().items():
        for name, own in accuracies[~is_baseline][task].items():
            if own <= best:
                beside = accuracies[is_baseline][task].idxmax()
                lines.append(f"{name} does not beat {beside} in {task}: {own:.3f}, {best:.3f}.\n")
    return "".join(lines)


FLAGS = {**shared("manifest", "tasks"), "--run": {"type": Path, "help": "a run to compare"}}


def run(given) -> None:
    """Learns, and prints."""
    manifest = read_manifest(given.manifest, tasks=given.tasks)
    training, asked = manifest.subset("train"), manifest.subset("validation")
    answers = {name: predict_baseline(name, training, asked) for name in BASELINES}
    tables = {name: score_manifest(asked, found, 0) for name, found in answers.items()}
    if given.run:
        tables[str(given.run)], _ = evaluate(train.open_run(given.run), asked)
    rows = pd.concat(tables, names=["", "task"])[SHOWN]
    print(markdown(rows.reset_index(), ".3f"))
    print(unbeaten(rows["accuracy"].unstack("task")), end="")
