"""The flags that several benchmarks have."""

import argparse
from pathlib import Path
from typing import Any

from helpers.common import WorkshopError


def seeds(text: str) -> list[int]:
    """Reads "0,1,2"."""
    if not all(seed.isdecimal() for seed in text.split(",")):
        raise WorkshopError(f"expected --seeds such as 0,1,2, found {text!r}.")
    return [int(seed) for seed in text.split(",")]


SHARED = {
    "manifest": {"type": Path, "required": True, "help": "the manifest CSV"},
    "tasks": {"type": lambda text: text.split(","), "help": "only these, joined by a comma"},
    "minutes": {"type": float, "default": 0.0, "help": "of each training"},
    "epochs": {"type": int, "default": 0, "help": "of each training, instead of minutes"},
    "seeds": {"type": seeds, "default": [0, 1, 2], "help": "of the trainings (default 0,1,2)"},
    "out": {"type": Path, "help": "folder of what is written (default below artifacts/)"},
}


def add_shared(parser: argparse.ArgumentParser, *names: str, **defaults: Any) -> None:
    """Adds some of `SHARED`; those with a default of their own are named with it."""
    for name in (*names, *defaults):
        options = dict(SHARED[name])
        if name in defaults:
            options |= {"default": defaults[name], "help": f"{options['help']} (%(default)s)"}
        parser.add_argument(f"--{name}", **options)
