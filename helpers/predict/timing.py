"""How fast something is: the median of several measurements, after a warm-up."""

import math
import statistics
import timeit
from collections.abc import Callable
from typing import Any

REPEATS = 5  # measurements; the median leaves out those that something else disturbed
LEAST_SECONDS = 0.1  # of one measurement: short calls are repeated, as a clock tick is no time


def seconds_per_call(function: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Measures `repeats` times as many calls as fill `LEAST_SECONDS`, and takes the median."""
    function()  # does not count: it builds graphs and fills caches
    timer = timeit.Timer(function)
    calls = max(1, math.ceil(LEAST_SECONDS / max(timer.timeit(1), 1e-9)))
    return statistics.median(timer.repeat(repeats, calls)) / calls
