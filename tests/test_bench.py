"""The measurements: what they compare and how they tell it, with speeds made to order."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers import bench
from helpers.manifest import Manifest


def speeds(*values: float) -> Callable[[], float]:
    left = iter(values)
    return lambda: next(left)


def test_the_ratio_is_the_median_of_the_rounds_and_the_first_does_not_count() -> None:
    # The machine is half as fast in the second round: both suffer, the ratio does not.
    ours, theirs = speeds(999, 80, 40, 90), speeds(1, 100, 50, 100)
    assert bench.compare(ours, theirs, rounds=3) == (80, 100, pytest.approx(0.8))


def test_a_speed_is_pictures_by_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.time, "perf_counter", speeds(10.0, 10.5))
    assert bench.speed_of(lambda: 32)() == 64


def test_the_page_holds_every_row_and_what_it_was_measured_with() -> None:
    rows = [("a", 1234.5, "b", 12.345, "pictures/s", 0.5), ("c", 0.7, "d", 5.0, "s", 0.14)]
    page = bench.as_page(pd.DataFrame(rows, columns=bench.COLUMNS), pictures=6000, minutes=2.5)
    assert "| a | 1,234 | b | 12.35 | pictures/s | 0.50 |" in page
    assert "| c | 0.70 | d | 5.00 | s | 0.14 |" in page
    assert "6,000 pictures, 2.5 minutes" in page and "tensorflow" in page


def test_everything_is_measured(
    people: Manifest, tiny_backbone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "STEPS", 2)
    monkeypatch.setattr(bench, "WARM_UP", 1)
    table = bench.run_bench(people, rounds=1)
    assert list(table.columns) == bench.COLUMNS
    assert len(table) == 12
    assert np.isfinite(table[["ours", "theirs", "ratio"]]).all(axis=None)
    assert (table[["ours", "theirs"]] > 0).all(axis=None)
