"""Where a run stands: what makes a killed run go on as if nothing had been."""

import hashlib
import io
import shutil
from collections.abc import Mapping

import pandas as pd

from helpers.common import digest, keras, reading, whole_file, write_json, write_text
from helpers.train.runs import DAMAGED, Progress, Run, read_progress


def csv_text(table: pd.DataFrame, header: bool = True) -> str:
    """Returns a log as it is written."""
    return table.to_csv(index=False, header=header, lineterminator="\n")


class _InMemory(io.BytesIO):
    """A file for Keras: on a full disk h5py prints tracebacks, and crashes when Python ends."""

    def __str__(self) -> str:
        return "memory.weights.h5"


class State:
    """Where a run stands. Its file names the weights, and is replaced after all else is written."""

    def __init__(self, run: Run):
        self.run = run
        self.path = run.folder / "state" / "state.json"
        found = read_progress(run.folder)
        self.stage, self.stage_start, self.epoch = found.stage, found.stage_start, found.epoch
        self.weights, self.weights_digest = found.weights, found.weights_digest
        self.seconds = found.seconds
        # A kill between the log and the state leaves a line of an epoch that will be done again.
        self.rows = run.log[: self.epoch].to_dict("records")
        with reading(run.log_path, f"{self.epoch} epochs, as {self.path} says", DAMAGED):
            if found.log_digest not in ("", self._log_digest()) or len(self.rows) < self.epoch:
                raise ValueError(f"{len(self.rows)}, or others")
        with reading(self.path, "where the training stands", DAMAGED):
            stages = len(run.recipe.stages)
            weights = f"epoch-{self.epoch:03d}.weights.h5" if self.stage < stages else ""
            if self.stage > stages or self.weights not in ("", weights):
                raise ValueError(f"stage {self.stage}, epoch {self.epoch}, {self.weights}")

    def save_epoch(self, model: keras.Model, row: Mapping[str, float]) -> None:
        """Keeps an epoch: its log line, then weights and optimizer, then the word that it ended."""
        self.rows.append(dict(row))
        write_text(self.run.log_path, csv_text(pd.DataFrame(self.rows)))
        self.epoch = int(row["epoch"])
        name = f"epoch-{self.epoch:03d}.weights.h5"
        model.save_weights(weights := _InMemory())
        with whole_file(self.path.parent / name) as draft:
            draft.write_bytes(weights.getbuffer())
        self.weights_digest = digest(self.path.parent / name)
        previous, self.weights = self.weights, name
        self._write()
        if previous and previous != name:
            (self.path.parent / previous).unlink(missing_ok=True)

    def mark_best(self) -> int:
        """Copies the model of the highest mean validation accuracy; returns its epoch."""
        log = pd.DataFrame(self.rows)
        row = log.loc[log["val_accuracy"].idxmax()]
        epoch = int(row["epoch"])
        with whole_file(self.run.best_path) as draft:
            shutil.copyfile(self.run.epoch_path(epoch), draft)
        reason = f"highest mean validation accuracy, {row['val_accuracy']:.4f}"
        write_json(self.run.folder / "best.json", {"epoch": epoch, "because": reason})
        return epoch

    def start_next_stage(self) -> None:
        """Notes that a stage has ended; the next one starts with a new optimizer."""
        self.stage, self.stage_start = self.stage + 1, self.epoch
        self.weights, self.seconds = "", 0.0
        self._write()

    def restore(self, model: keras.Model) -> None:
        """Puts weights and optimizer back to the end of the last whole epoch of this stage."""
        if self.weights:
            path = self.path.parent / self.weights
            with reading(path, "the weights of the last epoch", DAMAGED):
                if self.weights_digest not in ("", digest(path)):
                    raise ValueError("they have changed")
                model.load_weights(path)

    def _write(self) -> None:
        names = (name for name in Progress.model_fields if name != "log_digest")
        value = {name: getattr(self, name) for name in names}
        write_json(self.path, value | {"log_digest": self._log_digest()})

    def _log_digest(self) -> str:
        return hashlib.sha256(csv_text(pd.DataFrame(self.rows)).encode()).hexdigest()
