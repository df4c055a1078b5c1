"""Hostile input made from a seed, tried against the project by the hundred.

    python -m tests.hostile NAME [--count N] [--seed N]

The tests keep a small share of each; this is the long run, and prints one line of counts. Every
module here has `COUNT`, how many tries its long run makes, and `run(tally, count, seed)`.
"""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from helpers.common import run_command

PROJECT = Path(__file__).resolve().parent.parent.parent
BAD = ("traceback", "hang", "outside", "wrong")  # what must never be counted


@dataclass
class Tally:
    """What came of the tries, and one line for each that must not have happened."""

    counts: Counter = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)

    def add(self, outcome: str, what: str = "") -> None:
        """Counts `outcome`: "ok", "refused", or one of `BAD`, which keeps `what` to repeat it."""
        self.counts[outcome] += 1
        if outcome in BAD:
            self.found.append(f"{outcome}: {what}")

    @property
    def bad(self) -> int:
        return sum(self.counts[name] for name in BAD)

    def line(self, name: str) -> str:
        """Returns e.g. "images, 500 tries: ok 212, refused 288, traceback 0, hang 0, ..."."""
        names = [n for n in self.counts if n not in BAD]
        shown = ", ".join(f"{n} {self.counts[n]}" for n in [*sorted(names), *BAD])
        return f"{name}, {sum(self.counts.values())} tries: {shown}"


def command(module: str, arguments: Sequence[object], seconds: float = 60, **variables: str) -> str:
    """Runs `python -m module` in a process of its own; returns the outcome, see `Tally.add`.

    Bad input ends with 2, for which argparse and `run_command` stand.
    """
    asked = [sys.executable, "-m", module, *map(str, arguments)]
    try:
        done = subprocess.run(
            asked,
            cwd=PROJECT,
            env={**os.environ, **variables},
            capture_output=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return "hang"
    if b"Traceback" in done.stderr or done.returncode not in (0, 2):
        return "traceback"
    return "ok" if done.returncode == 0 else "refused"


def files_below(folder: Path) -> dict[str, bytes]:
    """Returns the files below a folder with their bytes: what a try may not change."""
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def call(main: Callable[[], None], arguments: Sequence[object], seconds: int = 20) -> str:
    """Runs a command's `main` as `command` does, but in this process: 50 times as fast."""

    def too_long(*_: object) -> None:
        raise TimeoutError("hang")

    old, usual = sys.argv, signal.signal(signal.SIGALRM, too_long)
    sys.argv = ["command", *map(str, arguments)]
    signal.alarm(seconds)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            run_command(main)
    except SystemExit as stop:
        return {None: "ok", 0: "ok", 2: "refused"}.get(stop.code, "traceback")
    except TimeoutError:
        return "hang"
    except Exception:
        return "traceback"
    finally:
        signal.alarm(0)
        sys.argv = old
        signal.signal(signal.SIGALRM, usual)
    return "ok"
