"""Recipes by name, shortened; a staged run that is interrupted."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.common import WorkshopError
from helpers.manifest import Manifest
from helpers.train import Recipe, Stage, State, callbacks, train
from helpers.train import recipe as recipes
from helpers.train.flags import build_parser, recipe_from
from helpers.train.stages import build_optimizer
from tests.conftest import IMAGE_SIZE, small_recipe

PUBLISHED = recipes.PUBLISHED_ATTRIBUTES
ALL_AT_ONCE = {
    "pixels": "dataset",
    "task_weights": "uncertainty",
    "sampling": "top_color",
    "class_weights": "balanced",
    "label_smoothing": 0.1,
    "initialization": "he_normal",
    "ema": 0.5,
}


def flags(*arguments: str) -> Recipe:
    return recipe_from(build_parser().parse_args(["--manifest", "m", "--out", "r", *arguments]))


def test_the_published_stages() -> None:
    table = pd.DataFrame([vars(stage) for stage in PUBLISHED.stages], index=range(1, 6))
    assert table["image_size"].tolist() == [(100, 100)] * 3 + [(200, 200)] * 2
    assert table["freeze_backbone"].tolist() == [False, True, False, False, True]
    assert table.index[table["augmentation"] == "strong erasing"].tolist() == [3]
    assert table.loc[3, "learning_rate"] == 1e-4
    assert (table["early_stopping"] == 8).all() and (table["schedule"] == "plateau").all()
    from helpers.pipeline import AUGMENTATIONS

    areas = {AUGMENTATIONS[name].erase_area for name in table["augmentation"]}
    assert areas == {(0.01, 0.2)}
    assert callbacks.PLATEAU_FACTOR == 0.7 and callbacks.PLATEAU_EPOCHS == 3
    assert callbacks.MIN_PROGRESS == 1e-3


def test_minutes_are_divided_by_work() -> None:
    short = recipes.in_minutes(PUBLISHED, 20)
    minutes = np.array([stage.minutes for stage in short.stages])
    assert minutes.sum() == pytest.approx(20)
    assert minutes[3] == pytest.approx(4 * minutes[0]) and minutes[1] == pytest.approx(
        minutes[0] / 3
    )
    again = recipes.in_minutes(short, 10)  # the old minutes do not count
    assert [stage.minutes for stage in again.stages] == pytest.approx(minutes / 2)
    assert recipes.in_minutes(short, 0) == PUBLISHED


def test_flags_change_every_stage_of_a_named_recipe() -> None:
    recipe = flags("--recipe", "published-attributes", "--batch-size", "16", "--accumulate", "4")
    assert {(s.batch_size, s.accumulate) for s in recipe.stages} == {(16, 4)}
    assert recipe.stages[3].image_size == (200, 200)
    timed = flags("--recipe", "published-attributes", "--minutes", "20", "--backbone", "dense")
    assert sum(stage.minutes for stage in timed.stages) == pytest.approx(20)
    assert timed.backbone == "dense"
    assert flags("--minutes", "5").stages == (Stage(epochs=10, minutes=5.0),)


@pytest.mark.parametrize(
    ("flag", "value", "where", "expected"),
    [
        ("--schedule", "cyclic", "stage", "cyclic"), ("--accumulate", "4", "stage", 4),
        ("--augmentation", "randaugment", "stage", "randaugment"),
        ("--task-weights", "uncertainty", "", "uncertainty"),
        ("--pixels", "dataset", "", "dataset"), ("--label-smoothing", "0.1", "", 0.1),
        ("--initialization", "he_normal", "", "he_normal"), ("--dropout", "0", "", 0.0),
        ("--class-weights", "balanced", "", "balanced"), ("--sampling", "age", "", "age"),
        ("--backbone", "residual", "", "residual"), ("--tower", "0", "", 0),
        ("--backbone-rate", "0.5", "", 0.5), ("--repeats", "3", "stage", 3),
        ("--frozen-until", "stem", "stage", "stem"),
    ],
)  # fmt: skip
def test_each_idea_is_one_flag(flag: str, value: str, where: str, expected: object) -> None:
    recipe = flags(flag, value)
    owner = recipe.stages[0] if where else recipe
    name = flag[2:].replace("-", "_")
    assert getattr(owner, name) == expected
    default = Recipe().stages[0] if where else Recipe()
    assert owner.replace(**{name: getattr(default, name)}) == default


def test_images_come_once_where_that_is_asked_for() -> None:
    assert flags("--sampling", "none") == Recipe(sampling="")
    ours = ("street", "fine-tune")
    others = [recipe for name, recipe in recipes.RECIPES.items() if name not in ours]
    assert len(others) == 4 and {recipe.sampling for recipe in others} == {""}


def test_a_recipe_of_before_opens_without_what_was_retired(tmp_path: Path) -> None:
    value = Recipe(tower=16).to_json()
    value |= {"focal": 2.0, "logit_adjustment": 1.0, "normalization": "group"}
    value["stages"] = [{**stage, "mix": "cutmix"} for stage in value["stages"]]
    (tmp_path / "recipe.json").write_text(json.dumps(value))
    assert recipes.find_recipe(str(tmp_path / "recipe.json")) == Recipe(tower=16)
    with pytest.raises(WorkshopError, match=r"^focal: expected one of stages, backbone"):
        Recipe(focal=2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.0}, "learning rate: expected above 0 and below 10, found 0.0."),
        ({"epochs": "many"}, "epochs: expected a valid integer, 1 to 100000, found 'many'."),
        (
            {"image_size": (8, 64)},
            "image size: expected at least 16 and at most 4096 pixels, found (8, 64).",
        ),
        ({"pixels": "some"}, "pixels: expected 'fixed' or 'dataset', found 'some'."),
        ({"backbone": 3}, "backbone: expected a valid string, found 3."),
        ({"seed": -1}, "seed: expected 0 to 2147483647, found -1."),
    ],
)
def test_a_wrong_value_is_told_in_one_line(changes: dict, message: str) -> None:
    with pytest.raises(WorkshopError) as error:
        small_recipe(**changes)
    assert str(error.value) == f"{message} Change that value."
    with pytest.raises(WorkshopError, match=r"^epochs: expected 1 to 100000, found nothing"):
        Stage()


def test_each_flag_shows_its_default() -> None:
    text = " ".join(build_parser().format_help().split())
    assert "--image-size IMAGE_SIZE height x width (default 160" in text
    assert "--epochs EPOCHS" in text and "images in a step (2 to 65536; default 32)" in text
    assert "--freeze-backbone" not in text and "--stages" not in text


def test_an_unknown_recipe_is_named() -> None:
    with pytest.raises(WorkshopError, match=r"Did you mean 'published-attributes'"):
        recipes.find_recipe("published-atributes")


def test_a_run_killed_in_stage_3_goes_on_in_stage_3(
    people: Manifest,
    tiny_backbone: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    people = people.select(["top_color", "gender"])
    stage = small_recipe(epochs=1, schedule="plateau", accumulate=2).stages[0]
    stages = (stage, stage.replace(freeze_backbone=True), stage.replace(epochs=2))
    recipe = small_recipe(**ALL_AT_ONCE).replace(stages=stages)
    save = State.save_epoch

    def killed(self, model, row) -> None:
        save(self, model, row)
        if self.epoch == 3:  # the first of stage 3 is on the disk
            raise KeyboardInterrupt

    monkeypatch.setattr(State, "save_epoch", killed)
    with pytest.raises(KeyboardInterrupt, match="3 whole epochs are kept"):
        train(people, tmp_path / "run", recipe)
    capsys.readouterr()
    monkeypatch.undo()
    run = train(people, tmp_path / "run", resume=True)
    printed = capsys.readouterr().out
    assert "stage 3 of 3: 32x16, all layers" in printed and "stage 2 of 3" not in printed
    assert "epoch 4:" in printed and "epoch 3:" not in printed
    assert list(run.log["stage"]) == [1, 2, 3, 3]
    assert not pd.isna(run.log[["val_macro_f1", "val_gender_macro_f1"]]).any(axis=None)
    from helpers.model import load_model
    from helpers.pipeline import channel_statistics

    mean, std = channel_statistics(people.subset("train"), IMAGE_SIZE)
    layer = load_model(run.epoch_path(4)).get_layer("backbone").get_layer("standardize")
    np.testing.assert_allclose(layer.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.std, std, rtol=1e-5)


def test_published_lifts_show_what_was_not_learned() -> None:
    from data.sources import hvc

    assert sum(map(len, hvc.TASKS.values())) == 27
    assert all(set(hvc.COUNTS[task]) == set(classes) for task, classes in hvc.TASKS.items())
    assert {sum(counts.values()) for counts in hvc.COUNTS.values()} == {13573}
    table = hvc.published_lifts()
    assert table["majority_baseline"].round(2).to_dict() == {
        "gender": 0.56, "imagequality": 0.55, "age": 0.40, "weight": 0.64, "carryingbag": 0.56,
        "footwear": 0.44, "emotion": 0.71, "bodypose": 0.62,
    }  # fmt: skip
    assert table.index[table["lift"] < 0.02].tolist() == ["weight", "emotion"]


def test_a_network_that_scales_inside_takes_no_other_scaling() -> None:
    from helpers.model import build_backbone

    with pytest.raises(WorkshopError, match="scales inside"):
        build_backbone((64, 64), "EfficientNetB0", pixels="dataset")


def test_gradients_are_accumulated() -> None:
    for batches, steps in ((4, 4), (1, None)):
        stage = Stage(epochs=1, accumulate=batches)
        assert build_optimizer(Recipe(), stage, 8).gradient_accumulation_steps == steps
