"""Two hosts, which are two processes here: what they learn, and how they go on after a kill."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import helpers.model.network
from helpers.cloud import write_shards
from helpers.cloud.script.hosts import ADDRESSES, PORT, cluster
from helpers.cloud.script.workers import check_stages
from helpers.common import WorkshopError
from helpers.manifest import Manifest, read_manifest
from helpers.pipeline import training_batches
from helpers.train import open_run, train
from tests.conftest import IMAGE_SIZE, make_people, small_recipe
from tests.worker import CASES, NAMES

pytestmark = pytest.mark.usefixtures("tiny_backbone")
SECONDS = 900  # on a machine that does much else
ALL_CASES = ("exact", "uncertainty", "whole", "tuned", "replicated", "job")


def free_address() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def run_hosts(folder: Path, *cases: str) -> list[tuple[int, str]]:
    """Runs both hosts; returns the exit code of each and what it printed."""
    addresses = ",".join(f"{name}={free_address()}" for name in NAMES)
    environment = {**os.environ, ADDRESSES: addresses, "PYTHONUNBUFFERED": "1"}
    hosts = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.worker", name, str(folder), *cases],
            cwd=Path(__file__).parent.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name in NAMES
    ]
    try:
        printed = [host.communicate(timeout=SECONDS)[0] for host in hosts]
        return [(host.returncode, text) for host, text in zip(hosts, printed)]
    finally:
        for host in hosts:
            host.kill()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Uneven shards of two hosts, and every case of tests/worker.py trained once."""
    folder = tmp_path_factory.mktemp("hosts")
    people = read_manifest(make_people(folder / "people"))
    training = people.subset("train")
    others = people.rows((people.frame["split"] != "train").to_numpy())
    for name, rows in zip(NAMES, (slice(0, 11), slice(11, 27))):
        write_shards(training.rows(np.arange(27)[rows]), folder / name / "training", 1)
        write_shards(others, folder / name / "validation", 1)
    results = run_hosts(folder, *ALL_CASES)
    # Where one host is dead before the other kills itself, that one loses it, and says so.
    codes = {code for code, _ in results}
    assert -signal.SIGKILL in codes and codes <= {-signal.SIGKILL, 2}, results
    (folder / "printed.json").write_text(json.dumps([text for _, text in results]))
    return folder


def learned(folder: Path, case: str, name: str) -> list[np.ndarray]:
    """The number of images of a host, then its weights and the state of its optimizer."""
    with np.load(folder / f"{case}-{name}.npz") as file:
        return [file[key] for key in file.files]


def state_of(path: Path) -> dict[str, np.ndarray]:
    """Weights, averages and moments of the state that a run keeps."""
    values = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: values.update({name: item[()]} if hasattr(item, "shape") else {})
        )
    return {name: value for name, value in values.items() if "seed" not in name}


@pytest.mark.parametrize("case", ["exact", "uncertainty", "whole", "tuned", "replicated"])
def test_both_hosts_end_with_the_same_weights(folder: Path, case: str) -> None:
    (mine, *first), (theirs, *second) = (learned(folder, case, name) for name in NAMES)
    assert (int(mine), int(theirs)) == ((14, 13) if case == "replicated" else (11, 16))
    for one, other in zip(first, second, strict=True):
        if np.issubdtype(one.dtype, np.floating):  # others: what each host drops
            assert np.array_equal(one, other)


@pytest.mark.parametrize("case", ["exact", "uncertainty"])
def test_two_hosts_learn_what_one_learns_with_the_same_batch(
    folder: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing labels, weighted classes and tasks, uneven shards; neither chance nor batch norm."""
    recipe, backbone = CASES[case]
    monkeypatch.setattr(helpers.model.network, "street_features", backbone)
    people = read_manifest(folder / "people/manifest.csv")
    one, two = train(people, folder / f"one-{case}", recipe), open_run(folder / case)
    assert two.recipe == recipe and len(one.log) == len(two.log) == recipe.stages[0].epochs
    columns = [name for name in one.log if name.endswith(("loss", "accuracy", "rate"))]
    assert len(columns) == 16 and set(columns) <= set(two.log)
    for name in columns:
        assert np.allclose(one.log[name], two.log[name], rtol=1e-4, atol=1e-5), name
    (path,) = (one.folder / "state").glob("*.h5")
    first, second = state_of(path), state_of(two.folder / "state" / path.name)
    assert len(first) > 10 and set(first) == set(second)
    for name, value in first.items():  # the moments of AdamW tell sum and mean apart
        assert np.allclose(value, second[name], rtol=1e-3, atol=1e-5), name


def test_the_run_is_that_of_one_machine(folder: Path) -> None:
    run = open_run(folder / "whole")
    assert list(run.log["epoch"]) == [1, 2, 3] and not run.log.isna().any(axis=None)
    assert run.best_epoch == run.log["epoch"][run.log["val_accuracy"].idxmax()]
    assert run.best_path.exists() and run.epoch_path(3).exists()
    batches = pd.read_csv(run.folder / "batches.csv")
    assert list(batches["epoch"]) == [1] * 4 + [2] * 4 + [3] * 4
    assert np.allclose(batches["loss"][3::4], run.log["loss"], atol=1e-4)
    first, second = json.loads((folder / "printed.json").read_text())
    assert "epoch 3: " in first and "gender" in first and "2 hosts train 27 images" in first
    assert "epoch" not in second and "whole: no run" in second and "whole: the run" in first


def test_the_clock_ends_a_stage(folder: Path) -> None:
    run = open_run(folder / "replicated")
    assert run.recipe.stages[0].minutes and len(run.log) >= 1
    assert run.log["learning_rate"].iloc[-1] < 0.01


def test_a_killed_job_goes_on(folder: Path) -> None:
    """Both were killed in the second epoch; the same command again ends as an unbroken run."""
    checkpoints = folder / NAMES[0] / "checkpoints"
    assert list(open_run(checkpoints / "run").log["epoch"]) == [1]
    results = run_hosts(folder, "job")
    assert [code for code, _ in results] == [0, 0], results
    (_, first), (_, second) = results
    assert "epoch 2: " in first and "epoch 1: " not in first and "test gender accuracy=" in first
    assert "epoch" not in second
    one, two = open_run(folder / "whole"), open_run(checkpoints / "run")
    for name in ("loss", "val_loss", "val_gender_accuracy", "learning_rate"):
        assert np.allclose(one.log[name], two.log[name], rtol=1e-3), name
    for host in NAMES:
        whole = learned(folder, "whole", host)
        resumed = learned(folder / host / "checkpoints", "run", host)
        for value, other in zip(whole, resumed, strict=True):
            if np.issubdtype(value.dtype, np.floating):
                assert np.allclose(value, other, rtol=1e-3, atol=1e-4)
    names = {path.name for path in (folder / NAMES[0] / "model").iterdir()}
    assert {"saved_model", "labels.json", "scores.json"} <= names
    assert not (folder / NAMES[1] / "model").exists()


# Without other processes


def test_accumulated_batches_are_for_one_machine() -> None:
    with pytest.raises(WorkshopError, match="accumulate 1 on several hosts"):
        check_stages(small_recipe(accumulate=2))


def test_hosts_are_reached_by_their_names() -> None:
    value = cluster(NAMES, "algo-2", {})
    assert value["cluster"]["worker"] == [f"algo-1:{PORT}", f"algo-2:{PORT}"]
    assert value["task"] == {"type": "worker", "index": 1}


def test_a_rehearsal_says_where_hosts_are() -> None:
    given = {ADDRESSES: "algo-2=127.0.0.1:5002, algo-1=127.0.0.1:5001"}
    assert cluster(NAMES, "algo-1", given)["cluster"]["worker"] == [
        "127.0.0.1:5001",
        "127.0.0.1:5002",
    ]


@pytest.mark.parametrize("steps", [4, 5, 9])
def test_every_image_is_dealt_out_once_an_epoch(people: Manifest, steps: int) -> None:
    training = people.subset("train")
    dealt = training_batches(training, IMAGE_SIZE, 99, steps=steps).take(2 * steps)
    batches = list(dealt.as_numpy_iterator())
    (whole,) = training_batches(training, IMAGE_SIZE, 27).take(1).as_numpy_iterator()
    everything = np.sort(whole[0].reshape(27, -1), axis=0)
    for epoch in (batches[:steps], batches[steps:]):
        sizes = [len(images) for images, _ in epoch]
        assert sum(sizes) == 27 and max(sizes) - min(sizes) <= 1
        images = np.concatenate([images for images, _ in epoch]).reshape(27, -1)
        assert np.array_equal(np.sort(images, axis=0), everything)
