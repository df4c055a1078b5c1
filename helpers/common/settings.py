"""Where things are, and the switches: sizes, the cloud, and what TensorFlow reads at import."""

import os
from pathlib import Path
from typing import TypeVar

from helpers.common.errors import expected, more

ROOT = Path(__file__).resolve().parent.parent.parent

CORES = os.cpu_count() or 1

# What lies in the export folder of a run.
SAVED_MODEL, LITERT_FILE, ONNX_FILE = "saved_model", "model.tflite", "model.onnx"
EXPORT_NAMES = r"(saved_model/.+|model\.(tflite|onnx)|labels\.json|label_map\.pbtxt|SHA256SUMS)"
EVENT_NAMES = r"tensorboard/.*events\.out\.tfevents\..+"

CLOUD_WORLDS = ("rehearsal", "aws")

T = TypeVar("T")


def is_fast() -> bool:
    """Returns whether `WORKSHOP_FAST=1` asks for the small run that CI does."""
    return os.environ.get("WORKSHOP_FAST", "") == "1"


def choose(full: T, fast: T) -> T:
    """Returns `full`, or `fast` where `WORKSHOP_FAST=1` is set. Same code path, other size."""
    return fast if is_fast() else full


def cloud_world() -> str:
    """Returns what `WORKSHOP_CLOUD` says: "rehearsal" (the default), or "aws" for an account."""
    world = os.environ.get("WORKSHOP_CLOUD", "") or CLOUD_WORLDS[0]
    if world not in CLOUD_WORLDS:
        fix = "Correct it, or leave it out: the rehearsal needs no account."
        raise expected(f"WORKSHOP_CLOUD={' or '.join(CLOUD_WORLDS)}", repr(world), fix)
    return world


def generated_folder(name: str) -> Path:
    """Returns the folder of a generated dataset, apart for full and fast runs."""
    return ROOT / "data" / "generated" / choose(name, f"{name}-fast")


def artifacts_folder(name: str) -> Path:
    """Returns the folder for what a notebook makes; a fast run never replaces a full one's."""
    return ROOT / "artifacts" / choose("full", "fast") / name


def need(path: Path, made_by: str) -> Path:
    """Returns `path` if it exists; otherwise `WorkshopError` names the notebook that makes it."""
    if not path.exists():
        fix = f"Run notebook {made_by}.ipynb first: it makes it."
        raise expected(f"{path}", "nothing", fix + more("expected-a-file-found-nothing"))
    return path


def onednn_helps(processor: Path = Path("/proc/cpuinfo")) -> bool:
    """Returns whether oneDNN, 1.3 to 2.9 times as fast, has to be asked for: AVX2, no AVX-512."""
    flags = set(processor.read_text(encoding="utf-8").split()) if processor.exists() else set()
    return "avx2" in flags and not any(flag.startswith("avx512") for flag in flags)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only, unless the user asks for more
if onednn_helps():  # TF_ENABLE_ONEDNN_OPTS=0 turns it off
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
