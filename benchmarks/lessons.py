"""What real data teaches: three experiments on a manifest with people and cameras, as images.

    python -m benchmarks lessons --manifest M [--out FOLDER] [--epochs N]

leak     what a random split promises, and the accuracy on unseen people
cameras  the accuracy by camera, and where no image of that camera was trained on
people   what fewer people cost, and what training half as long costs

The cameras are drawn, and all numbers are in lessons.json. Notebooks 03 and 05 show those of one
run, which are in images/real.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.command import shared
from benchmarks.trainings import fewer_groups, split_at_random, train_apart
from helpers import plots, scores
from helpers.common import Output, artifacts_folder, check_out, expected, whole_folder, write_json
from helpers.manifest import Manifest, read_manifest, split_by_group
from helpers.train import Recipe, Stage, change

CAMERA_FOLDS = 3  # trainings that each leave out a third of the cameras
FRACTIONS = (1 / 8, 1 / 4, 1 / 2)  # of the people
FEWEST = 100  # labelled images of a camera that is shown
SEED = 0
FIGURES = Output("the lessons' figures", "lessons.json", r"\w+\.png|lessons\.json")
Probabilities = Mapping[str, np.ndarray]


def run_lessons(manifest: Manifest, folder: Path, epochs: int) -> None:
    """Writes `cameras.png`, and `lessons.json` with the numbers of all, or nothing."""
    check_out(folder, FIGURES, filter(None, [manifest.source]))
    column, stage = camera_column(manifest), Stage(epochs=epochs, image_size=(96, 40))
    recipe = Recipe(stages=(stage,), seed=SEED, sampling="")  # no training may know the people
    tests = split_by_group(manifest, {"train": 0.8, "test": 0.2}, seed=SEED)
    unseen, others = tests.subset("test"), tests.subset("train")
    parts = []
    for kind, divide in (("at random", split_at_random), ("by person", split_by_group)):
        split = divide(others, {"train": 0.75, "validation": 0.25}, seed=SEED)
        validation = split.subset("validation")
        answers, promised = _answers(split, recipe, [unseen, validation], kind)
        sides = {"validation": (validation, promised), "test": (unseen, answers)}
        for measured, side in sides.items():
            parts.append(scores.score_manifest(*side).assign(split=kind, measured=measured))
    leak = pd.concat(parts).reset_index()
    cameras = _cameras(split, unseen, answers, column, recipe)
    people = _persons(split, unseen, answers, recipe)
    figure = _by_camera(cameras, f"{unseen.tasks[0]}, by {column}")
    with whole_folder(folder, FIGURES) as draft:
        figure.savefig(draft / "cameras.png", dpi=110)
        write_json(draft / "lessons.json", _figures_of(leak, cameras, people))


def camera_column(manifest: Manifest) -> str:
    """Returns the column that says where an image was taken: `subset` or `camera`."""
    frame = manifest.frame
    for column in ("subset", "camera"):
        if {column, "group"} <= {*frame} and len(set(frame[column])) > CAMERA_FOLDS:
            return column
    what = f"the columns group and camera (or subset), with more than {CAMERA_FOLDS} cameras"
    fix = "A manifest of `python -m data.sources peta` has them."
    raise expected(what, ", ".join(frame.columns), fix, manifest.name)


def _answers(split: Manifest, recipe: Recipe, asked: list[Manifest], name: str) -> list[dict]:
    print(f"training: {name}")
    nameless = replace(split, frame=split.frame.drop(columns="group"))  # a leak is to be shown
    return train_apart(nameless, recipe, asked, best=True)["answers"]


def _cameras(
    split: Manifest, unseen: Manifest, answers: Probabilities, column: str, recipe: Recipe
) -> pd.DataFrame:
    """Scores the first task by camera: trained on all of them, and on others only."""
    task, cameras = unseen.tasks[0], sorted(set(split.frame[column]))
    foreign = {name: np.array(table) for name, table in answers.items()}
    for fold in range(CAMERA_FOLDS):
        left_out = cameras[fold::CAMERA_FOLDS]
        known = split.rows(~split.frame[column].isin(left_out).to_numpy())
        (found,) = _answers(known, recipe, [unseen], f"without {', '.join(left_out)}")
        rows = unseen.frame[column].isin(left_out).to_numpy()
        for each in foreign:
            foreign[each][rows] = found[each][rows]
    tables = {}
    for kind, found in {"trained on": answers, "left out": foreign}.items():
        by_camera = []
        for name in cameras:
            rows = (unseen.frame[column] == name).to_numpy()
            part = unseen.rows(rows).select([task])
            table = scores.score_manifest(part, {task: found[task][rows]})
            by_camera.append(table.set_axis([name]))
        tables[kind] = pd.concat(by_camera)
    table = pd.concat(tables, axis=1)
    enough = table["trained on", "labelled"] >= min(FEWEST, table["trained on", "labelled"].max())
    return table[enough].sort_values(("trained on", "accuracy"), ascending=False)


def _by_camera(table: pd.DataFrame, title: str) -> Figure:
    with rc_context(plots.STYLE):
        size = plots.WIDTH * 0.75, 0.42 * len(table) + 1.1
        figure = plots.NotebookFigure(figsize=size, layout="constrained")
        axes = figure.subplots()
        for number, kind in enumerate(("trained on", "left out")):
            rows, scored = np.arange(len(table)) + 0.28 * number - 0.14, table[kind]
            color = (plots.BLUE, plots.ORANGE)[number]
            axes.hlines(rows, scored["accuracy_low"], scored["accuracy_high"], color=color, lw=2.2)
            axes.plot(scored["accuracy"], rows, "o", color=color, ms=7, label=kind)
        gaps = table["left out", "accuracy"] - table["trained on", "accuracy"]
        names = zip(table.index, gaps, table["trained on", "labelled"])
        labels = [f"{name}\n{gap:+.3f} of {count:,.0f}" for name, gap, count in names]
        axes.set_yticks(range(len(table)), labels)
        axes.set(title=title, ylim=(len(table) - 0.5, -0.5))
        axes.grid(axis="x")
        figure.legend(loc="outside lower left", ncols=2)
    return figure


def _persons(
    split: Manifest, unseen: Manifest, answers: Probabilities, recipe: Recipe
) -> pd.DataFrame:
    """Scores networks trained on fewer people equally long, and on all people half as long."""
    training = (split.frame["split"] == "train").to_numpy()
    longer = change(recipe, epochs=2 * recipe.stages[0].epochs)
    trainings, parts = [(split, answers, "half as long")], []
    for share in (*FRACTIONS, 1):  # repeated in an epoch: as many steps
        kept = np.flatnonzero(fewer_groups(split.groups, training, share))
        fewer = split.rows(np.repeat(kept, np.where(training[kept], round(1 / share), 1)))
        (found,) = _answers(fewer, longer, [unseen], f"{share:g} of the people")
        trainings.append((fewer, found, "equally long"))
    for part, found, trained in trainings:
        people = len(set(part.subset("train").groups))
        parts.append(scores.score_manifest(unseen, found).assign(people=people, trained=trained))
    return pd.concat(parts).reset_index()


def _figures_of(leak: pd.DataFrame, cameras: pd.DataFrame, people: pd.DataFrame) -> dict:
    """Returns the numbers that the text next to the images discusses."""
    accuracy = leak.pivot_table("accuracy", ["split", "task"], "measured", sort=False).round(3)
    cameras = cameras.xs("accuracy", axis=1, level=1).astype(float).round(3).to_dict("index")
    by_people = people.pivot_table("accuracy", ["trained", "people"], "task").round(3)

    def nested(table: pd.DataFrame) -> dict:
        return {kind: part.loc[kind].to_dict("index") for kind, part in table.groupby(level=0)}

    return {"leak": nested(accuracy), "cameras": cameras, "people": nested(by_people)}


FLAGS = shared("manifest", "out", tasks=["gender", "age", "top_color", "bottom_color"], epochs=8)


def run(given) -> None:
    """Trains, and writes."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    folder = given.out or artifacts_folder("real")
    run_lessons(read_manifest(given.manifest, tasks=given.tasks), folder, given.epochs)
    print(f"wrote cameras.png and lessons.json in {folder}")
