"""The folder of a training run: what lies where in it, and how it is opened again.

RUN/run.json           recipe, manifest, a digest of its rows, and versions
    labels.json        tasks and class names, in the order of the heads
    log.csv            a line for each epoch
    batches.csv        a line for each batch
    epochs/            a model for each epoch: epoch-001.keras
    best.keras         the best of them; best.json says which and why
    tensorboard/       the log of each epoch for TensorBoard
    state/             what --resume needs
    export/            what serving needs
"""

import io
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from helpers.common import (
    EVENT_NAMES,
    EXPORT_NAMES,
    Output,
    WorkshopError,
    check_out,
    expected,
    read_json,
    sweep,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)
from helpers.manifest import LABELS_FILE, Labels, Manifest, read_numbers
from helpers.train.data import Data
from helpers.train.recipe import Recipe

VERSIONS_OF = ("tensorflow", "keras", "numpy", "pandas")
RUN_FILES = Output(
    "a run",
    "run.json",
    r"(run|labels|best|scores)\.json|(log|batches)\.csv|best\.keras|epochs/epoch-\d+\.keras|"
    rf"state/(state\.json|epoch-\d+\.weights\.h5)|{EVENT_NAMES}|export/{EXPORT_NAMES}",
)


@dataclass(frozen=True)
class Run:
    """A run's folder, its labels and its recipe."""

    folder: Path
    labels: Labels
    recipe: Recipe

    @property
    def log_path(self) -> Path:
        """The file with a line for each epoch."""
        return self.folder / "log.csv"

    @property
    def best_path(self) -> Path:
        """The model of the best epoch."""
        return self.folder / "best.keras"

    @property
    def export_folder(self) -> Path:
        """What serving needs."""
        return self.folder / "export"

    def epoch_path(self, epoch: int) -> Path:
        """The model after an epoch, counted from 1."""
        return self.folder / "epochs" / f"epoch-{epoch:03d}.keras"

    @property
    def log(self) -> pd.DataFrame:
        """One row for each finished epoch; empty before the first has ended."""
        if not self.log_path.exists():
            return pd.DataFrame()
        return read_numbers(self.log_path)

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch, counted from 1; WorkshopError where none has ended yet."""
        path = self.folder / "best.json"
        if not path.exists():
            fix = "Train it with python -m helpers.train, with --resume if it was stopped."
            raise expected(f"a run with a finished epoch in {self.folder}", "none", fix)
        return read_json(path)["epoch"]

    def write_log(self, log: pd.DataFrame) -> None:
        """Replaces the log."""
        text = io.StringIO()
        log.to_csv(text, index=False, lineterminator="\n")
        write_text(self.log_path, text.getvalue())

    def mark_best(self, log: pd.DataFrame) -> int:
        """Copies the model of the highest mean validation accuracy; returns its epoch."""
        row = log.loc[log["val_accuracy"].idxmax()]
        epoch = int(row["epoch"])
        with whole_file(self.best_path) as draft:
            shutil.copyfile(self.epoch_path(epoch), draft)
        reason = f"highest mean validation accuracy, {row['val_accuracy']:.4f}"
        write_json(self.folder / "best.json", {"epoch": epoch, "because": reason})
        return epoch


def check_folder(
    folder: Path, resume: bool, overwrite: bool, inputs: Iterable[Path | str | None] = ()
) -> bool:
    """Returns whether to go on with a run in `folder`; WorkshopError where a new one may not go."""
    if resume and (folder / "run.json").exists():
        sweep(folder)
        return True
    if check_out(folder, RUN_FILES, filter(None, inputs)) and not overwrite:
        fix = "Use --resume to go on with it, --overwrite to replace it, or another --out."
        raise expected("an empty or new folder", f"a run in {folder}", fix)
    return False


def create_run(folder: Path, data: Data, recipe: Recipe) -> Run:
    """Makes the folder of a new run; what `check_folder` allows there is replaced."""
    value = {
        "recipe": recipe.to_json(),
        "manifest": str(data.training.source or ""),
        "data": data.description,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in VERSIONS_OF},
    }
    with whole_folder(folder, RUN_FILES) as draft:
        (draft / "epochs").mkdir()
        data.labels.write(draft / LABELS_FILE)
        write_json(draft / "run.json", value)
    return open_run(folder)


def check_data(run: Run, data: Data) -> None:
    """Refuses a manifest with other images, labels or split than the run began with."""
    began = read_json(run.folder / "run.json").get("data")  # runs of before 2026-11-22 have none
    if began and began != data.description:
        text = "{train:,} to train on, {validation:,} to validate"
        before, now = text.format(**began), text.format(**data.description)
        other = now if before != now else "as many, but other rows, labels or order"
        what = f"the images that {run.folder} was started with ({before})"
        fix = "Resume with that manifest, or train into another --out."
        raise expected(what, f"{other} in {data.training.name}", fix)


def open_run(folder: Path) -> Run:
    """Opens the folder of a run; WorkshopError where it holds none."""
    folder, what = Path(folder), "the folder of a run"
    try:
        recipe = Recipe.from_json(read_json(folder / "run.json")["recipe"])
    except FileNotFoundError as error:
        fix = "Train one with: python -m helpers.train --manifest M --out RUN"
        raise expected(what, f"no run.json in {folder}", fix) from error
    except (WorkshopError, ValueError, KeyError, TypeError) as error:
        found = f"a damaged run.json in {folder} ({error})"
        raise expected(what, found, "Train it again.") from error
    return Run(folder, Labels.read(folder / LABELS_FILE), recipe)


def check_labels(run: Run, manifest: Manifest) -> None:
    """Refuses a manifest whose tasks or classes are not those of the run."""
    for task, classes in run.labels.tasks.items():
        found = manifest.labels.tasks.get(task)
        if found != classes:
            what = "no such task" if found is None else f"the classes {', '.join(found)}"
            wanted = f"the task {task!r} with the classes {', '.join(classes)}"
            found, where = f"{what} in {manifest.name}", f"{run.folder} belongs to other labels"
            raise expected(wanted, found, "Use the manifest of that run, or another run.", where)


def is_whole_run(folder: Path) -> bool:
    """Returns whether all that the state names is there: SageMaker copies file by file."""
    try:
        run, state = open_run(folder), folder / "state"
        found = read_json(state / "state.json") if state.is_dir() else {}
        epochs = found.get("epoch", 0)
        needed = [run.epoch_path(epoch) for epoch in range(1, epochs + 1)]
        if found.get("weights"):
            needed.append(state / found["weights"])
        return len(run.log) >= epochs and all(path.is_file() for path in needed)
    except (WorkshopError, OSError, ValueError):
        return False


def can_go_on(folder: Path) -> bool:
    """Returns whether a run in `folder` can go on; removes the rest of one that cannot."""
    if is_whole_run(folder):
        return True
    for mark in ("run.json", LABELS_FILE):
        if (folder / mark).exists():
            print(f"note: the run in {folder} is not whole, so training starts from the beginning")
            check_out(folder, replace(RUN_FILES, mark=mark))
            shutil.rmtree(folder)
            break
    return False
