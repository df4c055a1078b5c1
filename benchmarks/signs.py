"""Trains our recipe for signs and the published one, each under an honest split and a leaky one.

    python -m data.sources gtsrb --root DIR --out signs/manifest.csv
    python -m benchmarks signs --manifest signs/manifest.csv [--minutes N | --epochs N]

A manifest without a test split has test tracks split off first. The other images are divided into
training and validation, once by track and once by image: with frames of one physical sign on both
sides, validation promises what the test does not keep.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.command import markdown, publish, shared
from benchmarks.trainings import train_apart
from helpers.common import WorkshopError, artifacts_folder, number_flag, seed_flag
from helpers.manifest import GROUP, SPLIT, Manifest, read_manifest, split_by_group
from helpers.scores import per_class
from helpers.train import Recipe, change, find_recipe

COMPARED = ("signs", "lenet")
SPLITS = ("by track", "by image")
WEAK = 0.8  # a class with a lower recall on the test images is named
COLUMNS = ["recipe", "split", "validation", "test", "minutes", "CPU minutes", "epochs", "weak"]


def divided(manifest: Manifest, way: str, share: float, seed: int = 0) -> Manifest:
    """Splits off a missing test set, and a fraction (`share`) of the rest for validation."""
    if not manifest.has_split or "test" not in set(manifest.frame[SPLIT]):
        manifest = split_by_group(manifest, {"train": 0.75, "test": 0.25}, seed=seed)
    frame = manifest.frame.assign(
        **{SPLIT: manifest.frame[SPLIT].where(manifest.frame[SPLIT] == "test", "")}
    )
    if way == "by image":  # without the column nothing refuses the leak
        frame = frame.drop(columns=GROUP, errors="ignore")
    manifest = dataclasses.replace(manifest, frame=frame)
    return split_by_group(manifest, {"train": 1 - share, "validation": share}, seed=seed)


def train_and_score(manifest: Manifest, recipe: Recipe, folder: Path) -> dict[str, object]:
    """Trains, and scores the best epoch on validation and test: `COLUMNS` but the first two."""
    (task,) = manifest.tasks
    parts = {name: manifest.subset(name) for name in ("validation", "test")}
    found = train_apart(manifest, recipe, list(parts.values()), folder, best=True)
    row = {}
    for (name, part), answers in zip(parts.items(), found["answers"]):
        targets, answer = part.targets(task), answers[task]
        row[name] = float((answer.argmax(axis=1) == targets).mean())
    weak = weak_classes(targets, answer, manifest.labels.tasks[task])
    row |= {"minutes": found["minutes"], "CPU minutes": found["CPU minutes"]}
    return row | {"epochs": math.ceil(found["epochs"]), "weak": weak}


def weak_classes(targets: np.ndarray, answers: np.ndarray, classes: tuple[str, ...]) -> str:
    """Names the classes with a recall below `WEAK`, worst first; "none" where there are none."""
    right = per_class(targets, answers, classes)["recall"].dropna()
    weak = right[right < WEAK].sort_values()
    return ", ".join(f"{name} {share:.2f}" for name, share in weak.items()) or "none"


def compare_recipes(
    manifest: Manifest, folder: Path, minutes=0.0, epochs=0, share=0.1, seed=0
) -> pd.DataFrame:
    """Trains every recipe under every split, as long as it says where no length is given."""
    if len(manifest.tasks) != 1:
        found = ", ".join(manifest.tasks)
        raise WorkshopError(f"{manifest.name}: expected one task, found {found}.")
    rows = []
    for name in COMPARED:
        recipe = change(find_recipe(name), minutes=minutes, seed=seed)
        recipe = change(recipe, epochs=epochs) if epochs else recipe
        for way in SPLITS:
            part = divided(manifest, way, share, seed)
            row = train_and_score(part, recipe, folder / f"{name} {way}".replace(" ", "-"))
            rows.append({"recipe": name, "split": way, **row})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows, columns=COLUMNS)


FLAGS = {
    **shared("manifest", "minutes", "epochs", "out"),
    "--validation": number_flag("its fraction", 0.001, 0.999, 0.1),
    "--seed": seed_flag("of splits and trainings"),
}


def run(given) -> None:
    """Trains, and writes signs.md."""
    folder, manifest = given.out or artifacts_folder("signs_bench"), read_manifest(given.manifest)
    length = (given.minutes, given.epochs)
    table = compare_recipes(manifest, folder, *length, given.validation, given.seed)
    publish(markdown(table, ".4f"), folder / "signs.md")
