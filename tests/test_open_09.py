"""09 freezes, compiles, watches and scores in the open; the package does the same."""

import re

import numpy as np
import pandas as pd
import pytest

from data.sources import hvc
from helpers import scores
from helpers.common import keras
from helpers.manifest import Manifest
from helpers.pipeline import load_images
from helpers.train import Recipe, Stage, build_stage_model, find_recipe
from helpers.train.stages import losses_of
from tests.notebook_form import NOTEBOOKS, prose, read
from tests.open_cells import run_cells

NOTEBOOK = "09_train_person_attributes"
SMALL, LARGE = (32, 16), (64, 32)
pytestmark = pytest.mark.usefixtures("tiny_backbone")


@pytest.fixture(scope="module")
def opened(people: Manifest, tiny_backbone) -> dict:
    names = {"manifest": people, "tasks": people.labels.tasks, "SMALL": SMALL, "LARGE": LARGE}
    return run_cells(NOTEBOOK, "open-freeze", run_cells(NOTEBOOK, "open", names))


def test_a_frozen_stage_trains_what_the_package_trains(opened: dict, people: Manifest):
    stage = Stage(epochs=1, image_size=LARGE, freeze_backbone=True)
    mine, theirs = opened["large"], build_stage_model(people.labels, Recipe(), stage)
    trained = [[weight.path for weight in m.trainable_weights] for m in (mine, theirs)]
    assert trained[0] == trained[1] != [weight.path for weight in mine.weights]
    assert not any("backbone" in path for path in trained[0])
    theirs.set_weights(mine.get_weights())
    images = load_images(people, LARGE)[:4].astype(np.float32)
    for task, found in theirs(images, training=False).items():
        np.testing.assert_allclose(mine(images, training=False)[task], found, atol=1e-6)


def test_the_second_stage_starts_from_the_weights_of_the_first(opened: dict):
    for one, other in zip(opened["small"].get_weights(), opened["large"].get_weights()):
        np.testing.assert_array_equal(one, other)


def test_the_losses_are_those_of_the_package(opened: dict, people: Manifest):
    model = opened["large"]
    counts = {task: np.ones(len(classes)) for task, classes in people.labels.tasks.items()}
    packaged, _ = losses_of(model, people.labels, counts, Recipe())
    predictions = model(load_images(people, LARGE).astype(np.float32), training=False)
    for task, loss in model.loss.items():
        given = people.targets(task), predictions[task]
        assert float(loss(*given)) == pytest.approx(float(packaged[task](*given)), abs=1e-5)


def test_the_callbacks_are_those_of_the_published_recipe(opened: dict, tmp_path):
    stopping, plateau, checkpoint = opened["callbacks_for"](tmp_path / "best.keras")
    for stage in find_recipe("published-attributes").stages:
        assert stopping.patience == stage.early_stopping
        assert stage.schedule == "plateau"
    assert (plateau.factor, plateau.patience) == (0.7, 3)
    assert stopping.min_delta == plateau.min_delta == 1e-3
    assert checkpoint.save_best_only


def test_the_range_test_sets_each_rate_and_undoes_the_running_mean():
    names = run_cells(NOTEBOOK, "open-range", {"keras": keras, "np": np})
    rates, each = np.geomspace(1e-4, 1e-1, 4), np.array([3.0, 1.0, 2.0, 8.0])
    seen = names["RateRange"](rates)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(), loss="mse")
    seen.set_model(model)
    for batch in range(4):
        seen.on_train_batch_begin(batch)
        assert float(model.optimizer.learning_rate) == pytest.approx(rates[batch])
        seen.on_train_batch_end(batch, {"loss": each[: batch + 1].mean()})
    np.testing.assert_allclose(seen.losses(), each)


def test_lift_and_macro_f1_are_those_of_the_package(people: Manifest):
    rng = np.random.default_rng(0)
    tasks = people.labels.tasks
    predictions = {t: rng.dirichlet(np.ones(len(c)), len(people)) for t, c in tasks.items()}
    names = run_cells(NOTEBOOK, "open-scores", {"np": np, "pd": pd})
    mine = names["score"](predictions, people)
    theirs = scores.score_manifest(people, predictions)
    for column in ("labelled", "accuracy", "lift", "macro_f1"):
        np.testing.assert_allclose(mine[column], theirs[column].astype(float), atol=1e-9)
    np.testing.assert_allclose(mine["majority"], theirs["majority_baseline"], atol=1e-9)
    for column in ("lift_low", "lift_high"):  # other draws
        np.testing.assert_allclose(mine[column], theirs[column], atol=0.05)


def test_a_rare_emotion_is_sampled_more_often(people: Manifest):
    idea = run_cells(NOTEBOOK, "open-idea", {"np": np})["RareEmotions"]()
    frame = pd.DataFrame({"emotion": ["Neutral"] * 9 + ["Sad"]})
    weights = idea.weights(type("Training", (), {"frame": frame}))
    assert weights.sum() == pytest.approx(1)
    assert weights[9] == pytest.approx(3 * weights[0])


def test_the_table_of_published_scores_is_that_of_the_source():
    text = prose(read(NOTEBOOKS / f"{NOTEBOOK}.ipynb"))
    rows = re.findall(r"^\| (\w+) \| (\.\d{3}) \| (\.\d{3}) \| ([+-]\.\d{3}) \|$", text, re.M)
    table = hvc.published_lifts()[["accuracy", "majority_baseline", "lift"]]
    assert [name for name, *_ in rows] == list(table.index)
    found = np.array([values for _, *values in rows], float)
    np.testing.assert_allclose(found, table, atol=5.1e-4)
