"""Where things are, and the switches: what makes everything small, and which cloud is meant."""

import os
from pathlib import Path
from typing import TypeVar

from helpers.common.errors import WorkshopError

ROOT = Path(__file__).resolve().parent.parent.parent

CORES = os.cpu_count() or 1

# What lies in the export folder of a run.
SAVED_MODEL, LITERT_FILE, ONNX_FILE = "saved_model", "model.tflite", "model.onnx"

CLOUD_WORLDS = ("rehearsal", "aws")

T = TypeVar("T")


def is_fast() -> bool:
    """Tells whether `WORKSHOP_FAST=1` asks for the small run that CI does."""
    return os.environ.get("WORKSHOP_FAST", "") == "1"


def choose(full: T, fast: T) -> T:
    """Returns `full`, or `fast` where `WORKSHOP_FAST=1` is set. Same code path, other size."""
    return fast if is_fast() else full


def cloud_world() -> str:
    """Returns what `WORKSHOP_CLOUD` says: "rehearsal" (the default), or "aws" for an account.

    Raises:
        WorkshopError: it says something else.
    """
    world = os.environ.get("WORKSHOP_CLOUD", "") or CLOUD_WORLDS[0]
    if world not in CLOUD_WORLDS:
        raise WorkshopError(
            f"expected WORKSHOP_CLOUD={' or '.join(CLOUD_WORLDS)}, found {world!r}. Correct it, "
            "or leave it out: the rehearsal needs no account."
        )
    return world


def generated_folder(name: str) -> Path:
    """Returns the folder of a generated dataset, apart for full and fast runs."""
    return ROOT / "data" / "generated" / choose(name, f"{name}-fast")


def artifacts_folder(name: str) -> Path:
    """Returns the folder for what a notebook makes, apart for full and fast runs.

    A fast run therefore never replaces the models of a full one.
    """
    return ROOT / "artifacts" / choose("full", "fast") / name


def real_manifest() -> Path | None:
    """Returns the manifest of real pictures that `WORKSHOP_REAL` names, or None.

    Raises:
        WorkshopError: it names no file.
    """
    name = os.environ.get("WORKSHOP_REAL", "")
    if name and not Path(name).is_file():
        raise WorkshopError(
            f"expected in WORKSHOP_REAL the path of a manifest, found no file {name}. Write one "
            "with python -m data.sources, or unset the variable."
        )
    return Path(name) if name else None


def need(path: Path, made_by: str) -> Path:
    """Returns `path` if it is there.

    Raises:
        WorkshopError: it is not; the message names the notebook that makes it.
    """
    if not path.exists():
        raise WorkshopError(
            f"expected {path}, found nothing. Run notebook {made_by}.ipynb first: it makes it."
        )
    return path
