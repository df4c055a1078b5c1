"""Comparing ideas: what is trained, what is kept, and when a difference is more than noise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import ablation
from benchmarks.__main__ import main
from benchmarks.ablation import Plan
from benchmarks.trainings import SCORES, split_at_random
from helpers.common import WorkshopError
from helpers.manifest import Manifest
from helpers.train import Recipe

ROW = {"minutes": 1.0, "epochs": 2.0, "gender": 0.5} | {
    f"gender{suffix}": 0.4 for suffix in SCORES.values() if suffix
}
ONE = Plan(Path("manifest.csv"), ["gender"], minutes=1)


@pytest.fixture
def plan(people: Manifest) -> Plan:
    return ONE._replace(manifest=Path(people.source))


@pytest.mark.parametrize("idea", ablation.IDEAS)
def test_an_idea_changes_what_it_says_and_nothing_else(idea: str) -> None:
    five = ONE._replace(minutes=5)
    recipe, default = (ablation.recipe_of(i, five, 1) for i in (idea, ablation.DEFAULT))
    parts = {**vars(default), **vars(default.stages[0])}
    changed = {**vars(recipe), **vars(recipe.stages[0])}
    different = {name for name in parts if parts[name] != changed[name]} - {"stages"}
    named = {{"others": "task_weights"}.get(n, n) for n in ablation.IDEAS[idea]}
    assert different == named - {"idea"}  # which changes the training, not the recipe
    assert (recipe.stages[0].minutes, recipe.seed) == (5, 1)


def test_an_unknown_idea_is_named() -> None:
    with pytest.raises(WorkshopError, match=r"found 'no tower'\. Did you mean 'no towers'"):
        ablation.recipe_of("no tower", ONE, 0)


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    ours = pd.Series([0.81, 0.84, 0.82, 0.9], index=[0, 1, 2, 9])
    theirs = pd.Series([0.8, 0.8, 0.81, 0.7], index=[0, 1, 2, 8])
    mean, width = ablation.paired_difference(ours, theirs)
    expected = stats.ttest_rel([0.81, 0.84, 0.82], [0.8, 0.8, 0.81]).confidence_interval(0.95)
    assert (mean - width, mean + width) == pytest.approx((expected.low, expected.high))


def test_one_seed_says_nothing_about_noise() -> None:
    one = pd.Series([0.9], index=[0])
    assert ablation.paired_difference(one, one - 0.2) == (pytest.approx(0.2), np.inf)


def test_the_verdict() -> None:
    scores = {
        ablation.DEFAULT: (0.80, 0.81, 0.82),
        "no towers": (0.70, 0.72, 0.71),
        "flips only": (0.85, 0.861, 0.869),
        "strong augmentation": (0.79, 0.82, 0.83),
    }
    runs = pd.DataFrame(
        {"recipe": name, "seed": seed, "minutes": 5.0, "epochs": 20.0, "gender": value}
        for name, values in scores.items()
        for seed, value in enumerate(values)
    )
    table = ablation.judge(runs).set_index("recipe")
    assert table["verdict"].tolist() == ["", "harms", "helps", "noise"]
    assert table.loc[ablation.DEFAULT, "gender"] == "0.810"
    assert table.loc["no towers", "gender"].startswith("0.710 (-0.100 ± 0.0")


def test_one_seed_gets_no_verdict() -> None:
    columns = ["recipe", "seed", "minutes", "epochs", "gender"]
    rows = [[ablation.DEFAULT, 0, 5.0, 8.0, 0.8], ["focal loss", 0, 5.0, 8.0, 0.7]]
    table = ablation.judge(pd.DataFrame(rows, columns=columns)).set_index("recipe")
    row = table.loc["focal loss"]
    assert (row["gender"], row["mean"], row["verdict"]) == ("0.700 (-0.100)", "-0.100", "one seed")


def test_a_stopped_run_goes_on(plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained = []

    def train_once(manifest: Manifest, recipe: Recipe, **how) -> dict:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append((recipe.tower, recipe.seed))
        return ROW

    monkeypatch.setattr(ablation, "scored_training", train_once)
    with pytest.raises(KeyboardInterrupt):
        ablation.run_ideas(plan, ["no towers"], [0, 1], tmp_path)
    assert trained == [(128, 0), (0, 0), (128, 1)]
    kept, trained[:] = list(trained), []
    runs = ablation.run_ideas(plan, ["no towers"], [0, 1], tmp_path)
    assert trained == [(0, 1)] and len(kept) == 3
    assert len(runs) == 4 and len(pd.read_csv(tmp_path / "runs.csv")) == 4
    fewer = ablation.run_ideas(plan, [], [0], tmp_path)  # the file may hold more than is asked
    assert fewer[["recipe", "seed"]].to_numpy().tolist() == [[ablation.DEFAULT, 0]]


def test_other_minutes_or_data_are_not_mixed(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ablation, "scored_training", lambda *_, **how: ROW)
    ablation.run_ideas(plan, [], [0], tmp_path)
    with pytest.raises(WorkshopError, match="Name another --out"):
        ablation.run_ideas(plan._replace(minutes=2), [], [0], tmp_path)
    with pytest.raises(WorkshopError, match="Name another --out"):
        ablation.run_ideas(plan._replace(tasks=["age"]), [], [0], tmp_path)
    assert len(pd.read_csv(tmp_path / "runs.csv")) == 1


def test_other_tasks_help_and_are_not_judged(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def train_once(manifest: Manifest, recipe: Recipe, **how) -> dict:
        asked.append((manifest.tasks, recipe.task_weights, recipe.stages[0].epochs))
        return {**ROW, "age": 0.4, "age_macro_f1": 0.3, "age_balanced_accuracy": 0.3}

    monkeypatch.setattr(ablation, "scored_training", train_once)
    idea = "all tasks (others at half weight)"
    runs = ablation.run_ideas(plan._replace(minutes=0, epochs=4), [idea], [0], tmp_path)
    every = ["top_color", "gender", "age"]
    assert asked == [(["gender"], "", 4), (every, "*=0.5,gender=1", 4)]
    assert list(runs.columns) == ["recipe", "seed", *ROW]


def test_fewer_images_are_another_manifest_and_the_same_recipe(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, recipes = [], []

    def train_once(manifest: Manifest, recipe: Recipe, **how) -> dict:
        asked.append(manifest)
        recipes.append(recipe)
        return ROW

    monkeypatch.setattr(ablation, "scored_training", train_once)
    fewer = {f"{images} images": {"images": images} for images in (20, 9, 100)}
    ablation.run_ideas(plan, list(fewer), [0], tmp_path, fewer)
    assert len({str(recipe) for recipe in recipes}) == 1
    assert len({len(manifest.subset("validation")) for manifest in asked}) == 1
    every, twenty, nine, most = (set(manifest.subset("train").paths) for manifest in asked)
    assert (len(twenty), len(nine)) == (20, 9) and nine < twenty < every == most


def test_a_random_split_has_as_many_images_and_no_groups(plan: Plan) -> None:
    split = ablation.manifest_of(plan, {"split": "random"})
    whole = ablation.manifest_of(plan, {})
    assert "group" in whole.frame and "group" not in split.frame
    counts = [manifest.frame["split"].value_counts().to_dict() for manifest in (split, whole)]
    assert counts[0] == counts[1]
    assert set(split.subset("train").paths) != set(whole.subset("train").paths)


def test_a_random_split_breaks_groups(people: Manifest) -> None:
    one = replace(people, frame=people.frame.assign(group="one"))
    split = split_at_random(one, {"test": 0.5, "train": 0.5}, seed=1).frame["split"]
    assert abs((split == "train").sum() - len(people) / 2) <= 1 and set(split) == {"train", "test"}


def test_an_idea_goes_with_its_training(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command
) -> None:
    asked = []

    def train_once(manifest: Manifest, recipe: Recipe, **how) -> dict:
        asked.append(how)
        return ROW

    monkeypatch.setattr(ablation, "scored_training", train_once)
    own = tmp_path / "darker.py"
    code, printed, _ = command(
        main, "ablation", "--manifest", plan.manifest, "--tasks", "gender", "--epochs", 1,
        "--seeds", 0, "--ideas", "MixUp,no towers", "--idea-file", own, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0 and printed.count("| darker | 2.0 | 0.500 (+0.000) |") == 1
    assert asked == [{}, {"idea": str(own)}, {"idea": "MixUp"}, {}]


def test_minutes_or_epochs(command) -> None:
    for given in ([], ["--minutes", "1", "--epochs", "1"]):
        code, _, error = command(main, "ablation", "--manifest", "m.csv", *given)
        assert code == 2 and "either --minutes or --epochs" in error


def test_rare_classes_are_judged_by_macro_f1() -> None:
    """An idea may cost accuracy and still find rare classes."""
    rows = []
    for seed in range(3):
        noise = 0.001 * seed
        rows.append([ablation.DEFAULT, seed, 0.9 + noise, 0.5 + noise])
        rows.append(["focal loss", seed, 0.85 + 2 * noise, 0.6 + 2 * noise])
    runs = pd.DataFrame(rows, columns=["recipe", "seed", "gender", "gender_macro_f1"])
    runs = runs.assign(minutes=1.0, epochs=2.0, gender_balanced_accuracy=0.5)
    verdicts = {score: ablation.judge(runs, score).set_index("recipe") for score in ablation.JUDGED}
    assert verdicts["accuracy"].loc["focal loss", "verdict"] == "harms"
    assert verdicts["macro_f1"].loc["focal loss", "verdict"] == "helps"
    assert list(verdicts["macro_f1"].columns) == ["epochs", "gender", "mean", "verdict"]
    assert verdicts["macro_f1"].loc[ablation.DEFAULT, "gender"] == "0.501"


def test_ideas_for_rare_classes_are_ideas() -> None:
    assert set(ablation.TOGETHER["rare"]) <= set(ablation.IDEAS)


def test_a_peer_is_another_recipe_in_the_same_minutes() -> None:
    peer = ablation.recipe_of(
        "published attributes at 100 pixels", ONE._replace(minutes=20), 0, ablation.PEERS
    )
    assert peer.backbone == "DenseNet121" and len(peer.stages) == 5
    assert {stage.image_size for stage in peer.stages} == {(100, 100)}
    minutes = [stage.minutes for stage in peer.stages]
    assert sum(minutes) == pytest.approx(20) and minutes[3] == pytest.approx(minutes[0])


def test_an_idea_changes_every_stage_of_the_published_recipe() -> None:
    published = ONE._replace(recipe="published-attributes")
    recipe = ablation.recipe_of("flips only", published, 3)
    assert [stage.augmentation for stage in recipe.stages] == ["flip"] * 5
    assert sum(stage.minutes for stage in recipe.stages) == pytest.approx(1)
    assert (recipe.backbone, recipe.seed) == ("DenseNet121", 3)
    counted = ablation.recipe_of("flips only", published._replace(minutes=0, epochs=2), 0)
    assert [(stage.minutes, stage.epochs) for stage in counted.stages] == [(0, 2)] * 5
