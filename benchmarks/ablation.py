"""Trains a recipe and one idea after the other, equally long, with several seeds.

    python -m benchmarks.ablation --manifest M --minutes N [--seeds 0,1,2] [--ideas NAME,...]
        [--recipe published-attributes]

With --epochs N instead each is trained for so many epochs: what to choose on a machine that others
use, where equal minutes are not equal work.

Every training leaves its line in `runs.csv` when it ends; the same command goes on where a killed
one stopped. A table then says for each idea what it adds to each task, and whether that is more
than the seeds alone do: one in accuracy, and one each in balanced accuracy and macro-F1, in which
a rare class counts as much as a frequent one.

With --ideas "published attributes at 100 pixels" the published recipe stands beside ours. With
--ideas fewer it learns from half and from a quarter of the groups of the training split: where that
costs much, more persons would help more than any idea.
"""

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks import measures
from benchmarks.processes import Measured
from helpers.common import (
    WorkshopError,
    artifacts_folder,
    progress_bar,
    read_json,
    run_command,
    write_json,
    write_text,
)
from helpers.manifest import did_you_mean
from helpers.train import Recipe, change, find_recipe, in_minutes

DEFAULT = "the default recipe"  # or the one that --recipe names
BASE = "street"
HELPED = "all tasks (others at half weight)"
STARTED = "a backbone that was trained before"
KEPT = ("minutes", "epochs")  # of a training's row, beside its tasks
CONFIDENCE = 0.95
JUDGED = ("accuracy", "balanced_accuracy", "macro_f1")

# What each idea changes: fields of `Recipe`, or of its stage; "others" trains every task of the
# manifest, with this weight for those that are not asked for.
IDEAS: dict[str, dict[str, Any]] = {
    "average pooling only": {"pooling": "average"},
    "average and max pooling": {"pooling": "average+max"},
    "no towers": {"tower": 0},
    "moving average of the weights": {"ema": 0.995},
    "label smoothing": {"label_smoothing": 0.1},
    "balanced class weights": {"class_weights": "balanced"},
    "learned task weights": {"task_weights": "uncertainty"},
    HELPED: {"others": 0.5},
    "no augmentation": {"augmentation": "none"},
    "flips only": {"augmentation": "flip"},
    "strong augmentation": {"augmentation": "strong"},
    "smaller pictures": {"image_size": (120, 48)},
    "larger pictures": {"image_size": (240, 96)},
    "batches of 64": {"batch_size": 64},
    "constant rate": {"schedule": "constant"},
    "cosine rate": {"schedule": "cosine"},
    "cyclic rate": {"schedule": "cyclic"},
    "MobileNetV3Small": {"backbone": "MobileNetV3Small"},
    "EfficientNetV2B0": {"backbone": "EfficientNetV2B0"},
    "ConvNeXtTiny": {"backbone": "ConvNeXtTiny"},
    "residual network": {"backbone": "residual"},
    "small dense network": {"backbone": "dense"},
    "balanced gradients": {"task_weights": "gradients"},
    "random erasing": {"augmentation": "erasing"},
    "RandAugment": {"augmentation": "randaugment"},
    "MixUp": {"mix": "mixup"},
    "CutMix": {"mix": "cutmix"},
    "pixels of the data set": {"pixels": "dataset"},
    "group normalization": {"normalization": "group"},
    "He initialization": {"initialization": "he_normal"},
    "no dropout": {"dropout": 0.0},
    "more weight decay": {"weight_decay": 0.1},
    "focal loss": {"focal": 2.0},
    "logit adjustment": {"logit_adjustment": 1.0},
    "balanced sampling": {"sampling": "rarest"},
    "each picture once": {"sampling": ""},
}
# Other recipes to set beside ours, in the same minutes: what was published, and what changes in it.
PEERS: dict[str, dict[str, Any]] = {
    "published attributes": {"recipe": "published-attributes"},
    "published attributes at 100 pixels": {
        "recipe": "published-attributes",
        "image_size": (100, 100),
    },
}
# The same recipe on fewer persons: what that costs tells whether more of them would help.
FEWER: dict[str, dict[str, Any]] = {
    "half of the groups": {"groups": 1 / 2},
    "a quarter of the groups": {"groups": 1 / 4},
}
# Ideas by a name for all of them: what is said to help rare classes is judged by macro-F1.
TOGETHER = {
    "rare": ["balanced class weights", "focal loss", "balanced sampling", "logit adjustment"],
    "fewer": list(FEWER),
}


class Length(NamedTuple):
    """How long each recipe is trained: by the clock, or where `minutes` is 0 by the epoch."""

    minutes: float = 0.0
    epochs: int = 1


def recipe_of(
    idea: str,
    length: Length,
    seed: int,
    tasks: Sequence[str] = (),
    ideas: Mapping[str, Mapping[str, Any]] = IDEAS,
    base: str = BASE,
) -> Recipe:
    """Returns a recipe with one idea in it.

    Args:
        idea: `DEFAULT`, or a name in `IDEAS`.
        length: minutes of all of its stages together, or epochs of each.
        seed: of the training.
        tasks: those that are asked for, where an idea weighs the others.
        ideas: what each changes.
        base: the recipe that the idea changes, by name or file; its stages all change.

    Raises:
        WorkshopError: an idea that is not in `ideas`.
    """
    if idea not in ideas and idea != DEFAULT:
        raise WorkshopError(
            f"expected an idea of {', '.join(ideas)}; found {idea!r}. {did_you_mean(idea, ideas)}"
        )
    changes = dict(ideas.get(idea, {}))
    changes.pop("groups", None)  # of the data, see `data_of`
    if others := changes.pop("others", None):
        changes["task_weights"] = ",".join([f"*={others}", *(f"{task}=1" for task in tasks)])
    recipe = find_recipe(changes.pop("recipe", base))
    if "image_size" in changes:  # before the minutes, which are divided by the pixels
        recipe = change(recipe, image_size=changes.pop("image_size"))
    recipe = in_minutes(recipe, length.minutes)
    if not length.minutes:
        recipe = change(recipe, epochs=length.epochs)
    return change(recipe, seed=seed, **changes)


def run_ideas(
    data: measures.Data,
    names: Sequence[str],
    length: Length,
    seeds: Sequence[int],
    folder: Path,
    ideas: Mapping[str, Mapping[str, Any]] = IDEAS,
    base: str = BASE,
) -> pd.DataFrame:
    """Trains what `folder` does not hold yet.

    The seeds go around outside, so that a run that is stopped early has compared something.

    Args:
        data: pictures, labels and split.
        names: of ideas; the recipe without any is always trained.
        length: of each training.
        seeds: each recipe is trained once with each.
        folder: holds `runs.csv`, a line for each training.
        ideas: what each changes.
        base: the recipe that the ideas change, by name or file.

    Returns:
        A row for each training: recipe, seed, minutes, epochs, and of each task that is asked for
        the scores in `benchmarks.measures.SCORES` on the validation split.

    Raises:
        WorkshopError: `folder` holds trainings on other data, or of another length.
    """
    tasks = data.tasks or list(data.read().labels.tasks)
    _check_plan(folder / "plan.json", data, length, base)
    path = folder / "runs.csv"
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    done = {(row["recipe"], row["seed"]) for row in rows}
    plans = [(idea, seed) for seed in seeds for idea in (DEFAULT, *names)]
    recipes = {plan: recipe_of(plan[0], length, plan[1], tasks, ideas, base) for plan in plans}
    columns = [f"{task}{suffix}" for task in tasks for suffix in measures.SCORES.values()]
    left = [plan for plan in plans if plan not in done]
    bar = progress_bar(iterable=left, unit="training")
    for idea, seed in bar:
        bar.set_description(f"{idea}, seed {seed}")
        row = train_once(data_of(data, ideas.get(idea, {})), recipes[idea, seed])
        kept = {name: row[name] for name in (*KEPT, *columns)}
        rows.append({"recipe": idea, "seed": seed, **kept})
        write_text(path, pd.DataFrame(rows).to_csv(index=False))
    runs = pd.DataFrame(rows)
    return runs[[(row.recipe, row.seed) in recipes for row in runs.itertuples()]]


def data_of(data: measures.Data, changes: Mapping[str, Any]) -> measures.Data:
    """Returns what an idea trains on: every task where it weighs the others, or fewer groups."""
    tasks = None if "others" in changes else data.tasks
    return data._replace(tasks=tasks, groups=changes.get("groups", data.groups))


def _check_plan(path: Path, data: measures.Data, length: Length, base: str) -> None:
    """Notes what the trainings of a folder have in common, and refuses to mix them with others."""
    plan = {"manifest": str(data.manifest), "tasks": data.tasks, **length._asdict()}
    plan |= {} if base == BASE else {"recipe": base}
    if path.exists() and (found := read_json(path)) != plan:
        raise WorkshopError(
            f"expected in {path.parent} trainings of {plan}, found those of {found}. Name another "
            "--out, or delete that folder."
        )
    write_json(path, plan)


def train_once(
    data: measures.Data, recipe: Recipe, source: str = "pipeline"
) -> Mapping[str, float]:
    """Trains in a process of its own, and returns what `benchmarks.measures.trained` gives."""
    folder = artifacts_folder("runs") / "ablation"
    shutil.rmtree(folder, ignore_errors=True)
    process = Measured(measures.trained, data, recipe.to_json(), source, folder)
    row = process()
    process.close()
    shutil.rmtree(folder, ignore_errors=True)
    return row


def judge(runs: pd.DataFrame, score: str = "accuracy") -> pd.DataFrame:
    """Says what each idea adds to the recipe without it.

    Args:
        runs: of `run_ideas`; with two seeds or more, or there is no verdict.
        score: by which, a key of `benchmarks.measures.SCORES`.

    Returns:
        A row for each recipe: its mean score for each task, for the ideas with the difference
        to the default and its interval of `CONFIDENCE` (paired t over the seeds), and the verdict:
        "helps" or "harms" where the interval of the mean over the tasks leaves out 0, else
        "noise"; "one seed" where nothing can be said about noise.
    """
    runs = scores_of(runs, score)
    tasks = list(runs.columns.drop(["recipe", "seed", "minutes", "epochs"]))
    by_recipe = {
        name: group.set_index("seed") for name, group in runs.groupby("recipe", sort=False)
    }
    default, rows = by_recipe[DEFAULT], []
    for name, group in by_recipe.items():
        row = {"recipe": name, "epochs": f"{group['epochs'].mean():.1f}"}
        for task in tasks:
            row[task] = f"{group[task].mean():.3f}"
        if name != DEFAULT:
            for task in tasks:
                mean, width = paired_difference(group[task], default[task])
                row[task] += f" ({_told(mean, width)})"
            mean, width = paired_difference(group[tasks].mean(axis=1), default[tasks].mean(axis=1))
            row["mean"], row["verdict"] = _told(mean, width), _verdict(mean, width)
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def _told(mean: float, width: float) -> str:
    return f"{mean:+.3f}" + (f" ± {width:.3f}" if np.isfinite(width) else "")


def _verdict(mean: float, width: float) -> str:
    if not np.isfinite(width):
        return "one seed"
    return "noise" if abs(mean) <= width else "helps" if mean > 0 else "harms"


def scores_of(runs: pd.DataFrame, score: str) -> pd.DataFrame:
    """Returns the runs with one score for each task, in a column of the task's name."""
    suffix = measures.SCORES[score]
    others = tuple(other for other in measures.SCORES.values() if other and other != suffix)
    runs = runs[[column for column in runs.columns if not column.endswith(others)]]
    if not suffix:
        return runs
    own = [column for column in runs.columns if column.endswith(suffix)]
    kept = runs[["recipe", "seed", *KEPT, *own]]
    return kept.rename(columns={column: column.removesuffix(suffix) for column in own})


def paired_difference(ours: pd.Series, theirs: pd.Series) -> tuple[float, float]:
    """Returns the mean difference over common seeds, and half the width of its interval.

    The width is infinite with fewer than two seeds: one pair says nothing about noise.
    """
    differences = (ours - theirs).dropna().to_numpy()
    count = len(differences)
    if count < 2:
        return float(differences.mean()) if count else np.nan, np.inf
    error = differences.std(ddof=1) / np.sqrt(count)
    return float(differences.mean()), float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * error)


def markdown_table(table: pd.DataFrame) -> str:
    """Returns a table as Markdown, its index left out."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser("benchmarks.ablation", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--manifest", type=Path, required=True, help="the manifest CSV, split by group")
    add("--minutes", type=float, default=0, help="of each training, or ...")
    add("--epochs", type=int, default=0, help="... so many epochs of each")
    add("--seeds", default="0,1,2", help="each recipe is trained with each (default 0,1,2)")
    add("--ideas", help="only these, by name, joined by a comma; rare or fewer: some together")
    add(
        "--recipe",
        default=BASE,
        help="what the ideas change: a name of helpers.train.recipes or a file",
    )
    add("--tasks", help="only these tasks")
    add("--weights", type=Path, help=f"a saved model, which the idea {STARTED!r} starts from")
    add(
        "--out", type=Path, help="folder of runs.csv and the table (default artifacts/.../ablation)"
    )
    arguments = parser.parse_args()
    if not all(seed.isdecimal() for seed in arguments.seeds.split(",")):
        raise WorkshopError(f"expected --seeds such as 0,1,2, found {arguments.seeds!r}.")
    if (arguments.minutes > 0) == (arguments.epochs > 0) or min(
        arguments.minutes, arguments.epochs
    ) < 0:
        raise WorkshopError("expected either --minutes or --epochs above 0. Give one of the two.")
    ideas = dict(IDEAS)
    if arguments.weights:
        ideas[STARTED] = {"weights": str(arguments.weights)}
    together = {**TOGETHER, "all": list(ideas)}  # without the peers, and on all groups
    ideas |= PEERS | FEWER
    asked = (arguments.ideas or "all").split(",")
    names = [idea for name in asked for idea in together.get(name, [name])]
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    folder = arguments.out or artifacts_folder("ablation")
    data = measures.Data(arguments.manifest, arguments.tasks and arguments.tasks.split(","))
    length = Length(arguments.minutes, arguments.epochs or 1)
    runs = run_ideas(data, names, length, seeds, folder, ideas, arguments.recipe)
    page = "\n".join(f"{name}\n\n{markdown_table(judge(runs, name))}" for name in JUDGED)
    write_text(folder / "ablation.md", page)
    print(page)


if __name__ == "__main__":
    run_command(main)
