"""How fast something is: the median of several measurements, after a warm-up."""

import math
import statistics
import timeit
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

REPEATS = 5  # measurements; the median leaves out those that something else disturbed
LEAST_SECONDS = 0.1  # of one measurement: short calls are repeated, as a clock tick is no time


def seconds_per_call(function: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Measures `repeats` times as many calls as fill `LEAST_SECONDS`, and takes the median."""
    function()  # does not count: it builds graphs and fills caches
    timer = timeit.Timer(function)
    calls = max(1, math.ceil(LEAST_SECONDS / max(timer.timeit(1), 1e-9)))
    return statistics.median(timer.repeat(repeats, calls)) / calls


def images_per_second(
    ways: Mapping[str, Callable[[int], Any]],
    batch_sizes: Sequence[int] = (1, 32),
    repeats: int = REPEATS,
) -> pd.DataFrame:
    """Measures functions that predict a number of images: a row each, a column per batch size."""
    columns = {
        "one image at a time" if size == 1 else f"{size} images at a time": {
            name: size / seconds_per_call(lambda way=way, size=size: way(size), repeats)
            for name, way in ways.items()
        }
        for size in batch_sizes
    }
    return pd.DataFrame(columns).rename_axis("images per second")
