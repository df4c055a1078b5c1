"""Where a run stands: what makes a killed run go on as if nothing had been."""

import io
from collections.abc import Mapping

import pandas as pd

from helpers.common import keras, read_json, whole_file, write_json
from helpers.train.runs import Run


class _InMemory(io.BytesIO):
    """A file for Keras: on a full disk h5py prints tracebacks, and crashes when Python ends."""

    def __str__(self) -> str:
        return "memory.weights.h5"


class State:
    """Where a run stands. Its file names the weights, and is replaced after all else is written."""

    def __init__(self, run: Run):
        self.run = run
        self.path = run.folder / "state" / "state.json"
        found = read_json(self.path) if self.path.exists() else {}
        self.stage: int = found.get("stage", 0)
        self.stage_start: int = found.get("stage_start", 0)
        self.epoch: int = found.get("epoch", 0)
        self.weights: str = found.get("weights", "")
        self.seconds: float = found.get("seconds", 0.0)  # of the stage, for one with `minutes`
        log = run.log
        # A kill between the log and the state leaves a line of an epoch that will be done again.
        self.rows = log[log["epoch"] <= self.epoch].to_dict("records") if len(log) else []

    def save_epoch(self, model: keras.Model, row: Mapping[str, float]) -> None:
        """Keeps an epoch: its log line, then weights and optimizer, then the word that it ended."""
        self.rows.append(dict(row))
        self.run.write_log(pd.DataFrame(self.rows))
        self.epoch = int(row["epoch"])
        name = f"epoch-{self.epoch:03d}.weights.h5"
        model.save_weights(weights := _InMemory())
        with whole_file(self.path.parent / name) as draft:
            draft.write_bytes(weights.getbuffer())
        previous, self.weights = self.weights, name
        self._write()
        if previous and previous != name:
            (self.path.parent / previous).unlink(missing_ok=True)

    def start_next_stage(self) -> None:
        """Notes that a stage has ended; the next one starts with a new optimizer."""
        self.stage, self.stage_start = self.stage + 1, self.epoch
        self.weights, self.seconds = "", 0.0
        self._write()

    def restore(self, model: keras.Model) -> None:
        """Puts weights and optimizer back to the end of the last whole epoch of this stage."""
        if self.weights:
            model.load_weights(self.path.parent / self.weights)

    def _write(self) -> None:
        names = ("stage", "stage_start", "epoch", "weights", "seconds")
        write_json(self.path, {name: getattr(self, name) for name in names})
