"""Predicting a folder: every file answered in order, on every core."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.predict import litert as predict


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stands in for decoding: a file's image is its number, and number 5 is broken."""
    seen: list[Path] = []

    def read(path: Path, image_size: tuple[int, int]) -> np.ndarray | str:
        seen.append(path)
        number = int(path.stem)
        return "broken" if number == 5 else np.full((*image_size, 3), number % 256, np.uint8)

    monkeypatch.setattr(predict, "_read", read)
    return seen


PREDICTOR = SimpleNamespace(
    image_size=(4, 2),
    predict_pixels=lambda pixels: {"task": pixels[:, 0, 0, :1].astype(float)},
    twin=lambda threads: PREDICTOR,
)


def test_every_file_is_answered_in_order_and_a_broken_one_stops_nothing(decoded: list) -> None:
    paths = [Path(f"{number}.jpg") for number in range(predict.BATCH * 2 + 3)]
    answers = list(predict.predict_files(PREDICTOR, paths))
    assert [path for path, _ in answers] == paths
    for path, answer in answers:
        if path.stem == "5":
            assert answer == "broken"
        else:
            assert answer["task"].tolist() == [float(path.stem)]


def test_decoding_runs_only_a_few_batches_ahead(decoded: list) -> None:
    paths = [Path(f"{number}.jpg") for number in range(predict.BATCH * 20)]
    answers = predict.predict_files(PREDICTOR, paths)
    next(answers)
    answers.close()
    assert len(decoded) <= predict.BATCH * (predict.AHEAD + 1)


def test_who_stops_early_does_not_wait_for_the_rest(
    decoded: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = predict._read

    def slow(path: Path, image_size: tuple[int, int]) -> np.ndarray | str:
        time.sleep(0.01)
        return read(path, image_size)

    monkeypatch.setattr(predict, "_read", slow)
    monkeypatch.setattr(predict, "BATCH", 1)
    answers = predict.predict_files(PREDICTOR, [Path(f"{number}.jpg") for number in range(1000)])
    next(answers)
    answers.close()
    assert len(decoded) < 500


def test_whoever_reads_may_stop_early() -> None:
    talks = "from helpers.common.errors import run_command; run_command(lambda: print('y' * 10**6))"
    command = [sys.executable, "-c", talks]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
