import timeit
from functools import partial

import pytest

from helpers.predict import timing


class Clock:
    """A clock that only moves when somebody sleeps: exact on a busy machine too."""

    now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing.timeit, "Timer", partial(timeit.Timer, timer=clock))
    return clock


@pytest.mark.parametrize("seconds", [0.0004, 0.03, 2.0])
def test_a_call_takes_as_long_as_it_sleeps(clock, seconds):
    assert timing.seconds_per_call(lambda: clock.sleep(seconds)) == pytest.approx(seconds)


def test_short_calls_are_repeated_until_they_fill_a_measurement(clock):
    timing.seconds_per_call(lambda: clock.sleep(0.001), repeats=3)
    assert clock.now == pytest.approx(3 * timing.LEAST_SECONDS, rel=0.05)


def test_the_slow_first_call_does_not_count(clock):
    naps = iter([60])
    assert timing.seconds_per_call(lambda: clock.sleep(next(naps, 0.5))) == pytest.approx(0.5)


def test_one_disturbed_measurement_does_not_count(clock):
    naps = iter([1, 1, 1, 30, 1, 1, 1])  # warm-up, probe, then five measurements of one call
    assert timing.seconds_per_call(lambda: clock.sleep(next(naps))) == pytest.approx(1)


def test_a_real_clock_measures_something():
    assert 0 < timing.seconds_per_call(lambda: sum(range(1000)), repeats=1) < 1
