"""Processes of the rehearsal: each ends with its owner."""

import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GUARD = Path(__file__).with_name("guard.py")
STOP_SECONDS = 15  # for a program to end; guard kills it after a few


class Guarded(subprocess.Popen):
    """A program in a process group of its own that ends with this object's owner.

    It inherits nothing of the environment. Its standard output and error go to `output`: a file,
    `subprocess.PIPE` (read it at `stdout`), or None for where the owner's go. `pid` is its guard's;
    `wait` returns its exit code, 128 and more for a signal. It runs in `folder`; its guard makes
    the folder `own` for it, and removes it at the end.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        output: Any,
        own: Path | str = "",
    ):
        pipes = {"stdin": subprocess.PIPE, "stdout": output, "stderr": subprocess.STDOUT}
        how = {"env": dict(environment), "cwd": folder}
        how["start_new_session"] = True  # a Ctrl-C in the terminal is for the owner
        super().__init__([sys.executable, "-S", str(GUARD), str(own), *command], **pipes, **how)

    def stop(self) -> None:
        """Ends it with all that it started; does nothing where it has ended."""
        self.stdin.close()
        try:
            self.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()
        if self.stdout:
            self.stdout.close()


def free_port() -> int:
    """Returns a port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
