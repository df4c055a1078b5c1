"""Trains our recipe for signs and the published one, each under an honest split and a leaky one.

    python -m data.sources gtsrb --root DIR --out signs/manifest.csv
    python -m benchmarks.signs --manifest signs/manifest.csv [--minutes N | --epochs N]

A manifest with a given test split keeps it; another one has test tracks split off first. Then the
other pictures are divided into training and validation, once by track and once by picture: with
frames of one physical sign on both sides, validation promises what the test does not keep.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.ablation import markdown_table
from helpers.common import WorkshopError, artifacts_folder, run_command, write_text
from helpers.manifest import GROUP, SPLIT, Manifest, read_manifest, split_at_random, split_by_group
from helpers.scores import per_class
from helpers.train import RECIPES, Recipe

COMPARED = ("signs", "lenet")
SPLITS = ("by track", "by picture")
TEST_SHARE = 0.25
WEAK = 0.8  # a class with a lower share of its test pictures right is named
COLUMNS = ["recipe", "split", "validation", "test", "minutes", "CPU minutes", "epochs", "weak"]


def divided(manifest: Manifest, way: str, share: float, seed: int = 0) -> Manifest:
    """Returns a manifest with train, validation and test.

    Args:
        manifest: with or without a test split.
        way: "by track", or "by picture" as if tracks did not exist.
        share: of the pictures outside of the test set that validate.
        seed: of the split.
    """
    if not manifest.has_split or "test" not in set(manifest.frame[SPLIT]):
        manifest = split_by_group(
            manifest, {"train": 1 - TEST_SHARE, "test": TEST_SHARE}, seed=seed
        )
    split = manifest.frame[SPLIT].where(manifest.frame[SPLIT] == "test", "")
    manifest = dataclasses.replace(manifest, frame=manifest.frame.assign(**{SPLIT: split}))
    shares = {"train": 1 - share, "validation": share}
    if way == "by track":
        return split_by_group(manifest, shares, seed=seed)
    rest = (split == "").to_numpy()
    split = split.to_numpy(object)
    split[rest] = split_at_random(manifest.rows(rest), shares, seed).frame[SPLIT]
    # without the column nothing refuses the leak
    frame = manifest.frame.assign(**{SPLIT: split}).drop(columns=GROUP, errors="ignore")
    return dataclasses.replace(manifest, frame=frame)


def train_and_score(manifest: Manifest, recipe: Recipe, folder: Path) -> dict[str, object]:
    """Trains by a recipe and scores the best epoch on the validation and test splits.

    Returns:
        Accuracies, minutes of wall time and of CPU, epochs, and the weak classes with their
        accuracy: the columns of `COLUMNS` but the first two.
    """
    from helpers.model import load_model
    from helpers.train import predict_manifest, train

    wall, cpu = time.monotonic(), time.process_time()
    run = train(manifest, folder, recipe, overwrite=True)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    model = load_model(run.best_path)
    (task,) = manifest.tasks
    row = {}
    for split in ("validation", "test"):
        part = manifest.subset(split)
        targets, answers = part.targets(task), predict_manifest(model, part)[task]
        row[split] = float((answers.argmax(axis=1) == targets).mean())
    return row | {
        "minutes": wall / 60,
        "CPU minutes": cpu / 60,
        "epochs": len(run.log),
        "weak": weak_classes(targets, answers, manifest.labels.tasks[task]),
    }


def weak_classes(targets: np.ndarray, answers: np.ndarray, classes: tuple[str, ...]) -> str:
    """Names the classes of which less than `WEAK` is right, worst first; "none" where all are."""
    right = per_class(targets, answers, classes)["recall"].dropna()
    weak = right[right < WEAK].sort_values()
    return ", ".join(f"{name} {share:.2f}" for name, share in weak.items()) or "none"


def compare_recipes(
    manifest: Manifest,
    folder: Path,
    minutes: float = 0.0,
    epochs: int = 0,
    share: float = 0.1,
    seed: int = 0,
) -> pd.DataFrame:
    """Trains every recipe under every split.

    Args:
        manifest: one task.
        folder: of the runs.
        minutes: for each training; as many epochs as its recipe says where 0.
        epochs: for each training, instead of its recipe's.
        share: of validation.
        seed: of splits and trainings.

    Returns:
        A row for each training, with `COLUMNS`.
    """
    if len(manifest.tasks) != 1:
        raise WorkshopError(
            f"{manifest.name}: expected one task, found {', '.join(manifest.tasks)}."
        )
    rows = []
    for name in COMPARED:
        recipe = RECIPES[name]
        stage = recipe.stages[0]
        stage = stage.replace(minutes=minutes, epochs=epochs or stage.epochs)
        recipe = recipe.replace(stages=(stage,), seed=seed)
        for way in SPLITS:
            part = divided(manifest, way, share, seed)
            row = train_and_score(part, recipe, folder / f"{name} {way}".replace(" ", "-"))
            rows.append({"recipe": name, "split": way, **row})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows, columns=COLUMNS)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("benchmarks.signs", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="the manifest CSV, with tracks as groups")
    add("--minutes", type=float, default=0, help="train each for so long (default: its epochs)")
    add("--epochs", type=int, default=0, help="train each for so many epochs (default: its own)")
    add("--validation", type=float, default=0.1, help="share that validates (default 0.1)")
    add("--seed", type=int, default=0, help="of splits and trainings (default 0)")
    add("--out", type=Path, help="folder of runs and table (default artifacts/.../signs_bench)")
    given = parser.parse_args()
    if given.minutes < 0 or given.epochs < 0 or not 0 < given.validation < 1:
        raise WorkshopError("expected --minutes and --epochs of 0 or more, --validation below 1.")
    folder = given.out or artifacts_folder("signs_bench")
    manifest = read_manifest(given.manifest)
    table = compare_recipes(
        manifest, folder, given.minutes, given.epochs, given.validation, given.seed
    )
    shown = table.map(lambda value: f"{value:.4f}" if isinstance(value, float) else str(value))
    write_text(folder / "signs.md", markdown_table(shown))
    print(markdown_table(shown))
    print(f"wrote {folder / 'signs.md'}")


if __name__ == "__main__":
    run_command(main)
