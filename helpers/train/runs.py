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

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from pydantic import Field

from helpers.common import (
    EVENT_NAMES,
    EXPORT_NAMES,
    Declared,
    Output,
    WorkshopError,
    check_out,
    expected,
    read_json,
    reading,
    sweep,
    whole_folder,
    write_json,
)
from helpers.manifest import GROUP, LABELS_FILE, Labels, Manifest, read_numbers
from helpers.train.recipe import Recipe

if TYPE_CHECKING:
    from helpers.common import keras

DAMAGED = "Restore the file, or train again with --overwrite."
VERSIONS_OF = ("tensorflow", "keras", "numpy", "pandas")
RUN_FILES = Output(
    "a run",
    "run.json",
    r"(run|labels|best|scores)\.json|(log|batches)\.csv|best\.keras|epochs/epoch-\d+\.keras|"
    rf"state/(state\.json|epoch-\d+\.weights\.h5)|{EVENT_NAMES}|export/{EXPORT_NAMES}",
)


class Data(NamedTuple):
    """The images of a run in their two parts."""

    training: Manifest
    validation: Manifest


class Progress(Declared):
    """Where a run stands, as its state.json says."""

    stage: int = Field(0, ge=0)
    stage_start: int = Field(0, ge=0)  # the epochs before this stage
    epoch: int = Field(0, ge=0)
    weights: str = Field("", pattern=r"^(epoch-\d{3,}\.weights\.h5)?$")
    weights_digest: str = ""
    log_digest: str = ""
    seconds: float = Field(0.0, ge=0)  # of the stage, for one with `minutes`


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
        with reading(self.log_path, "a line for each epoch", DAMAGED):
            log = read_numbers(self.log_path)
            if list(log["epoch"]) != list(range(1, len(log) + 1)):
                raise ValueError("epochs are missing, or twice")
            log["val_accuracy"].astype(float)
        return log

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch, counted from 1; WorkshopError where none has ended yet."""
        path, fix = self.folder / "best.json", "Train it, with --resume if it was stopped."
        with reading(path, "a run with a finished epoch", fix):
            return int(read_json(path)["epoch"])

    def load_model(self, epoch: int | None = None) -> keras.Model:
        """Loads the best model, or that of an epoch; refuses one with heads of other labels."""
        from helpers.model import load_model  # imports TensorFlow, which takes seconds

        self.best_epoch  # noqa: B018 - raises where no epoch has ended
        path = self.best_path if epoch is None else self.epoch_path(epoch)
        model = load_model(path)
        with reading(path, f"a model of the tasks and classes in {self.folder}", DAMAGED):
            heads = {task: head.shape[-1] for task, head in model.output.items()}
            if heads != {task: len(classes) for task, classes in self.labels.tasks.items()}:
                raise ValueError(f"heads of {heads}")
        return model

    def load_predictor(self, epoch: int | None = None) -> keras.Model:
        """Loads a model as `load_model` does; it answers by the `views` of the recipe."""
        from helpers.model import with_mirror  # imports TensorFlow, which takes seconds

        model = self.load_model(epoch)
        return with_mirror(model) if self.recipe.views == "mirrored" else model


def check_folder(
    folder: Path,
    resume: bool,
    overwrite: bool,
    inputs: Iterable[Path | str | None] = (),
    files: Output = RUN_FILES,
) -> bool:
    """Returns whether to go on with a run in `folder`; WorkshopError where a new one may not go."""
    if resume and (folder / files.mark).exists():
        sweep(folder)
        return True
    if check_out(folder, files, filter(None, inputs)) and not overwrite:
        fix = "Use --resume to go on with it, --overwrite to replace it, or another --out."
        raise expected("an empty or new folder", f"a run in {folder}", fix)
    return False


def create_run(folder: Path, data: Data, recipe: Recipe) -> Run:
    """Makes the folder of a new run; what `check_folder` allows there is replaced."""
    value = {
        "recipe": recipe.to_json(),
        "tasks": data.training.labels.to_json()["tasks"],
        "manifest": str(data.training.source or ""),
        "data": describe_split(*data),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in VERSIONS_OF},
    }
    with whole_folder(folder, RUN_FILES) as draft:
        (draft / "epochs").mkdir()
        data.training.labels.write(draft / LABELS_FILE)
        write_json(draft / "run.json", value)
    return open_run(folder)


def describe_split(training: Manifest, validation: Manifest) -> dict[str, int | str]:
    """Counts the images and digests their file names, groups and labels, wherever they lie."""
    digest = hashlib.sha256()
    for part in (training, validation):
        digest.update("\n".join(map(os.path.basename, part.paths)).encode())
        if GROUP in part.frame:
            digest.update("\n".join(part.frame[GROUP]).encode())
        for task in part.tasks:
            digest.update(part.targets(task).astype("<i4").tobytes())
    counts = {"train": len(training), "validation": len(validation)}
    return {**counts, "digest": digest.hexdigest()[:32]}


def check_data(run: Run, data: Data) -> Data:
    """Returns the images with the run's tasks; refuses other ones, labels or another split."""
    check_labels(run, data.training)
    data = Data(*(part.select(list(run.labels.tasks)) for part in data))
    path, now = run.folder / "run.json", describe_split(*data)
    before = read_json(path).get("data", now)  # runs of before 2026-11-22 have none
    if before == now:
        return data
    with reading(path, "how many images the run began with", DAMAGED):
        began, found = ("{train:,} to train on".format(**one) for one in (before, now))
    if began == found:
        found = "as many, but other rows, labels or order"
    what = f"the images that {run.folder} was started with ({began})"
    fix = "Resume with that manifest, or train into another --out."
    raise expected(what, f"{found} in {data.training.name}", fix)


def open_run(folder: Path) -> Run:
    """Opens the folder of a run; WorkshopError where it holds none."""
    path = Path(folder) / "run.json"
    folder, fix = path.parent, "Train one with: python -m helpers.train --manifest M --out RUN"
    with reading(path, "the folder of a run", fix):
        value = read_json(path)
        recipe = Recipe.from_json(value["recipe"])
    labels = Labels.read(folder / LABELS_FILE)
    if (tasks := labels.to_json()["tasks"]) != value.get("tasks", tasks):  # older runs have none
        found, where = "those of another run, or damaged ones", folder / LABELS_FILE
        raise expected("the tasks and classes that the run began with", found, DAMAGED, where)
    return Run(folder, labels, recipe)


def read_progress(folder: Path) -> Progress:
    """Reads where the run in `folder` stands: at the beginning, where nothing is said."""
    path = folder / "state" / "state.json"
    if not path.parent.is_dir() or not path.exists():
        return Progress()
    with reading(path, "where the training stands", DAMAGED):
        return Progress(**read_json(path))


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
        run, found = open_run(folder), read_progress(folder)
        needed = [run.epoch_path(epoch) for epoch in range(1, found.epoch + 1)]
        if found.weights:
            needed.append(folder / "state" / found.weights)
        return len(run.log) >= found.epoch and all(path.is_file() for path in needed)
    except (WorkshopError, OSError):
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
