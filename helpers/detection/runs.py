"""The folder of a detection run, and its checkpoints.

`log.csv` has a line for each checkpoint: losses since the last one, and scores on `val`;
`checkpoints/` has the newest ones, such as step-000250.npz: weights and optimizer.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.common import (
    EVENT_NAMES,
    EXPORT_NAMES,
    Output,
    WorkshopError,
    expected,
    keras,
    open_input,
    reading,
    whole_file,
)
from helpers.detection.config import CONFIG_FILE, Config
from helpers.detection.label_map import LABEL_MAP_FILE, LabelMap
from helpers.detection.network import FasterRCNN
from helpers.manifest import read_numbers

TRAIN = "python -m helpers.detection.train --config CONFIG --out RUN"
LOG_FILE = "log.csv"
RUN_FILES = Output(
    "a detection run",
    CONFIG_FILE,
    rf"{CONFIG_FILE}|{LABEL_MAP_FILE}|{LOG_FILE}|checkpoints/step-\d{{6,}}\.npz|{EVENT_NAMES}|"
    rf"export/{EXPORT_NAMES}",
)
STEP = "step"  # beside the variables in a checkpoint


@dataclass(frozen=True)
class DetectionRun:
    """A run's folder, its config and its classes."""

    folder: Path
    config: Config
    label_map: LabelMap

    @property
    def log(self) -> pd.DataFrame:
        """A row for each checkpoint; empty before the first."""
        path = self.folder / LOG_FILE
        if not path.exists():
            return pd.DataFrame()
        with reading(path, "a line for each checkpoint", "Restore it, or train again."):
            log = read_numbers(path)
            log[["step", "seconds"]].astype(float)
        return log

    @property
    def checkpoints(self) -> list[Path]:
        """The kept checkpoints, the newest last."""
        return checkpoints_in(self.folder)

    def network(self) -> FasterRCNN:
        """Returns the network of the newest checkpoint; raises WorkshopError without any."""
        if not self.checkpoints:
            what = f"a run with a checkpoint in {self.folder}"
            raise expected(what, "none", f"Train it: {TRAIN}")
        # the weights come from a checkpoint: nothing has to be downloaded
        network = FasterRCNN(self.config.replace(weights=None), self.label_map.classes)
        restore(self.checkpoints[-1], network)
        return network


def checkpoints_in(folder: Path) -> list[Path]:
    """Returns the checkpoints of a run's folder, the newest last."""
    paths = Path(folder).glob("checkpoints/step-*.npz")
    steps = {path: re.fullmatch(r"step-(\d{6,})", path.stem) for path in paths}
    return sorted(filter(steps.get, steps), key=lambda path: int(steps[path][1]))


def open_run(folder: Path) -> DetectionRun:
    """Opens the folder of a run; raises WorkshopError where there is none."""
    folder = Path(folder)
    if not (folder / CONFIG_FILE).exists():
        found = f"no {CONFIG_FILE} in {folder}"
        raise expected("the folder of a detection run", found, f"Train one: {TRAIN}")
    config = Config.read(folder / CONFIG_FILE)
    return DetectionRun(folder, config, LabelMap.read(folder / LABEL_MAP_FILE))


def named_variables(
    network: FasterRCNN, optimizer: keras.optimizers.Optimizer | None = None
) -> dict[str, keras.Variable]:
    """Names every variable, whatever else was built before."""
    # Keras numbers layers without a name through the whole process: the backbone's go by place
    backbone = network.pyramid.get_layer("backbone").variables
    named = {f"{network.backbone}/{i:03d}/{v.name}": v for i, v in enumerate(backbone)}
    inside = {id(variable) for variable in backbone}
    named |= {v.path: v for v in network.variables if id(v) not in inside}
    own = optimizer.variables if optimizer else ()
    return named | {f"optimizer/{i:03d}": v for i, v in enumerate(own)}


def save_checkpoint(
    run: DetectionRun, step: int, network: FasterRCNN, optimizer: keras.optimizers.Optimizer
) -> None:
    """Writes weights and optimizer, whole, and deletes all but the newest few checkpoints."""
    values = {name: v.numpy() for name, v in named_variables(network, optimizer).items()}
    with whole_file(run.folder / "checkpoints" / f"step-{step:06d}.npz") as draft:
        np.savez(draft, **{STEP: np.array(step)}, **values)
    for old in run.checkpoints[: -run.config.keep]:
        old.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """Reads name to value of each variable; raises WorkshopError where that cannot be done."""
    fix = "Name another one, or delete it: --resume then takes the one before."
    with (
        reading(path, "a checkpoint of helpers.detection.train", fix),
        open_input(path) as opened,
        np.load(opened, allow_pickle=False) as file,
    ):
        return {name: file[name] for name in file.files}


def _assign(values: dict[str, np.ndarray], variables: dict[str, keras.Variable]) -> list[tuple]:
    """Assigns what fits; returns name, shape and found shape (or None) of each other variable."""
    others = []
    for name, variable in variables.items():
        value, shape = values.get(name), tuple(variable.shape)
        if value is not None and value.shape == shape:
            variable.assign(value)
        else:
            others.append((name, shape, None if value is None else value.shape))
    return others


def restore(
    path: Path, network: FasterRCNN, optimizer: keras.optimizers.Optimizer | None = None
) -> int:
    """Restores weights and optimizer from a checkpoint of the same network; returns its step."""
    values = read_checkpoint(path)
    for name, shape, found in _assign(values, named_variables(network, optimizer)):
        where, fix = f"{path} belongs to another network", "Start from it with `checkpoint:`"
        raise expected(f"{shape} for {name}", found or "nothing", f"{fix} in the config.", where)
    with reading(path, "the number of its step in a checkpoint", f"Delete it, or train: {TRAIN}"):
        return int(values[STEP])


def start_from(place: Path, network: FasterRCNN) -> list[str]:
    """Loads all weights that fit from a checkpoint, or from the newest in a run's folder.

    Returns lines to print: how many were loaded, and each that is made anew, such as a class head
    of another size. Raises WorkshopError without a checkpoint, or where nothing in it fits.
    """
    path = Path(place)
    if path.is_dir():
        if not (found := checkpoints_in(path)):
            raise WorkshopError(f"checkpoint: expected checkpoints in {path}, found none.")
        path = found[-1]
    variables = named_variables(network)
    others = _assign(read_checkpoint(path), variables)
    if len(others) == len(variables):
        raise WorkshopError(f"checkpoint: expected weights that fit, found none in {path}.")
    lines = [f"{len(variables) - len(others)} of {len(variables)} weights taken from {path}"]
    for name, shape, found in others:
        why = "missing from the checkpoint" if found is None else f"{shape} instead of {found}"
        lines.append(f"made anew: {name}, {why}")
    return lines
