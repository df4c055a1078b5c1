"""Comparing ideas: what is trained, what is kept, and when a difference is more than noise."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks import ablation
from benchmarks.measures import SCORES, Data
from helpers.common import WorkshopError
from helpers.train import Recipe

DATA = Data(Path("manifest.csv"), ["gender"])
ROW = {"minutes": 1.0, "epochs": 2.0, "gender": 0.5} | {
    f"gender{suffix}": 0.4 for suffix in SCORES.values() if suffix
}
ONE = ablation.Length(minutes=1)


@pytest.mark.parametrize("idea", ablation.IDEAS)
def test_an_idea_changes_what_it_says_and_nothing_else(idea: str) -> None:
    five = ablation.Length(minutes=5)
    recipe, default = (ablation.recipe_of(i, five, 1, ["gender"]) for i in (idea, ablation.DEFAULT))
    parts = {**vars(default), **vars(default.stages[0])}
    changed = {**vars(recipe), **vars(recipe.stages[0])}
    different = {name for name in parts if parts[name] != changed[name]} - {"stages"}
    assert different == {{"others": "task_weights"}.get(n, n) for n in ablation.IDEAS[idea]}
    assert (recipe.stages[0].minutes, recipe.seed) == (5, 1)


def test_an_unknown_idea_is_named() -> None:
    with pytest.raises(WorkshopError, match=r"found 'no tower'\. Did you mean 'no towers'"):
        ablation.recipe_of("no tower", ablation.Length(5), 0)


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


def test_a_stopped_run_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trained = []

    def train_once(data: Data, recipe: Recipe) -> dict:
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append((recipe.tower, recipe.seed))
        return ROW

    monkeypatch.setattr(ablation, "train_once", train_once)
    with pytest.raises(KeyboardInterrupt):
        ablation.run_ideas(DATA, ["no towers"], ONE, [0, 1], tmp_path)
    assert trained == [(128, 0), (0, 0), (128, 1)]
    kept, trained[:] = list(trained), []
    runs = ablation.run_ideas(DATA, ["no towers"], ONE, [0, 1], tmp_path)
    assert trained == [(0, 1)] and len(kept) == 3
    assert len(runs) == 4 and len(pd.read_csv(tmp_path / "runs.csv")) == 4
    fewer = ablation.run_ideas(DATA, [], ONE, [0], tmp_path)  # the file may hold more than is asked
    assert fewer[["recipe", "seed"]].to_numpy().tolist() == [[ablation.DEFAULT, 0]]


def test_other_minutes_or_data_are_not_mixed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ablation, "train_once", lambda *_: ROW)
    ablation.run_ideas(DATA, [], ONE, [0], tmp_path)
    with pytest.raises(WorkshopError, match="Name another --out"):
        ablation.run_ideas(DATA, [], ablation.Length(minutes=2), [0], tmp_path)
    with pytest.raises(WorkshopError, match="Name another --out"):
        ablation.run_ideas(Data(DATA.manifest, ["age"]), [], ONE, [0], tmp_path)
    assert len(pd.read_csv(tmp_path / "runs.csv")) == 1


def test_other_tasks_help_and_are_not_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def train_once(data: Data, recipe: Recipe) -> dict:
        asked.append((data.tasks, recipe.task_weights, recipe.stages[0].epochs))
        return {**ROW, "age": 0.4, "age_macro_f1": 0.3, "age_balanced_accuracy": 0.3}

    monkeypatch.setattr(ablation, "train_once", train_once)
    idea = "all tasks (others at half weight)"
    runs = ablation.run_ideas(DATA, [idea], ablation.Length(epochs=4), [0], tmp_path)
    assert asked == [(["gender"], "", 4), (None, "*=0.5,gender=1", 4)]
    assert list(runs.columns) == ["recipe", "seed", *ROW]


def test_fewer_groups_are_another_manifest_and_the_same_recipe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def train_once(data: Data, recipe: Recipe) -> dict:
        asked.append((data, recipe))
        return ROW

    monkeypatch.setattr(ablation, "train_once", train_once)
    ablation.run_ideas(DATA, list(ablation.FEWER), ONE, [0], tmp_path, ablation.FEWER)
    assert [data.groups for data, _ in asked] == [1, 1 / 2, 1 / 4]
    assert [data[:2] for data, _ in asked] == [DATA[:2]] * 3
    assert len({str(recipe) for _, recipe in asked}) == 1


def test_minutes_or_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ([], ["--minutes", "1", "--epochs", "1"], ["--epochs", "-1", "--minutes", "1"]):
        monkeypatch.setattr("sys.argv", ["ablation", "--manifest", "m.csv", *given])
        with pytest.raises(WorkshopError, match="either --minutes or --epochs"):
            ablation.main()


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
        "published attributes at 100 pixels", ablation.Length(20), 0, ideas=ablation.PEERS
    )
    assert peer.backbone == "DenseNet121" and len(peer.stages) == 5
    assert {stage.image_size for stage in peer.stages} == {(100, 100)}
    minutes = [stage.minutes for stage in peer.stages]
    assert sum(minutes) == pytest.approx(20) and minutes[3] == pytest.approx(minutes[0])


def test_an_idea_changes_every_stage_of_the_published_recipe() -> None:
    recipe = ablation.recipe_of("MixUp", ONE, 3, base="published-attributes")
    assert [stage.mix for stage in recipe.stages] == ["mixup"] * 5
    assert sum(stage.minutes for stage in recipe.stages) == pytest.approx(1)
    assert (recipe.backbone, recipe.seed) == ("DenseNet121", 3)
    counted = ablation.recipe_of("MixUp", ablation.Length(epochs=2), 0, base="published-attributes")
    assert [(stage.minutes, stage.epochs) for stage in counted.stages] == [(0, 2)] * 5
