"""A run: its files, its log against numpy, and a killed run that goes on as if nothing had been."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score
from sklearn.metrics import log_loss as sklearn_log_loss

from helpers.common import WorkshopError, read_json
from helpers.manifest import Labels, Manifest
from helpers.model import class_counts, load_model
from helpers.train import (
    OneCycle,
    Recipe,
    Run,
    Stage,
    check_labels,
    learning_rate,
    open_run,
    predict_manifest,
    train,
)
from helpers.train.callbacks import (
    BatchLog,
    EpochRecorder,
    averaged_weights,
    epochs_without_progress,
    log_loss,
)
from helpers.train.runs import Data, check_data
from helpers.train.stages import build_stage_model, compile_model
from helpers.train.state import State
from tests.conftest import IMAGE_SIZE, make_people, small_recipe

pytestmark = pytest.mark.usefixtures("tiny_backbone")
FROZEN = Stage(
    epochs=2,
    image_size=IMAGE_SIZE,
    batch_size=16,
    learning_rate=0.01,
    schedule="plateau",
    freeze_backbone=True,
)
LARGER = Stage(
    epochs=4,
    image_size=(48, 24),
    batch_size=16,
    learning_rate=1e-9,
    schedule="constant",
    augmentation="none",
    early_stopping=1,
)


@pytest.fixture(scope="module")
def two_stages(people: Manifest, tiny_backbone: None, tmp_path_factory) -> Run:
    """Frozen at one size, then thawed at another where nothing is gained; averaged weights."""
    recipe = small_recipe(ema=0.9, task_weights="uncertainty", class_weights="balanced")
    recipe = recipe.replace(stages=(FROZEN, LARGER))
    return train(people, tmp_path_factory.mktemp("runs") / "stages", recipe)


def weights_of(run: Run, epoch: int) -> list[np.ndarray]:
    return load_model(run.epoch_path(epoch)).get_weights()


def same_weights(one: list[np.ndarray], other: list[np.ndarray], **tolerance: float) -> bool:
    return all(np.allclose(a, b, **tolerance) for a, b in zip(one, other, strict=True))


# A finished run


def test_the_files_of_a_run(trained: Run, people: Manifest) -> None:
    names = {str(p.relative_to(trained.folder)) for p in trained.folder.rglob("*") if p.is_file()}
    assert {
        "run.json", "labels.json", "log.csv", "batches.csv", "best.keras", "best.json",
        "epochs/epoch-001.keras", "epochs/epoch-002.keras", "epochs/epoch-003.keras",
        "state/state.json", "state/epoch-003.weights.h5",
    } <= names  # fmt: skip
    assert not [name for name in names if name.startswith(".") or "/." in name]
    assert len([name for name in names if name.startswith("state/")]) == 2
    assert any(name.startswith("tensorboard/") for name in names)
    assert Labels.read(trained.folder / "labels.json") == people.labels
    value = read_json(trained.folder / "run.json")
    assert value["versions"]["keras"] == keras.__version__
    assert value["manifest"] == str(people.source)
    assert open_run(trained.folder) == trained


def test_the_log_has_a_line_for_each_epoch(trained: Run, people: Manifest) -> None:
    log = trained.log
    assert list(log["epoch"]) == [1, 2, 3] and (log["stage"] == 1).all()
    wanted = {"loss", "val_loss", "val_accuracy", "seconds", "learning_rate"}
    for task in people.tasks:
        wanted |= {f"{kind}{task}_{what}" for kind in ("", "val_") for what in ("loss", "accuracy")}
    assert wanted <= set(log.columns)
    assert not log.isna().any(axis=None)


def test_the_log_of_batches_has_a_line_for_each_batch(trained: Run) -> None:
    batches = pd.read_csv(trained.folder / "batches.csv")
    assert list(batches["epoch"]) == [1] * 4 + [2] * 4 + [3] * 4  # 27 images in batches of 8
    assert list(batches["batch"]) == [1, 2, 3, 4] * 3
    assert np.allclose(batches["loss"][3::4], trained.log["loss"], atol=1e-4)


@pytest.mark.parametrize("epoch", [1, 3])
def test_validation_figures_are_those_of_the_saved_model(
    trained: Run, people: Manifest, epoch: int
) -> None:
    validation = people.subset("validation")
    probabilities = predict_manifest(load_model(trained.epoch_path(epoch)), validation)
    row = trained.log.set_index("epoch").loc[epoch]
    accuracies, losses = [], []
    for task, classes in people.labels.tasks.items():
        targets = validation.targets(task)
        known = targets >= 0
        assert 0 < known.sum() < len(validation) == len(probabilities[task])
        accuracies.append(accuracy_score(targets[known], probabilities[task].argmax(1)[known]))
        losses.append(
            sklearn_log_loss(targets[known], probabilities[task][known], labels=range(len(classes)))
        )
        assert row[f"val_{task}_accuracy"] == pytest.approx(accuracies[-1])
        assert row[f"val_{task}_loss"] == pytest.approx(losses[-1], rel=1e-3)
    assert row["val_accuracy"] == pytest.approx(np.mean(accuracies))
    assert row["val_loss"] == pytest.approx(np.sum(losses), rel=1e-3)


def test_best_is_the_best_epochs_model(trained: Run) -> None:
    best = int(trained.log["epoch"][trained.log["val_accuracy"].argmax()])
    assert trained.best_epoch == best
    assert trained.best_path.read_bytes() == trained.epoch_path(best).read_bytes()


def test_an_epochs_model_carries_no_optimizer(trained: Run) -> None:
    model = keras.saving.load_model(trained.epoch_path(2))
    assert getattr(model, "optimizer", None) is None


# Two stages, a frozen backbone, averaged weights


def test_stages_follow_each_other(two_stages: Run) -> None:
    # the second stage gains nothing at a rate of 1e-9, and ends after its patience of 1 epoch
    log = two_stages.log
    assert list(log["stage"])[:3] == [1, 1, 2] and len(log) < 6
    sizes = [load_model(two_stages.epoch_path(e)).input_shape[1:3] for e in (2, 3)]
    assert sizes == [(32, 16), (48, 24)]


def test_a_stage_starts_from_the_best_epoch_before(two_stages: Run) -> None:
    log = two_stages.log
    before = int(log["epoch"][log["val_accuracy"][:2].argmax()])
    model = load_model(two_stages.epoch_path(3))
    old = load_model(two_stages.epoch_path(before))
    trained = {w.path for w in model.trainable_variables}
    for one, other in zip(model.weights, old.weights, strict=True):
        if one.path in trained:  # moving statistics go on all the same
            assert np.allclose(one, other, atol=1e-5)


def test_a_frozen_backbone_stays_as_it_was(two_stages: Run) -> None:
    first, second = (load_model(two_stages.epoch_path(epoch)) for epoch in (1, 2))
    assert same_weights(
        first.get_layer("backbone").get_weights(),
        second.get_layer("backbone").get_weights(),
        atol=0,
    )
    assert not same_weights(
        first.get_layer("gender").get_weights(), second.get_layer("gender").get_weights()
    )


def test_averaged_weights_follow_their_formula_and_go_back() -> None:
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    optimizer = keras.optimizers.SGD(
        0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=None
    )
    model.compile(optimizer, "mse")
    model.optimizer.build(model.trainable_variables)
    average = None
    for _ in range(3):
        model.train_on_batch(rng.normal(size=(8, 3)), rng.normal(size=(8, 2)))
        average = average or model.get_weights()  # it starts with those of the first step
        average = [0.9 * a + 0.1 * w for a, w in zip(average, model.get_weights())]
    raw = model.get_weights()
    with pytest.raises(ZeroDivisionError), averaged_weights(model):
        assert same_weights(model.get_weights(), average, atol=1e-6)
        raise ZeroDivisionError
    assert same_weights(model.get_weights(), raw, atol=0)


# Killed and resumed

KILLED = """
import os, signal, sys
import helpers.model.network, helpers.pipeline.batches
from pathlib import Path
from helpers.manifest import read_manifest
from helpers.train import train
from helpers.train.callbacks import BatchLog
from tests.conftest import small_recipe, tiny_features
helpers.model.network.street_features = tiny_features
manifest, folder, cache = sys.argv[1:]
helpers.pipeline.batches.load_images.__defaults__ = (Path(cache),)
end = BatchLog.on_train_batch_end
def killed(self, batch, logs=None):
    end(self, batch, logs)
    if (self._state.epoch, batch) == (1, 1):
        os.kill(os.getpid(), signal.SIGKILL)
BatchLog.on_train_batch_end = killed
train(read_manifest(manifest), Path(folder), small_recipe())
"""


@pytest.fixture(scope="module")
def killed(people: Manifest, tiny_backbone: None, tmp_path_factory) -> Path:
    """The folder of a run of three epochs that was killed in the second."""
    from helpers.pipeline import load_images

    folder = tmp_path_factory.mktemp("runs") / "killed"
    (cache,) = load_images.__defaults__
    result = subprocess.run(
        [sys.executable, "-c", KILLED, people.source, folder, cache],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    return folder


def interrupt_in(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    end = BatchLog.on_train_batch_end

    def stopped(self, batch, logs=None):
        end(self, batch, logs)
        if (self._state.epoch + 1, batch) == (epoch, 2):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(BatchLog, "on_train_batch_end", stopped)


def test_a_killed_run_ends_as_an_unbroken_one(
    killed: Path, trained: Run, people: Manifest, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert list(open_run(killed).log["epoch"]) == [1]
    with (killed / "batches.csv").open("a") as file:  # as killed just before the epoch was kept
        file.write("2,1,0.5\n2,2")
    interrupt_in(monkeypatch, epoch=3)  # and Ctrl-C on top of the kill
    with pytest.raises(KeyboardInterrupt, match=r"2 whole epochs are kept in .*--resume goes on"):
        train(people, killed, small_recipe(), resume=True)
    assert "epoch 2:" in capsys.readouterr().out
    monkeypatch.undo()
    run = train(people, killed, small_recipe(), resume=True)
    printed = capsys.readouterr().out
    assert "epoch 3:" in printed and "epoch 2:" not in printed and "gender" in printed
    assert list(run.log["epoch"]) == [1, 2, 3]
    for epoch in (1, 2, 3):
        assert same_weights(weights_of(run, epoch), weights_of(trained, epoch), atol=1e-4)
    for column in ("loss", "val_loss", "learning_rate", "val_top_color_accuracy"):
        assert np.allclose(run.log[column], trained.log[column], rtol=1e-3), column
    batches = pd.read_csv(killed / "batches.csv")
    assert not batches.duplicated(["epoch", "batch"]).any() and len(batches) == 12
    assert run.best_epoch == trained.best_epoch


def test_the_state_holds_the_optimizer(trained: Run, people: Manifest) -> None:
    stage = trained.recipe.stages[0]
    model = build_stage_model(trained.labels, trained.recipe, stage)
    counts = class_counts(people.subset("train"))
    compile_model(model, trained.labels, counts, trained.recipe, stage, 12)
    model.optimizer.build(model.trainable_variables)
    model.load_weights(next((trained.folder / "state").glob("*.h5")))
    assert int(model.optimizer.iterations) == 12
    assert same_weights(
        [w.numpy() for w in model.weights if "seed" not in w.path], weights_of(trained, 3), atol=0
    )


def test_a_finished_run_has_nothing_to_resume(trained: Run, people: Manifest, capsys) -> None:
    before = trained.log_path.read_bytes()
    assert train(people, trained.folder, resume=True) == trained
    assert trained.log_path.read_bytes() == before and "epoch" not in capsys.readouterr().out


def test_resume_refuses_another_recipe(trained: Run, people: Manifest) -> None:
    with pytest.raises(WorkshopError, match="found another tower, seed"):
        train(people, trained.folder, small_recipe(seed=1, tower=3), resume=True)


def test_resume_refuses_other_labels(trained: Run, people: Manifest) -> None:
    labels = Labels({**people.labels.tasks, "gender": ("female", "male")})
    other = Manifest(people.frame, labels, people.folder)
    with pytest.raises(WorkshopError, match="belongs to other labels: expected the task 'gender'"):
        train(other, trained.folder, resume=True)
    with pytest.raises(WorkshopError, match="found no such task"):
        check_labels(trained, people.select(["age"]))


def test_resume_refuses_other_rows(trained: Run, people: Manifest) -> None:
    frame, training = people.frame, people.frame["split"] == "train"
    fewer = frame.drop(frame.index[training][0]).reset_index(drop=True)
    counts = rf"{training.sum():,} to train on.*found {training.sum() - 1:,} to train on"
    with pytest.raises(WorkshopError, match=counts):
        train(replace(people, frame=fewer), trained.folder, resume=True)
    relabelled = frame.copy()
    rows = relabelled.index[training]
    relabelled.loc[rows, "gender"] = relabelled.loc[rows, "gender"].to_numpy()[::-1]
    with pytest.raises(WorkshopError, match="found as many, but other rows, labels or order"):
        train(replace(people, frame=relabelled), trained.folder, resume=True)


def test_resume_does_not_ask_for_the_test_images_or_the_place(
    trained: Run, people: Manifest, tmp_path: Path
) -> None:
    moved = people.frame.assign(image_path="elsewhere/" + people.frame["image_path"])
    moved = moved[moved["split"] != "test"].reset_index(drop=True)
    moved = replace(people, frame=moved)
    check_data(trained, Data(moved.subset("train"), moved.subset("validation")))


# Where a run may go


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_files_is_never_touched(
    tmp_path: Path, people: Manifest, overwrite: bool
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(WorkshopError, match=r"found other files in .* another --out"):
        train(people, tmp_path, small_recipe(), overwrite=overwrite)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_run_with_somebodys_file_is_never_replaced(
    trained: Run, people: Manifest, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(trained.folder, tmp_path / "run"))
    (folder / "export" / "thesis.txt").write_text("years of work")
    with pytest.raises(WorkshopError, match=r"other files in .*export/thesis\.txt"):
        train(people, folder, small_recipe(), overwrite=True)
    assert (folder / "best.keras").exists()


def test_a_run_is_not_replaced_unasked(trained: Run, people: Manifest) -> None:
    with pytest.raises(WorkshopError, match=r"found a run in .* --resume .* --overwrite"):
        train(people, trained.folder, small_recipe())
    assert trained.best_path.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "stret"}, "Did you mean 'street'"),
        ({"pooling": "mean"}, "average, max, stripes"),
        ({"task_weights": "gendr=1"}, "Did you mean 'gender'"),
        ({"weights": "gone.keras"}, "gone.keras"),
    ],
)
def test_a_bad_recipe_writes_and_replaces_nothing(
    trained: Run, people: Manifest, tmp_path: Path, changes: dict, message: str
) -> None:
    for folder, overwrite in ((tmp_path / "new", False), (trained.folder, True)):
        with pytest.raises(WorkshopError, match=message):
            train(people, folder, small_recipe(**changes), overwrite=overwrite)
    assert not (tmp_path / "new").exists() and trained.best_path.exists()


def test_a_manifest_without_validation_labels_is_refused(people: Manifest, tmp_path: Path) -> None:
    frame = people.frame.copy()
    frame.loc[frame["split"] == "validation", people.tasks] = ""
    blank = Manifest(frame, people.labels, people.folder)
    with pytest.raises(WorkshopError, match="labels in the split validation, found none"):
        train(blank, tmp_path / "new", small_recipe())
    assert not (tmp_path / "new").exists()


def test_overwrite_replaces_a_run(tmp_path: Path, capsys) -> None:
    """And a single task, whose columns Keras names otherwise, is logged as any other."""
    from helpers.manifest import read_manifest

    manifest = read_manifest(make_people(tmp_path / "people")).select(["gender"])
    (tmp_path / "run" / "epochs").mkdir(parents=True)
    for name in ("run.json", "epochs/epoch-007.keras"):
        (tmp_path / "run" / name).write_text("{}")
    recipe = small_recipe(epochs=1, augmentation="none", schedule="constant", ema=0.9)
    run = train(manifest, tmp_path / "run", recipe, overwrite=True)
    assert not run.epoch_path(7).exists()
    row = run.log.iloc[0]
    assert row["gender_loss"] == row["loss"] and 0 < row["gender_accuracy"] <= 1
    assert row["val_accuracy"] == row["val_gender_accuracy"] and "accuracy" not in row.index
    assert list(pd.read_csv(run.folder / "batches.csv")["batch"]) == [1, 2, 3, 4]
    assert_saved_is_average(run, manifest)


def assert_saved_is_average(run: Run, manifest: Manifest) -> None:
    """The state keeps raw weights and averages apart; the epoch's model has the averages."""
    stage = run.recipe.stages[0]
    model = build_stage_model(run.labels, run.recipe, stage)
    counts = class_counts(manifest.subset("train"))
    compile_model(model, run.labels, counts, run.recipe, stage, 4)
    model.optimizer.build(model.trainable_variables)
    model.load_weights(run.folder / "state" / "epoch-001.weights.h5")
    saved = [w.numpy() for w in load_model(run.epoch_path(1)).trainable_variables]
    assert not same_weights([w.numpy() for w in model.trainable_variables], saved, atol=1e-4)
    with averaged_weights(model):
        assert same_weights([w.numpy() for w in model.trainable_variables], saved, atol=1e-6)


# Schedules, plateau, stopping


def test_one_cycle() -> None:
    cycle = OneCycle(0.01, 100)
    rates = np.array([float(cycle(step)) for step in range(101)])
    assert rates[0] == pytest.approx(0.01 / 25, rel=1e-5) and rates[30] == pytest.approx(0.01)
    assert rates[15] == pytest.approx((0.01 + 0.01 / 25) / 2)
    assert rates[65] == pytest.approx((0.01 + 0.01 / 1e4) / 2, rel=1e-4)
    assert rates[100] == pytest.approx(0.01 / 1e4, rel=1e-3)
    assert (
        rates.argmax() == 30 and (np.diff(rates[:31]) > 0).all() and (np.diff(rates[30:]) < 0).all()
    )


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_one_cycle_of_a_few_steps_is_finite(steps: int) -> None:
    rates = [float(OneCycle(0.01, steps)(step)) for step in range(steps + 1)]
    assert np.isfinite(rates).all() and min(rates) > 0


def test_the_other_schedules() -> None:
    cosine = learning_rate(Stage(epochs=1, learning_rate=0.02, schedule="cosine"), 50)
    assert float(cosine(25)) == pytest.approx(0.01)
    for schedule in ("plateau", "constant"):
        assert learning_rate(Stage(epochs=1, learning_rate=0.02, schedule=schedule), 50) == 0.02


@pytest.mark.parametrize(
    ("accuracies", "waited"),
    [([], 0), ([0.5], 0), ([0.5, 0.5], 1), ([0.5, 0.5005, 0.5009], 2), ([0.5, 0.4, 0.6], 0)],
)
def test_epochs_without_progress(accuracies: list[float], waited: int) -> None:
    assert epochs_without_progress(accuracies) == waited


@pytest.fixture
def recorder(tmp_path: Path, people: Manifest, tiny_backbone: None) -> Callable:
    """An `EpochRecorder` and what it reads, for a history of accuracies."""

    def made(accuracies: list[float], **changes) -> EpochRecorder:
        recipe = small_recipe(**changes)
        run = Run(tmp_path, people.labels, recipe)
        state = State(run)
        state.rows = [{"epoch": i + 1, "val_accuracy": a} for i, a in enumerate(accuracies)]
        recorder = EpochRecorder(state, people.subset("validation"))
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(1.0))
        recorder.set_model(model)
        return recorder

    return made


@pytest.mark.parametrize(
    ("accuracies", "rate"),
    [([0.5] * 3, 1.0), ([0.5] * 4, 0.7), ([0.5] * 5, 1.0), ([0.5] * 7, 0.7), ([0.5, 0.6], 1.0)],
)
def test_a_plateau_lowers_the_rate(recorder: Callable, accuracies: list, rate: float) -> None:
    """After 3 epochs without progress, and again after 3 more."""
    for schedule, expected in (("plateau", rate), ("constant", 1.0)):
        watcher = recorder(accuracies[:-1], schedule=schedule)
        watcher._lower(accuracies[-1])
        assert float(watcher.model.optimizer.learning_rate) == pytest.approx(expected)


def test_early_stopping(recorder: Callable) -> None:
    assert recorder([0.5, 0.5, 0.5], early_stopping=2).has_stopped()
    assert not recorder([0.5, 0.5, 0.5], early_stopping=3).has_stopped()
    assert not recorder([0.5, 0.5, 0.5], early_stopping=0).has_stopped()
    assert not recorder([], early_stopping=1).has_stopped()


def test_log_loss() -> None:
    rng = np.random.default_rng(0)
    targets, probabilities = np.array([0, -1, 2, 1]), rng.dirichlet(np.ones(3), 4)
    known = targets >= 0
    expected = sklearn_log_loss(targets[known], probabilities[known], labels=[0, 1, 2])
    assert log_loss(targets, probabilities) == pytest.approx(expected)
    assert np.isnan(log_loss(np.array([-1]), probabilities[:1]))


# Recipes


def test_a_recipe_survives_json() -> None:
    import json

    recipe = Recipe(stages=(FROZEN, LARGER), weights="a.keras", ema=0.5, task_weights="uncertainty")
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 0}, {"epochs": 2.5}, {"batch_size": 1}, {"image_size": (8, 64)},
        {"learning_rate": 0.0}, {"learning_rate": float("nan")}, {"schedule": "linear"},
        {"augmentation": "wild"}, {"early_stopping": -1}, {"ema": 1.0}, {"dropout": 1.5},
        {"label_smoothing": -0.1}, {"class_weights": "equal"}, {"seed": -1}, {"tower": -8},
        {"stages": ()}, {"weight_decay": -1.0},
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused(changes: dict) -> None:
    name = next(iter(changes)).replace("_", " ")
    with pytest.raises(WorkshopError, match=f"^{name}: expected .*, found .*"):
        small_recipe(**changes)
