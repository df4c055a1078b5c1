"""The measurements: what they compare and how they tell it, with speeds made to order."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import helpers.model.network
from benchmarks import measures, trainings
from benchmarks import speed as bench
from helpers.common import ROOT, WorkshopError, tf
from helpers.manifest import Manifest
from helpers.model.backbones import street_features
from helpers.train import PUBLISHED
from tests.conftest import small_recipe
from tests.measured import counting, ending, failing, holding


def speeds(*values: float) -> Callable[[], float]:
    left = iter(values)
    return lambda: next(left)


class InProcess:
    """Stands in for `measures.Measured`: as quick as the measure."""

    def __init__(self, prepare, *arguments):
        self._measure = prepare(*arguments)

    def __call__(self) -> float:
        return self._measure()

    peak = 0.25

    def close(self) -> float:
        return 0.5


def test_a_side_starts_once_is_warmed_once_and_ends_after_its_last_use() -> None:
    ours, first, second = (counting, 1), (counting, 10), (counting, 20)
    pairs = [("a", "s", ours, "b", first), ("a", "s", ours, "c", second)]
    ended = []

    class Noted(InProcess):
        def close(self) -> float:
            ended.append(self())
            return super().close()

    seen = [[side() for side in sides] for sides in bench.side_by_side(pairs, Noted)]
    assert seen == [[2, 11], [3, 21]]  # 1, 10 and 20 were to warm up
    assert ended == [12, 4, 22]


def test_the_ratio_is_the_median_of_the_rounds() -> None:
    # The machine is half as fast in the second round: both suffer, the ratio does not.
    ours, theirs = speeds(80, 40, 90), speeds(100, 50, 100)
    assert bench.compare(ours, theirs, rounds=3) == (80, 100, pytest.approx(0.8))


def test_a_speed_is_images_by_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [10.0]
    monkeypatch.setattr(measures.time, "perf_counter", lambda: clock[0])

    def work() -> int:
        clock[0] += 0.6
        return 30

    speed = measures.speed_of(work)
    assert speed() == pytest.approx(50)  # 60 in 1.2 s: .6 s was too short
    assert speed() == pytest.approx(50)


def test_a_process_of_its_own_measures_and_tells_its_memory() -> None:
    small, large = measures.Measured(counting, 7), measures.Measured(holding, 300)
    assert (small(), small(), large()) == (7, 8, 1)
    assert 0.25 < large.close() - small.close() < 0.4


SHOWING = """
from benchmarks.measures import Measured
from tests.measured import showing

if __name__ == "__main__":
    side = Measured(showing)
    print(side())
    side.close()
"""


def test_a_killed_process_leaves_nothing_in_the_system(tmp_path: Path) -> None:
    """Python says so where a semaphore is left behind: at the end of the parent."""
    (tmp_path / "show.py").write_text(SHOWING)
    paths = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, tmp_path / "show.py"], capture_output=True, text=True, env=paths
    )
    assert done.stdout == "3.0\n" and "leaked" not in done.stderr


@pytest.mark.parametrize(
    ("prepare", "message"),
    [(failing, "failing: ValueError: no such thing"), (ending, "ending: the process ended")],
)
def test_what_fails_in_the_process_is_told(prepare: Callable, message: str) -> None:
    with pytest.raises(WorkshopError, match=message):
        measures.Measured(prepare)


def test_the_page_holds_every_row_and_what_it_was_measured_with() -> None:
    rows = [("a", 1234.5, 0.5, "b", 12.345, 2.0, "images/s", 0.5)]
    page = bench.as_page(pd.DataFrame(rows, columns=bench.COLUMNS), 6000, 2.5)
    assert "| a | 1,234 | 0.500 | b | 12.35 | 2.00 | images/s | 0.500 |" in page
    assert "6,000 images, 2.5 minutes" in page and "tensorflow" in page


def test_every_part_is_measured(
    people: Manifest, tiny_backbone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "SECONDS", 0.01)
    monkeypatch.setattr(measures, "cold", lambda *_: lambda: 1.0)
    monkeypatch.setattr(bench, "Recipe", small_recipe)
    monkeypatch.setattr(bench, "PUBLISHED", small_recipe(seed=1))  # that has 23 million weights
    table = bench.run_bench(people.select(["gender"]), rounds=1, start=InProcess)
    assert list(table.columns) == bench.COLUMNS
    assert len(table) == 16
    assert (table[["ours", "theirs", "ratio"]] > 0).all(axis=None)


def test_some_parts_alone(people: Manifest) -> None:
    class Named(InProcess):
        """What is measured is another test's affair."""

        def __init__(self, *_):
            self._measure = lambda: 1.0

    table = bench.run_bench(people, rounds=1, start=Named, only="decode_jpeg")
    assert list(table["what"]) == ["read, decode, resize", "batches of an epoch, augmented"]
    with pytest.raises(WorkshopError, match=r"train, 1 image: SavedModel.*found 'nothing'"):
        bench.run_bench(people, rounds=1, start=Named, only="nothing")


def test_unfused_is_keras_own_normalization(
    people: Manifest, tiny_backbone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the kernel that ours calls no trace is left in the step."""
    traced = []

    def noting(network, batches) -> None:
        step = tf.function(network.train_step).get_concrete_function(next(iter(batches)))
        traced.append({node.op for node in step.graph.as_graph_def().node})

    monkeypatch.setattr(measures.train, "trace_once", noting)
    one_layer = partial(street_features, widths=(4,))
    monkeypatch.setattr(helpers.model.network, "street_features", one_layer)
    recipe, data = small_recipe(augmentation="none").to_json(), people.select(["gender"])
    for source in ("pipeline", "unfused"):
        measures.training(data.subset("train"), recipe, source)
    fused = [any(name.startswith("FusedBatchNorm") for name in names) for names in traced]
    assert fused == [True, False]


def test_a_cold_start_is_a_whole_process() -> None:
    assert 0.01 < measures.cold("-c", "pass")() < 30


@pytest.mark.parametrize("how", [{}, {"source": "sequence"}])
def test_trainings_are_scored(
    people: Manifest, tiny_backbone: None, monkeypatch: pytest.MonkeyPatch, how: dict
) -> None:
    monkeypatch.setattr(trainings, "Measured", InProcess)
    people = people.select(["top_color", "gender"])
    row = trainings.scored_training(people, small_recipe(minutes=0.01), **how)
    assert row["epochs"] > 0 and row["minutes"] > 0
    assert all(0 <= row[task] <= 1 for task in people.labels.tasks)
    names = [f"{task}{suffix}" for suffix in trainings.SCORES.values() for task in people.tasks]
    assert list(row) == [*trainings.KEPT, *names]


def test_the_sequence_gives_every_image_once_an_epoch(people: Manifest) -> None:
    data = people.subset("train")
    batches = measures.sequence_batches(data, small_recipe(augmentation="none"))
    images, targets = batches[0]
    assert images.shape == (8, 32, 16, 3)
    rows = [targets["gender"], *(batches[i][1]["gender"] for i in range(1, 27))]
    seen = np.concatenate(rows)  # 27 batches of 8 are 8 epochs of 27
    assert np.bincount(seen + 1).tolist() == (8 * np.bincount(data.targets("gender") + 1)).tolist()


def test_the_published_recipe_is_what_was_published() -> None:
    stage = PUBLISHED.stages[0]
    assert (PUBLISHED.backbone, stage.image_size, stage.batch_size) == (
        "ResNet50V2",
        (240, 100),
        64,
    )
    assert (stage.learning_rate, stage.schedule, stage.epochs) == (1e-4, "constant", 3)
