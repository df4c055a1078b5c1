"""Fine-tuning: what is trained and how fast, what is planned, and a run that goes on."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from helpers.common import WorkshopError
from helpers.common.settings import onednn_helps
from helpers.evaluate import evaluate
from helpers.manifest import Manifest, read_manifest
from helpers.model import load_model
from helpers.predict import LiteRTPredictor
from helpers.train import (
    Recipe,
    Stage,
    build_stage_model,
    planning,
    predict_manifest,
    train,
)
from helpers.train.flags import build_parser, recipe_from
from helpers.train.recipe import FINE_TUNE, MOST_REPEATS, in_minutes
from helpers.train.stages import build_optimizer, freeze_until, stage_batches
from tests.conftest import make_people, small_recipe, tuned_recipe

pytestmark = pytest.mark.usefixtures("tiny_backbone")
TUNED = in_minutes(FINE_TUNE, 5)


def flags(*arguments: str) -> Recipe:
    return recipe_from(build_parser().parse_args(["--manifest", "m", "--out", "r", *arguments]))


# What answers


def test_the_answers_for_an_image_and_its_mirror_are_averaged(tuned, people: Manifest) -> None:
    images = np.random.default_rng(0).uniform(0, 255, (3, *tuned.recipe.stages[0].image_size, 3))
    plain, predictor = tuned.load_model(), tuned.load_predictor()
    answers, mirrored = plain(images), plain(images[:, :, ::-1])
    for task, found in predictor(images).items():
        assert np.abs(answers[task] - mirrored[task]).max() > 1e-4
        np.testing.assert_allclose(found, (answers[task] + mirrored[task]) / 2, atol=1e-6)
    _, scored = evaluate(tuned, people.subset("test"))
    np.testing.assert_allclose(
        scored["gender"], predict_manifest(predictor, people.subset("test"))["gender"], atol=1e-6
    )
    one = LiteRTPredictor(tuned.export_folder)
    pixels = images.astype(np.uint8)
    wanted = predictor(pixels.astype(np.float32))
    np.testing.assert_allclose(one.predict_pixels(pixels)["gender"], wanted["gender"], atol=1e-4)


# What is trained


def test_the_first_blocks_stay_as_they_were(tuned, people: Manifest) -> None:
    before = build_stage_model(people.labels, tuned.recipe, tuned.recipe.stages[0])
    after = load_model(tuned.epoch_path(2)).get_layer("backbone")
    changed = {}
    for layer in before.get_layer("backbone").layers:
        if layer.weights:
            same = [np.array_equal(a, b) for a, b in zip(layer.get_weights(), after.get_layer(
                layer.name).get_weights())]  # fmt: skip
            changed[layer.name] = not all(same)
            assert layer.trainable == changed[layer.name]
    assert not changed["stem"] and not changed["block_4_project"]
    assert changed["block_5_expand"] and changed["block_10_project"]


def test_the_backbone_takes_shorter_steps_without_decay() -> None:
    inputs = keras.Input((2,))
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)], name="backbone")
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(inner(inputs)))
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    stage = Stage(epochs=1, learning_rate=0.1, schedule="constant")
    recipe = Recipe(stages=(stage,), backbone_rate=0.25, weight_decay=0.5)
    optimizer = build_optimizer(recipe, stage, 10, model)
    optimizer.build(model.trainable_variables)
    optimizer.apply([np.ones(v.shape, "float32") for v in model.trainable_variables])
    slow, _, fast, bias = (float(np.ravel(v)[0]) for v in model.trainable_variables)
    assert slow == pytest.approx(1 - 0.025, abs=1e-4)  # Adam's first step is as long as the rate
    assert bias == pytest.approx(1 - 0.1, abs=1e-4)
    assert fast == pytest.approx(1 - 0.1 * 0.5 - 0.1, abs=1e-4)


def test_a_layer_to_freeze_until_is_looked_for_at_any_depth() -> None:
    inputs = keras.Input((2,))
    inner = keras.Sequential([keras.layers.Dense(2, name="one"), keras.layers.Dense(2, name="two")])
    model = keras.Model(inputs, keras.layers.Dense(2, name="three")(inner(inputs)))
    freeze_until(model, "one")
    assert [len(model.get_layer("three").trainable_variables), len(inner.trainable_variables)] == [
        2, 2,
    ]  # fmt: skip
    with pytest.raises(WorkshopError, match=r"found 'thre'\. Did you mean 'three'"):
        freeze_until(model, "thre")


def test_an_epoch_of_several_repeats(people: Manifest) -> None:
    training, stage = people.subset("train"), small_recipe(repeats=3).stages[0]
    second = stage_batches(training, small_recipe(), stage, first_epoch=1)
    ahead = stage_batches(training, small_recipe(), stage.replace(repeats=1), first_epoch=3)
    for one, other in zip(second.take(2), ahead.take(2)):
        assert np.array_equal(one[0], other[0])


def test_a_killed_run_goes_on(
    tuned, people: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from helpers.train import State

    save = State.save_epoch

    def killed(self, model, row) -> None:
        save(self, model, row)
        raise KeyboardInterrupt

    monkeypatch.setattr(State, "save_epoch", killed)
    with pytest.raises(KeyboardInterrupt, match="1 whole epochs are kept"):
        train(people, tmp_path / "run", tuned_recipe())
    monkeypatch.undo()
    run = train(people, tmp_path / "run", tuned_recipe(), resume=True)
    pairs = zip(*(load_model(r.epoch_path(2)).get_weights() for r in (run, tuned)))
    assert all(np.allclose(one, other, atol=1e-4) for one, other in pairs)
    assert np.allclose(run.log["val_loss"], tuned.log["val_loss"], rtol=1e-3)


# What is planned


@pytest.fixture
def fast_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_images_per_second", lambda *_: 190.0)


def images(folder: Path, width: int, height: int, count: int) -> Manifest:
    """A manifest of `count` rows that name two images of one size."""
    for name in ("a", "b"):
        Image.new("RGB", (width, height)).save(folder / f"{name}.png")
    rows = "".join(f"{'ab'[i % 2]}.png,{'xy'[i % 2]}\n" for i in range(count))
    (folder / "manifest.csv").write_text(f"image_path,task\n{rows}")
    return read_manifest(folder / "manifest.csv")


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (64, 160, (160, 64)), (75, 160, (160, 64)),  # people
        (300, 300, (96, 96)), (640, 480, (80, 112)), (480, 640, (112, 80)),  # whatever else
        (32, 32, (96, 96)), (20, 2000, (1008, 48)),
    ],
)  # fmt: skip
def test_images_keep_their_shape(
    tmp_path: Path, fast_machine: None, width: int, height: int, size: tuple[int, int]
) -> None:
    recipe = planning.fitted(TUNED, images(tmp_path, width, height, 10_000))
    assert recipe.stages[0].image_size == size and recipe.planned == TUNED.planned


@pytest.mark.parametrize(
    ("minutes", "count", "size", "batch", "repeats"),
    [
        (5, 11_000, (96, 96), 64, 1),  # 5 epochs
        (1, 11_000, (96, 96), 32, 1),  # 178 steps of 64
        (5, 1_000, (208, 208), 32, 1),  # 57 epochs of small images: larger ones, fewer steps
        (5, 100, (208, 208), 16, 7),
        (0, 11_000, (96, 96), 64, 1),
    ],
)
def test_minutes_decide(
    tmp_path: Path, fast_machine: None, minutes: float, count: int, size: tuple, batch: int,
    repeats: int,
) -> None:  # fmt: skip
    recipe = planning.fitted(in_minutes(FINE_TUNE, minutes), images(tmp_path, 400, 400, count))
    stage = recipe.stages[0]
    assert (stage.image_size, stage.batch_size, stage.repeats) == (size, batch, repeats)


def test_small_images_do_not_grow_beyond_their_size(tmp_path: Path, fast_machine: None) -> None:
    recipe = planning.fitted(TUNED, images(tmp_path, 128, 128, 300))
    assert recipe.stages[0].image_size == (128, 128)


def test_what_flags_say_is_not_planned(tmp_path: Path, fast_machine: None) -> None:
    recipe = flags("--recipe", "fine-tune", "--image-size", "64x64", "--minutes", "5")
    assert recipe.planned == "batch_size,repeats"
    stage = planning.fitted(recipe, images(tmp_path, 300, 300, 100)).stages[0]
    assert (stage.image_size, stage.batch_size) == ((64, 64), 16)
    assert flags("--recipe", "fine-tune", "--planned", "none").planned == ""
    with pytest.raises(WorkshopError, match=r"--planned with some of image_size.*found rate"):
        planning.fitted(recipe.replace(planned="rate"), images(tmp_path, 9, 9, 4))


def test_a_plan_is_kept_when_the_run_goes_on() -> None:
    began = TUNED.replace(stages=(TUNED.stages[0].replace(image_size=(96, 96), repeats=4),))
    assert planning.as_before(TUNED, began.stages) == began
    other = in_minutes(TUNED, 7)
    assert planning.as_before(other, began.stages) != began
    two = TUNED.replace(stages=TUNED.stages * 2)
    assert planning.as_before(two, began.stages) != began
    assert planning.as_before(Recipe(), began.stages) == Recipe()


def test_the_machine_is_timed(people: Manifest) -> None:
    recipe = small_recipe(planned="batch_size,repeats", minutes=10.0, batch_size=64)
    (stage,) = planning.fitted(recipe, people.subset("train")).stages
    assert stage.batch_size == 16 and stage.repeats > 10  # of 27 images
    days = small_recipe(planned="repeats", minutes=99_999.0)
    assert planning.fitted(days, people.subset("train")).stages[0].repeats == MOST_REPEATS


def test_the_command_fine_tunes(command: Callable, tmp_path: Path) -> None:
    from helpers.train import __main__ as command_line

    manifest = make_people(tmp_path / "people")
    code, printed, error = command(
        command_line.main, "--manifest", manifest, "--out", tmp_path / "run", "--recipe",
        "fine-tune", "--epochs", 1, "--image-size", "32x16", "--no-export", "--tasks", "gender",
    )  # fmt: skip
    assert code == 0, error
    assert "32x16, layers after block_4_project" in printed and "batches of 16" in printed


# oneDNN


@pytest.mark.parametrize(
    ("flags", "helps"),
    [("fpu avx avx2 bmi2", True), ("avx2 avx512f avx512_vnni", False), ("asimd sve", False)],
)
def test_onednn_is_asked_for_where_tensorflow_does_not(
    tmp_path: Path, flags: str, helps: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert onednn_helps(tmp_path / "cpuinfo") == helps
    assert not onednn_helps(tmp_path / "none")
