"""A job: its channels, hyperparameters, checkpoints, printed figures, and what serving gets."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.cloud import write_shards
from helpers.cloud.script import __main__ as train
from helpers.cloud.script.environment import (
    METRIC_LINE,
    JobEnvironment,
    epoch_figures,
    metric_definitions,
    metric_line,
    read_channels,
)
from helpers.common import WorkshopError, write_json
from helpers.manifest import Labels, Manifest
from helpers.train import Run, open_run
from helpers.train.runs import can_go_on, is_whole_run
from tests.conftest import LABELS, make_people
from tests.saved_model import SavedModelPredictor

pytestmark = pytest.mark.usefixtures("tiny_backbone")
QUICK = {"epochs": 2, "image_size": "32x16", "batch-size": 8, "learning_rate": 0.01}


def without_split(manifest: Manifest) -> Manifest:
    frame = manifest.frame.drop(columns="split")
    return Manifest(frame, manifest.labels, manifest.folder)


@pytest.fixture
def channels(people: Manifest, tmp_path: Path) -> JobEnvironment:
    """Training images without a split in one channel, validation and test in the other."""
    data = tmp_path / "input/data"
    write_shards(without_split(people.subset("train")), data / "training", 2)
    rest = people.rows((people.frame["split"] != "train").to_numpy())
    write_shards(rest, data / "validation", 1)
    return JobEnvironment(training=data / "training", validation=data / "validation")


@pytest.fixture
def environment(channels: JobEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The variables of a job on one machine; returns the folder that stands for /opt/ml."""
    for name, value in {
        "SM_CHANNEL_TRAINING": channels.training,
        "SM_CHANNEL_VALIDATION": channels.validation,
        "SM_MODEL_DIR": tmp_path / "model",
        "SM_OUTPUT_DATA_DIR": tmp_path / "output/data",
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_HPS": json.dumps({**QUICK, "no_check": True, "sagemaker_program": "x"}),
    }.items():
        monkeypatch.setenv(name, str(value))
    (tmp_path / "model").mkdir()
    return tmp_path


# Channels


def test_splits_come_from_the_channels(people: Manifest, channels: JobEnvironment) -> None:
    manifest = read_channels(channels)
    assert manifest.labels == people.labels
    counts = people.frame["split"].value_counts().to_dict()
    assert manifest.frame["split"].value_counts().to_dict() == counts
    for split in counts:
        ours = {Path(path).read_bytes() for path in manifest.subset(split).paths}
        assert ours == {Path(path).read_bytes() for path in people.subset(split).paths}
    assert len(read_channels(channels, ["gender"])) == len(people)


def test_a_channel_with_a_manifest_and_its_splits(people: Manifest) -> None:
    manifest = read_channels(JobEnvironment(training=people.folder))
    assert manifest.labels == people.labels and len(manifest) == len(people)
    assert all(Path(path).exists() for path in manifest.paths)


def test_a_manifest_in_one_channel_and_shards_in_the_other(
    people: Manifest, channels: JobEnvironment, tmp_path: Path
) -> None:
    folder = tmp_path / "input/data/plain"
    shutil.copytree(people.folder, folder)
    without_split(people.subset("train")).write(folder / "train.csv")
    (folder / "train.csv").replace(folder / "manifest.csv")
    manifest = read_channels(JobEnvironment(training=folder, validation=channels.validation))
    assert manifest.frame["split"].value_counts()["train"] > 0
    assert all(Path(path).exists() for path in manifest.paths)


def test_a_channel_with_neither(tmp_path: Path) -> None:
    with pytest.raises(WorkshopError, match=r"expected manifest\.csv or shards .* found neither"):
        read_channels(JobEnvironment(training=tmp_path))


def test_channels_of_other_labels(people: Manifest, channels: JobEnvironment) -> None:
    labels = Labels({**people.labels.tasks, "gender": ("female", "male")})
    other = Manifest(people.subset("test").frame, labels, people.folder)
    write_shards(other, channels.validation, 1)
    with pytest.raises(WorkshopError, match="expected the tasks and classes of"):
        read_channels(channels)


# Variables and arguments


def test_outside_of_a_job() -> None:
    job = JobEnvironment.from_variables({})
    assert (job.training, job.model, job.checkpoints, job.flags) == (None, None, None, [])
    assert job.hosts == ("localhost",) and job.host == "localhost"


def test_the_variables_of_a_job() -> None:
    job = JobEnvironment.from_variables(
        {
            "SM_HOSTS": '["algo-2", "algo-1"]',
            "SM_CURRENT_HOST": "algo-2",
            "SM_MODEL_DIR": "/m",
            "SM_OUTPUT_DATA_DIR": "/o",
            "SM_HPS": '{"epochs": 3, "sagemaker_region": "x", "task_weights": "gender=1"}',
        }
    )
    assert job.hosts == ("algo-1", "algo-2") and job.host == "algo-2"
    assert (job.model, job.output, job.checkpoints) == (Path("/m"), Path("/o"), None)
    assert job.flags == ["--epochs", "3", "--task-weights", "gender=1"]


def test_hyperparameters_become_flags() -> None:
    given = {"learning_rate": 0.001, "task-weights": "top_color=2", "no_check": True}
    job = JobEnvironment(hyperparameters={**given, "no-export": False, "sagemaker_region": "x"})
    assert job.flags == [
        *("--learning-rate", "0.001"),
        *("--task-weights", "top_color=2"),
        "--no-check",
    ]


def test_flags_of_the_command_line_come_last(
    command: Callable, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, printed, error = command(train.main, "--epochs", "1", "--tasks", "gender", "--no-export")
    assert code == 0, error
    assert "epoch 1: " in printed and "epoch 2: " not in printed


# Printed figures


def test_a_job_finds_every_figure_in_the_lines() -> None:
    row = {"loss": 1.25, "val_loss": 0.5, "val_accuracy": 0.75}
    row |= {"val_gender_accuracy": 0.5, "val_top.color_accuracy": float("nan")}
    line = metric_line(epoch_figures(row, ["gender", "top.color"]))
    assert METRIC_LINE.fullmatch(line) and not METRIC_LINE.fullmatch("epoch 1: 2 s, loss 1.25")
    found = {
        name: float(match.group(1))
        for name, pattern in metric_definitions(["gender", "top.color"]).items()
        if (match := re.search(pattern, line))
    }
    assert found == {
        "training:loss": 1.25,
        "validation:loss": 0.5,
        "validation:accuracy": 0.75,
        "validation:gender:accuracy": 0.5,
    }


# The whole command


def test_a_job_from_channels_to_model(
    command: Callable, environment: Path, people: Manifest
) -> None:
    code, printed, error = command(train.main)
    assert code == 0, error
    definitions = metric_definitions(people.tasks)
    found = {name: re.findall(regex, printed) for name, regex in definitions.items()}
    assert len(found["training:loss"]) == 2 and len(found["validation:gender:accuracy"]) == 3
    assert len(found["test:accuracy"]) == 1 == len(found["test:age:accuracy"])
    model = environment / "model"
    names = {path.name for path in model.iterdir()}
    exported = {"saved_model", "model.tflite", "labels.json", "SHA256SUMS"}
    assert names == exported | {"scores.json", "log.csv"}
    scores = json.loads((model / "scores.json").read_text())
    assert set(scores["scores"]) == {"validation", "test"}
    assert scores["scores"]["test"]["gender"]["accuracy"] == pytest.approx(
        float(found["test:gender:accuracy"][0]), abs=1e-4
    )
    run = open_run(environment / "output/data/run")
    stage = run.recipe.stages[0]
    assert (stage.epochs, stage.batch_size, stage.learning_rate) == (2, 8, 0.01)
    assert_answers(model, people)


def assert_answers(model: Path, people: Manifest) -> None:
    predictor = SavedModelPredictor(model)
    answers = predictor.predict_bytes([Path(people.paths[0]).read_bytes()])
    assert predictor.labels == LABELS and set(answers) == set(people.tasks)


# Checkpoints


def test_an_interrupted_job_goes_on(
    command: Callable,
    environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: Run,
    tmp_path: Path,
) -> None:
    """The same command again, on a machine that has the checkpoints and nothing else."""
    from helpers.train import loop as training

    monkeypatch.setenv("SM_CHECKPOINT_DIR", str(tmp_path / "checkpoints"))
    save = training.State.save_epoch

    def interrupted(self, model, row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt
        save(self, model, row)

    monkeypatch.setattr(training.State, "save_epoch", interrupted)
    flags = ("--tasks", "gender", "--no-export")
    code, printed, _ = command(train.main, *flags)
    assert code == 130 and "epoch 1:" in printed
    monkeypatch.setattr(training.State, "save_epoch", save)
    code, printed, error = command(train.main, *flags)
    assert code == 0, error
    assert "epoch 2:" in printed and "epoch 1:" not in printed
    assert list(open_run(tmp_path / "checkpoints/run").log["epoch"]) == [1, 2]
    assert not (environment / "output").exists()


@pytest.mark.parametrize(
    "lost",
    ["run.json", "labels.json", "state/state.json", "state/epoch-003.weights.h5",
     "epochs/epoch-002.keras", "log.csv"],
)  # fmt: skip
def test_checkpoints_that_are_not_whole(
    trained: Run, tmp_path: Path, lost: str, capsys: pytest.CaptureFixture
) -> None:
    folder = Path(shutil.copytree(trained.folder, tmp_path / "run"))
    state = {"stage": 0, "stage_start": 0, "epoch": 3, "weights": "epoch-003.weights.h5"}
    write_json(folder / "state/state.json", state)  # as it is in the middle of a stage
    assert is_whole_run(folder) and is_whole_run(trained.folder)
    (folder / lost).write_text("{") if lost.endswith("state.json") else (folder / lost).unlink()
    assert not is_whole_run(folder)
    assert not can_go_on(folder) and not folder.exists()
    assert "not whole, so training starts from the beginning" in capsys.readouterr().out


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert not can_go_on(tmp_path) and (tmp_path / "thesis.txt").exists()


def test_checkpoints_without_a_job(command: Callable, tmp_path: Path) -> None:
    manifest = make_people(tmp_path / "people")
    flags = ("--manifest", manifest, "--checkpoints", tmp_path / "kept", "--no-export")
    quick = ("--tasks", "gender", "--epochs", 1, "--image-size", "32x16", "--batch-size", 8)
    for expected in ("epoch 1:", "the best epoch is 1"):
        code, printed, error = command(train.main, *flags, *quick)
        assert code == 0 and expected in printed, error
    assert (tmp_path / "kept/run/best.keras").exists()
    code, _, error = command(train.main, *flags, "--out", tmp_path / "run")
    assert code == 2 and "not allowed with argument" in error
