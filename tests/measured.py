"""What processes of their own measure in tests/test_bench.py: they start without TensorFlow."""

from collections.abc import Callable

import numpy as np


def counting(first: int) -> Callable[[], float]:
    """Counts up."""
    numbers = iter(range(first, 100))
    return lambda: float(next(numbers))


def holding(megabytes: int) -> Callable[[], float]:
    kept = np.ones(megabytes * 2**20, np.uint8)
    return lambda: float(kept[0])


def showing() -> Callable[[], float]:
    """A measure with a progress bar, as a training has."""
    from helpers.common import progress_bar

    return lambda: float(len(list(progress_bar(iterable=range(3)))))


def failing() -> Callable[[], float]:
    raise ValueError("no such thing")


def ending() -> Callable[[], float]:
    raise SystemExit
