"""Trains a recipe and one idea after the other, equally long, with several seeds.

    python -m benchmarks ablation --manifest M --minutes N [--seeds 0,1,2] [--ideas NAME,...]
        [--recipe published-attributes] [--idea-file FILE.py]

An idea changes a recipe, or is an object of `benchmarks.ideas`, or one of your own in a file. On a
shared machine equal minutes are not equal work: give --epochs N instead. The same command
continues a stopped run from its `runs.csv`. A table says what each idea adds to the accuracy,
balanced accuracy and macro-F1 of each task, and whether that is more than the seeds alone do.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks import ideas as objects
from benchmarks.baselines import BASELINES, unbeaten
from benchmarks.command import markdown, publish, shared
from benchmarks.trainings import KEPT, SCORES, scored_training, split_at_random
from helpers import common
from helpers.manifest import GROUP, SPLIT, Manifest, did_you_mean, read_manifest, read_numbers
from helpers.train import Recipe, change, find_recipe, in_minutes

DEFAULT = "the default recipe"  # or the one that --recipe names
BASE = "street"
HELPED = "all tasks (others at half weight)"
STARTED = "a backbone that was trained before"
CONFIDENCE = 0.95
Ideas = Mapping[str, Mapping[str, Any]]
HOW = ("idea", "source", "baseline")  # of a training, see `benchmarks.trainings`
JUDGED = ("accuracy", "balanced_accuracy", "macro_f1")

# What each idea changes: fields of `Recipe`, or of its stage; "others" trains every task of the
# manifest, with this weight for those that are not asked for; "idea" is one of `benchmarks.ideas`.
IDEAS: Ideas = {
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
    "smaller images": {"image_size": (120, 48)},
    "larger images": {"image_size": (240, 96)},
    "batches of 64": {"batch_size": 64},
    **{f"{name} rate": {"schedule": name} for name in ("constant", "cosine", "cyclic")},
    **{
        name: {"backbone": name}
        for name in ("MobileNetV3Small", "EfficientNetV2B0", "ConvNeXtTiny")
    },
    "residual network": {"backbone": "residual"},
    "small dense network": {"backbone": "dense"},
    "random erasing": {"augmentation": "erasing"},
    "RandAugment": {"augmentation": "randaugment"},
    "pixels of the data set": {"pixels": "dataset"},
    "He initialization": {"initialization": "he_normal"},
    "no dropout": {"dropout": 0.0},
    "more weight decay": {"weight_decay": 0.1},
    "each image once": {"sampling": ""},
    **{name: {"idea": name} for name in objects.IDEAS},
}
# Recipes to compare with ours, in the same minutes: what was published, and what changes in it.
ATTRIBUTES = {"recipe": "published-attributes"}
PEERS: Ideas = {
    "published attributes": ATTRIBUTES,
    "published attributes at 100 pixels": {**ATTRIBUTES, "image_size": (100, 100)},
    "a Sequence with OpenCV": {"source": "sequence"},
    "published": {"recipe": "published"},
    "published, 3 epochs": {"recipe": "published", "epochs": 3},
}
# Where to start: beside the default, three baselines, a published recipe, and ImageNet; and the
# same with images of one person on both sides of the split, as most published figures are made.
TUNED = {"recipe": "fine-tune"}
STARTS = {name: {"baseline": name} for name in BASELINES}
STARTS |= {"published": {"recipe": "published"}, "fine-tuned": TUNED}
LEAKY = {
    f"{name} (random split)": {**changes, "split": "random"}
    for name, changes in {DEFAULT: {}, **STARTS}.items()
}
CURVE = {  # how few images are enough
    f"{name} ({images} images)": {**changes, "images": images}
    for images in (100, 300, 1000, 3000)
    for name, changes in {DEFAULT: {}, "fine-tuned": TUNED}.items()
}
# Groups of ideas by name: those meant to help rare classes are judged by macro-F1.
TOGETHER = {
    "rare": ["balanced class weights", "focal loss", "balanced sampling", "logit adjustment"],
    "peers": list(PEERS)[2:],
    "starts": [*STARTS, *LEAKY],
    "curve": [*CURVE, "fine-tuned"],
}


class Plan(NamedTuple):
    """What all trainings have in common."""

    manifest: Path  # with a split
    tasks: list[str] | None = None  # None: all
    minutes: float = 0.0  # of all stages together; 0 counts epochs
    epochs: int = 1  # of each stage
    recipe: str = BASE  # what the ideas change, by name or file


def recipe_of(idea: str, plan: Plan, seed: int, ideas: Ideas = IDEAS) -> Recipe:
    """Returns the plan's recipe with one idea of `ideas` in it, or none for `DEFAULT`."""
    if idea not in ideas and idea != DEFAULT:
        known = f"an idea of {', '.join(ideas)}"
        raise common.WorkshopError(f"expected {known}; found {idea!r}. {did_you_mean(idea, ideas)}")
    own = ("images", "split", *HOW)  # of the data, and of the training
    changes = {name: value for name, value in ideas.get(idea, {}).items() if name not in own}
    if others := changes.pop("others", None):
        changes["task_weights"] = ",".join([f"*={others}", *(f"{x}=1" for x in plan.tasks or ())])
    recipe = find_recipe(changes.pop("recipe", plan.recipe))
    if "image_size" in changes:  # before the minutes, which are divided by the pixels
        recipe = change(recipe, image_size=changes.pop("image_size"))
    if plan.minutes and "epochs" not in changes:
        return change(in_minutes(recipe, plan.minutes), seed=seed, **changes)
    return change(in_minutes(recipe, 0), **{"seed": seed, "epochs": plan.epochs, **changes})


def manifest_of(plan: Plan, changes: Mapping[str, Any]) -> Manifest:
    """Returns what an idea trains on: every task where it weighs the others, or fewer images."""
    manifest = read_manifest(plan.manifest, tasks=None if "others" in changes else plan.tasks)
    if "split" in changes:  # without the groups: nothing refuses the leak
        frame = manifest.frame.drop(columns=GROUP, errors="ignore")
        shares = dict(frame[SPLIT].value_counts(normalize=True))
        manifest = split_at_random(dataclasses.replace(manifest, frame=frame), shares)
    if "images" not in changes:
        return manifest
    training = np.flatnonzero(manifest.frame[SPLIT] == "train")
    left_out = np.random.default_rng(0).permutation(training)[changes["images"] :]
    return manifest.rows(np.delete(np.arange(len(manifest)), left_out))


def run_ideas(
    plan: Plan, names: Sequence[str], seeds: Sequence[int], folder: Path, ideas: Ideas = IDEAS
) -> pd.DataFrame:
    """Trains what a folder's `runs.csv` lacks, `DEFAULT` included; returns a row for each training.

    Its columns: recipe, seed, `KEPT`, and the `SCORES` of each task asked for, on validation.
    """
    noted = {**plan._asdict(), "manifest": str(plan.manifest)}
    if (path := folder / "plan.json").exists() and (found := common.read_json(path)) != noted:
        fix = "Name another --out, or delete that folder."
        raise common.expected(f"in {folder} trainings of {noted}", f"those of {found}", fix)
    common.write_json(path, noted)
    plan = plan._replace(tasks=plan.tasks or list(read_manifest(plan.manifest).tasks))
    path = folder / "runs.csv"
    rows = read_numbers(path).to_dict("records") if path.exists() else []
    done = {(row["recipe"], row["seed"]) for row in rows}
    # seeds outside, so that a run that is stopped early has compared something
    pairs = [(idea, seed) for seed in seeds for idea in (DEFAULT, *names)]
    recipes = {pair: recipe_of(pair[0], plan, pair[1], ideas) for pair in pairs}
    columns = [*KEPT, *(f"{task}{suffix}" for task in plan.tasks for suffix in SCORES.values())]
    bar = common.progress_bar(iterable=[key for key in pairs if key not in done], unit="training")
    for idea, seed in bar:
        bar.set_description(f"{idea}, seed {seed}")
        changes = ideas.get(idea, {})
        how = {name: changes[name] for name in HOW if name in changes}
        row = scored_training(manifest_of(plan, changes), recipes[idea, seed], **how)
        rows.append({"recipe": idea, "seed": seed, **{name: row[name] for name in columns}})
        common.write_text(path, pd.DataFrame(rows).to_csv(index=False))
    runs = pd.DataFrame(rows)
    return runs[[(row.recipe, row.seed) in recipes for row in runs.itertuples()]]


def judge(runs: pd.DataFrame, score: str = "accuracy") -> pd.DataFrame:
    """Returns a row for each recipe of `run_ideas`: the mean of one of `SCORES` for each task.

    For an idea also the difference to the default, with its interval of `CONFIDENCE` (paired t over
    the seeds), and "helps" or "harms" where that of the mean over the tasks excludes 0.
    """
    scores, rows = scores_of(runs, score), []
    tasks = list(scores)
    scores = scores.assign(mean=scores.mean(axis=1)).join(runs[["recipe", "seed", "epochs"]])
    scores = scores.set_index("seed")
    default = scores[scores["recipe"] == DEFAULT]
    for name, group in scores.groupby("recipe", sort=False):
        row = {"recipe": name, "epochs": f"{group['epochs'].mean():.1f}"}
        row |= {task: f"{group[task].mean():.3f}" for task in tasks}
        if name != DEFAULT:
            for task in tasks:
                row[task] += f" ({_signed(*paired_difference(group[task], default[task]))})"
            mean, width = paired_difference(group["mean"], default["mean"])
            verdict = "noise" if abs(mean) <= width else "helps" if mean > 0 else "harms"
            row["mean"] = _signed(mean, width)
            row["verdict"] = verdict if np.isfinite(width) else "one seed"
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def scores_of(runs: pd.DataFrame, score: str) -> pd.DataFrame:
    """Returns one of `SCORES` of each run, in a column for each task."""
    suffix, others = SCORES[score], tuple(filter(None, SCORES.values()))
    names = runs.columns.drop(["recipe", "seed", *KEPT])
    tasks = [name for name in names if not name.endswith(others)]
    return runs[[f"{task}{suffix}" for task in tasks]].set_axis(tasks, axis=1)


def _signed(mean: float, width: float) -> str:
    return f"{mean:+.3f}" + (f" ± {width:.3f}" if np.isfinite(width) else "")


def paired_difference(ours: pd.Series, theirs: pd.Series) -> tuple[float, float]:
    """Returns the mean difference over common seeds, and half the width of its interval."""
    differences = (ours - theirs).dropna()
    if len(differences) < 2:  # one pair says nothing about noise
        return float(differences.mean()), np.inf
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1)
    return float(differences.mean()), float(quantile * differences.sem())


FLAGS = {
    **shared("manifest", "tasks", "minutes", "epochs", "seeds", "out"),
    "--ideas": {"default": "all", "help": f"with commas; {', '.join(TOGETHER)}: some together"},
    "--idea-file": {"type": Path, "help": "a file with a subclass of helpers.train.Idea"},
    "--recipe": {"default": BASE, "help": "what the ideas change, by its name or a JSON file"},
    "--weights": {"type": Path, "help": f"a saved model, which {STARTED!r} starts from"},
    "--teacher": {"type": Path, "help": "a saved model, which --ideas distilled learns from"},
}


def run(given) -> None:
    """Trains, and writes runs.csv and ablation.md."""
    if (given.minutes > 0) == (given.epochs > 0):
        raise common.WorkshopError(
            "expected either --minutes or --epochs above 0. Give one of the two."
        )
    ideas, asked = dict(IDEAS), given.ideas.split(",")
    if given.weights:
        ideas[STARTED] = {"weights": str(given.weights)}
    together = {**TOGETHER, "all": list(ideas)}  # without the peers, and on all images
    ideas |= PEERS | STARTS | LEAKY | CURVE
    ideas[objects.DISTILLED] = {"idea": f"{objects.DISTILLED}:{given.teacher or ''}"}
    if given.idea_file:
        ideas[given.idea_file.stem] = {"idea": str(given.idea_file)}
        asked = [given.idea_file.stem, *(asked if asked != ["all"] else [])]
    names = [idea for name in asked for idea in together.get(name, [name])]
    folder = given.out or common.artifacts_folder("ablation")
    plan = Plan(given.manifest, given.tasks, given.minutes, given.epochs or 1, given.recipe)
    runs = run_ideas(plan, names, given.seeds, folder, ideas)
    page = "\n".join(f"{name}\n\n{markdown(judge(runs, name))}" for name in JUDGED)
    honest = runs[~runs["recipe"].str.contains("random split")]
    page += f"\n{unbeaten(scores_of(honest, 'accuracy').groupby(honest['recipe']).mean())}"
    publish(page, folder / "ablation.md")
