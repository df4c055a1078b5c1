"""The comparison's table and its messages; the trainings themselves are measured, not tested."""

import sys

import pytest

from benchmarks import detection as bench
from benchmarks.__main__ import main
from helpers.common import WorkshopError


class Side:
    """Stands in for a process that trains."""

    def __init__(self, prepare, config, place):
        self.is_ours = prepare is bench.ours
        self.started_from = config["checkpoint"]

    def __call__(self):
        row = {"AP": 0.4, "AP50": 0.8 if self.is_ours else 0.5, "steps": 100}
        return row | {"trained/s": 16.0, "predicted/s": 70.0}

    def close(self):
        return 1.5


def test_every_side_on_every_folder(tmp_path, monkeypatch, command):
    monkeypatch.setattr(bench, "Measured", Side)
    code, *_ = command(
        main, "detection", "--records", tmp_path / "streets", tmp_path / "raccoon", "--minutes", 2,
        "--peer", tmp_path, "--checkpoint", tmp_path / "run", "--out", tmp_path / "page",
    )  # fmt: skip
    assert code == 0
    page = (tmp_path / "page/detection.md").read_text()
    assert page.startswith("2 minutes") and page.count("| from ours |") == 2
    assert page.count("RetinaNet") == 2 and "| 16.000 |" in page


def test_ours_alone_without_a_peer(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "Measured", Side)
    table = bench.compare([tmp_path / "streets"], 1.0, None, None, tmp_path)
    assert table[["records", "network"]].to_numpy().tolist() == [["streets", "ours"]]


def test_a_row_holds_scores_and_speeds(monkeypatch):
    monkeypatch.setattr(bench, "SPEED_SECONDS", 0.01)
    seen = []
    row = bench._row({"AP": 0.4, "AP50": 0.8}, 100, 16.0, lambda x: seen.append(x.shape), (8, 4))
    assert set(seen) == {(bench.SPEED_BATCH, 8, 4, 3)} and row["predicted/s"] > 0
    assert list(row) == ["AP", "AP50", "steps", "trained/s", "predicted/s"]


def test_absent_peer_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(WorkshopError, match="--no-deps keras-hub"):
        bench._import_peer(tmp_path)
