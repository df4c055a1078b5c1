"""What real data teaches: five experiments on a manifest with persons and cameras, as pictures.

    python -m benchmarks.lessons --manifest M [--out FOLDER] [--epochs N]

leak          what a split at random promises, and what unseen persons give
disagreement  which classes of a task are taken for each other
calibration   how far to believe a probability, before and after a temperature
cameras       the accuracy by camera, and where no picture of that camera was trained on
persons       what fewer persons cost, and what training half as long costs

The pictures of one such run are committed in images/real, for those who do not have the data.
"""

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from helpers import plots
from helpers import scores as metrics
from helpers.common import (
    ROOT,
    WorkshopError,
    artifacts_folder,
    real_manifest,
    run_command,
    whole_folder,
    write_json,
)
from helpers.manifest import (
    SPLIT,
    Manifest,
    fewer_groups,
    read_manifest,
    split_at_random,
    split_by_group,
)
from helpers.train import Recipe, Stage, change

COMMITTED = ROOT / "images" / "real"
LESSONS = ("leak", "disagreement", "calibration", "cameras", "persons")
CAMERA_FOLDS = 3  # trainings that each leave out a third of the cameras
SHARES = (1 / 8, 1 / 4, 1 / 2)  # of the persons
FEWEST = 100  # labelled pictures of a camera that is shown
SEED = 0
Probabilities = Mapping[str, np.ndarray]


def lesson_pictures() -> dict[str, Path]:
    """Returns a picture for each lesson: of your data where you name it, else the committed ones.

    `WORKSHOP_REAL=manifest.csv` names a manifest with the columns `group` and `camera` or `subset`.
    The experiments then run once, and are shown from their folder afterwards.
    """
    folder, manifest = COMMITTED, real_manifest()
    if manifest is not None:
        folder = artifacts_folder("real")
        if not all((folder / f"{name}.png").exists() for name in LESSONS):
            run_lessons(read_manifest(manifest), folder, epochs=8)
    return {name: folder / f"{name}.png" for name in LESSONS}


def run_lessons(manifest: Manifest, folder: Path, epochs: int) -> None:
    """Trains, scores and draws all lessons into a folder, whole or not at all.

    Args:
        manifest: with groups, and a column `camera` or `subset`.
        folder: gets a PNG for each lesson and `lessons.json` with the figures in them.
        epochs: of each training of the first four lessons. The fifth trains twice as long.

    Raises:
        WorkshopError: no groups or cameras in the manifest.
    """
    column = camera_column(manifest)
    stage = Stage(epochs=epochs, image_size=(96, 40))
    recipe = Recipe(stages=(stage,), seed=SEED, sampling="")  # no training may know the persons
    tests = split_by_group(manifest, {"train": 0.8, "test": 0.2}, seed=SEED)
    unseen, others = tests.subset("test"), tests.subset("train")
    splits = {
        "at random": split_at_random(others, {"train": 0.75, "validation": 0.25}, seed=SEED),
        "by person": split_by_group(others, {"train": 0.75, "validation": 0.25}, seed=SEED),
    }
    parts, answers = [], {}
    for kind, split in splits.items():
        answers, promised = _answers(split, recipe, [unseen, split.subset("validation")], kind)
        for measured, part, found in (
            ("promised", split.subset("validation"), promised),
            ("unseen", unseen, answers),
        ):
            table = metrics.score_manifest(part, found)
            parts.append(table.assign(split=kind, measured=measured))
    leak = pd.concat(parts).reset_index()
    validation = splits["by person"].subset("validation")
    cameras = _cameras(splits["by person"], unseen, answers, column, recipe)
    persons = _persons(splits["by person"], unseen, answers, recipe)
    figures = {
        "leak": plots.leak(leak),
        "disagreement": _disagreement(unseen, answers),
        "calibration": _calibration(validation, promised, unseen, answers),
        "cameras": plots.two_scores_by(cameras, f"{unseen.tasks[0]}, by {column}"),
        "persons": plots.learning_curve(persons),
    }
    with whole_folder(folder) as draft:
        for name, figure in figures.items():
            figure.savefig(draft / f"{name}.png", dpi=110)
        write_json(draft / "lessons.json", _figures_of(leak, cameras, persons))


def camera_column(manifest: Manifest) -> str:
    """Returns the column that says where a picture was taken: `subset` or `camera`.

    Raises:
        WorkshopError: the manifest has neither, or no groups.
    """
    for column in ("subset", "camera"):
        if column in manifest.frame and len(set(manifest.frame[column])) > CAMERA_FOLDS:
            if "group" in manifest.frame:
                return column
            break
    raise WorkshopError(
        f"{manifest.name}: expected the columns group and camera (or subset), with more than "
        f"{CAMERA_FOLDS} cameras; found {', '.join(manifest.frame.columns)}. "
        "A manifest of `python -m data.sources peta` has them."
    )


def _answers(
    split: Manifest, recipe: Recipe, asked: list[Manifest], name: str
) -> list[Probabilities]:
    """Trains on a split and predicts other rows; the run is not kept."""
    from helpers.model import load_model
    from helpers.train import predict_manifest, train

    print(f"training: {name}")
    nameless = replace(split, frame=split.frame.drop(columns="group"))  # a leak is to be shown
    run = train(nameless, artifacts_folder("runs") / "lessons", recipe, overwrite=True)
    model = load_model(run.best_path)
    return [predict_manifest(model, part) for part in asked]


def _cameras(
    split: Manifest, unseen: Manifest, answers: Probabilities, column: str, recipe: Recipe
) -> pd.DataFrame:
    """Scores the first task by camera: trained on all of them, and on others only."""
    task, cameras = unseen.tasks[0], sorted(set(split.frame[column]))
    foreign = {name: np.array(table) for name, table in answers.items()}
    for fold in range(CAMERA_FOLDS):
        left_out = cameras[fold::CAMERA_FOLDS]
        known = split.rows(~split.frame[column].isin(left_out).to_numpy())
        name = f"without {', '.join(left_out)}"
        (found,) = _answers(known, recipe, [unseen], name)
        rows = unseen.frame[column].isin(left_out).to_numpy()
        for each in foreign:
            foreign[each][rows] = found[each][rows]
    targets, where = unseen.targets(task), list(unseen.frame[column])
    tables = {
        kind: metrics.score_by(targets, table[task], where, unseen.groups)
        for kind, table in {"trained on": answers, "left out": foreign}.items()
    }
    table = pd.concat(tables, axis=1)
    enough = table["trained on", "labelled"] >= min(FEWEST, table["trained on", "labelled"].max())
    return table[enough].sort_values(("trained on", "accuracy"), ascending=False)


def _persons(
    split: Manifest, unseen: Manifest, answers: Probabilities, recipe: Recipe
) -> pd.DataFrame:
    """Scores networks that learned from fewer persons as long, and from all half as long.

    Fewer persons come the more often in an epoch: as many steps, and as many epochs to choose from.
    """
    training = (split.frame[SPLIT] == "train").to_numpy()
    longer = change(recipe, epochs=2 * recipe.stages[0].epochs)
    parts = [_scored(split, unseen, answers, "half as long")]
    for share in (*SHARES, 1):
        kept = np.flatnonzero(fewer_groups(split.groups, training, share))
        fewer = split.rows(np.repeat(kept, np.where(training[kept], round(1 / share), 1)))
        (found,) = _answers(fewer, longer, [unseen], f"{share:g} of the persons")
        parts.append(_scored(fewer, unseen, found, "equally long"))
    return pd.concat(parts).reset_index()


def _scored(
    split: Manifest, unseen: Manifest, answers: Probabilities, trained: str
) -> pd.DataFrame:
    persons = len(set(split.subset("train").groups))
    return metrics.score_manifest(unseen, answers).assign(persons=persons, trained=trained)


def _disagreement(unseen: Manifest, answers: Probabilities) -> Figure:
    task = max(unseen.tasks, key=lambda name: len(unseen.labels.tasks[name]))
    table = metrics.confusion(unseen.targets(task), answers[task], unseen.labels.tasks[task])
    return plots.confusion_matrix(table, task)


def _calibration(
    validation: Manifest, promised: Probabilities, unseen: Manifest, answers: Probabilities
) -> Figure:
    curves = {}
    for task in unseen.tasks:
        targets = unseen.targets(task)
        temperature = metrics.fit_temperature(validation.targets(task), promised[task])
        calibrated = metrics.apply_temperature(answers[task], temperature)
        curves[task] = {
            "before": metrics.calibration_curve(targets, answers[task]),
            f"temperature {temperature:.2f}": metrics.calibration_curve(targets, calibrated),
        }
    return plots.reliability(curves)


def _figures_of(leak: pd.DataFrame, cameras: pd.DataFrame, persons: pd.DataFrame) -> dict:
    """Returns the figures that the prose beside the pictures is about."""
    accuracy = leak.pivot_table("accuracy", ["split", "task"], "measured", sort=False).round(3)
    by_camera = cameras.xs("accuracy", axis=1, level=1).astype(float).round(3)
    by_persons = persons.pivot_table("accuracy", ["trained", "persons"], "task").round(3)
    return {
        "leak": {kind: part.loc[kind].to_dict("index") for kind, part in accuracy.groupby("split")},
        "cameras": by_camera.to_dict("index"),
        "persons": {
            kind: part.loc[kind].to_dict("index") for kind, part in by_persons.groupby("trained")
        },
    }


def main() -> None:
    """Runs the command."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    parser = argparse.ArgumentParser("benchmarks.lessons", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="with the columns group and camera or subset")
    add("--tasks", default="gender,age,top_color,bottom_color", help="first: the one by camera")
    add(
        "--epochs",
        type=int,
        default=8,
        help="of each training; twice as many of the last four (default 8)",
    )
    add("--out", type=Path, help="folder of the pictures (default artifacts/full/real)")
    arguments = parser.parse_args()
    manifest = read_manifest(arguments.manifest, tasks=arguments.tasks.split(","))
    folder = arguments.out or artifacts_folder("real")
    run_lessons(manifest, folder, arguments.epochs)
    print(f"wrote {', '.join(f'{name}.png' for name in LESSONS)} and lessons.json in {folder}")


if __name__ == "__main__":
    run_command(main)
