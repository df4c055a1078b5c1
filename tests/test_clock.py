"""Training by the clock: what it does at each moment, with time made to order."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.manifest import Manifest
from helpers.train import Clock, OneCycle, Stage, loop, schedules, train
from helpers.train.callbacks import EpochRecorder
from tests.conftest import IMAGE_SIZE, small_recipe

MINUTES = 2
STAGE = Stage(epochs=1, image_size=IMAGE_SIZE, batch_size=16, learning_rate=0.01, minutes=MINUTES)


class Time:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Iterator[Time]:
    fake = Time()
    monkeypatch.setattr(schedules, "time", fake)
    yield fake


def clock_of(time: Time, **changes) -> Clock:
    clock = Clock(STAGE.replace(**changes), time.now)
    model = SimpleNamespace(optimizer=SimpleNamespace(learning_rate=0.0), stop_training=False)
    clock._model = model
    return clock


def test_the_rate_is_that_of_the_share_of_the_time(time: Time) -> None:
    clock = clock_of(time)
    plan = OneCycle(0.01, 1000)
    for seconds in (0, 20, 60, 110):
        time.now = 1000 + seconds
        clock.on_train_batch_begin(0)
        share = seconds / (60 * MINUTES * 0.98)
        assert clock.share == pytest.approx(share)
        assert clock.model.optimizer.learning_rate == pytest.approx(
            float(plan(share * 1000)), abs=1e-4
        )


def test_time_is_left_for_what_comes_after_training(time: Time) -> None:
    clock = Clock(STAGE, time.now, used=10, afterwards=20)
    time.now += 39
    assert clock.share == pytest.approx((10 + 39) / (100 * 0.98))


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_rates_that_do_not_follow_the_clock_are_left_alone(time: Time, schedule: str) -> None:
    clock = clock_of(time, schedule=schedule)
    clock.on_train_batch_begin(0)
    assert clock.model.optimizer.learning_rate == 0.0


def test_it_stops_so_early_that_the_last_validation_still_fits(time: Time) -> None:
    clock = clock_of(time)
    time.now += 30
    clock.on_epoch_end(0)
    time.now += 15  # validation
    clock.on_epoch_begin(1)
    time.now = 1000 + 60 * MINUTES - 15.5
    clock.on_train_batch_end(0)
    assert not clock.model.stop_training
    time.now += 1
    clock.on_train_batch_end(1)
    assert clock.model.stop_training


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Makes every look at the clock cost a second: no waiting, and the same on every machine."""
    looks = [0.0]

    class Looks:
        @staticmethod
        def monotonic() -> float:
            looks[0] += 1.0
            return looks[0]

    monkeypatch.setattr(schedules, "time", Looks)
    monkeypatch.setattr(loop, "time", Looks)
    return looks


@pytest.mark.usefixtures("tiny_backbone")
def test_a_run_by_the_clock_ends_with_a_whole_schedule(
    people: Manifest, tmp_path: Path, quick: list[float]
) -> None:
    people = people.select(["gender"])
    run = train(people, tmp_path / "run", small_recipe().replace(stages=(STAGE,)))
    log = run.log
    assert len(log) > 1  # `epochs` does not count
    assert 100 < quick[0] < 140  # 120 seconds, and some looks while the last epoch is put away
    assert log["learning_rate"].iloc[-1] < 1e-3 < log["learning_rate"].max()
    assert run.best_path.exists()
    # It is over: resuming it trains no further.
    train(people, run.folder, resume=True)
    assert len(run.log) == len(log)


@pytest.mark.usefixtures("tiny_backbone")
def test_a_run_by_the_clock_goes_on_with_the_time_that_is_left(
    people: Manifest, tmp_path: Path, quick: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    people, recipe = people.select(["gender"]), small_recipe().replace(stages=(STAGE,))
    report = EpochRecorder._report

    def interrupted(self, row, scores, best) -> None:
        report(self, row, scores, best)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EpochRecorder, "_report", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(people, tmp_path / "run", recipe)
    run = train(people, tmp_path / "run", resume=True)
    assert 100 < quick[0] < 140  # both together: a second run of two minutes would be 240
    assert np.diff(run.log["epoch"]).tolist() == [1] * (len(run.log) - 1)
