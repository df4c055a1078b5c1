"""The folder of a detection run: its config, log.csv, and the newest of its checkpoints."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import common
from helpers.common import WorkshopError, expected, keras
from helpers.detection.config import CONFIG_FILE, LABEL_MAP_FILE, Config, LabelMap
from helpers.detection.network import FasterRCNN
from helpers.manifest import read_numbers

TRAIN = "python -m helpers.detection.train --config CONFIG --out RUN"
LOG_FILE = "log.csv"
RUN_FILES = common.Output(
    "a detection run",
    CONFIG_FILE,
    rf"{CONFIG_FILE}|{LABEL_MAP_FILE}|{LOG_FILE}|checkpoints/step-\d{{6,}}\.npz|{common.EVENT_NAMES}|"
    rf"export/{common.EXPORT_NAMES}",
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
        with common.reading(path, "a line for each checkpoint", "Restore it, or train again."):
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
    found = (path for path in paths if re.fullmatch(r"step-\d{6,}", path.stem))
    return sorted(found, key=lambda path: int(path.stem.removeprefix("step-")))


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
    with common.whole_file(run.folder / "checkpoints" / f"step-{step:06d}.npz") as draft:
        np.savez(draft, **{STEP: np.array(step)}, **values)
    for old in run.checkpoints[: -run.config.keep]:
        old.unlink(missing_ok=True)


def _load(
    path: Path, network: FasterRCNN, optimizer: keras.optimizers.Optimizer | None = None
) -> tuple[int, list[str]]:
    """Assigns all that fits; returns the step, and a line for each variable that does not."""
    fix = "Name another one, or delete it: --resume then takes the one before."
    with (
        common.reading(path, "a checkpoint of helpers.detection.train", fix),
        common.open_input(path) as opened,
        np.load(opened, allow_pickle=False) as file,
    ):
        values = {name: file[name] for name in file.files}
        step = int(values[STEP])
    others = []
    for name, variable in named_variables(network, optimizer).items():
        value, shape = values.get(name), tuple(variable.shape)
        if value is not None and value.shape == shape:
            variable.assign(value)
        else:
            found = "nothing" if value is None else value.shape
            others.append(f"{name}, {found} instead of {shape}")
    return step, others


def restore(
    path: Path, network: FasterRCNN, optimizer: keras.optimizers.Optimizer | None = None
) -> int:
    """Restores weights and optimizer from a checkpoint of the same network; returns its step."""
    step, others = _load(path, network, optimizer)
    if others:
        fix = "Start from it with `checkpoint:` in the config."
        raise expected("a checkpoint of this network", others[0], fix, path)
    return step


def start_from(place: Path, network: FasterRCNN) -> list[str]:
    """Loads all weights that fit from a checkpoint, or from the newest in a run's folder.

    Returns lines to print: how many were loaded, and each that is made anew, such as a class head
    of another size. Raises WorkshopError without a checkpoint, or where nothing in it fits.
    """
    path = [Path(place), *checkpoints_in(place)][-1]
    _, others = _load(path, network)
    count = len(named_variables(network))
    if len(others) == count:
        raise WorkshopError(f"checkpoint: expected weights that fit, found none in {path}.")
    taken = f"{count - len(others)} of {count} weights taken from {path}"
    return [taken, *(f"made anew: {other}" for other in others)]
