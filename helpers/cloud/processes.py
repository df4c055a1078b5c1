"""Processes of the rehearsal: each ends with its owner."""

import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

GUARD = Path(__file__).with_name("guard.py")
STOP_SECONDS = 15  # for a program to end; guard kills it after a few


class Guarded:
    """A program in a process group of its own that ends with this object's owner.

    Args:
        command: program and arguments.
        environment: all of it; nothing is inherited.
        folder: where it starts.
        output: where its standard output and error go, `subprocess.PIPE`, or
            None for where its owner's go.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        output: IO | int | None,
    ):
        self._process = subprocess.Popen(
            [sys.executable, "-S", str(GUARD), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,  # a Ctrl-C in the terminal is for the owner
        )

    @property
    def output(self) -> IO[bytes]:
        """What it prints, where `output` was `subprocess.PIPE`."""
        return self._process.stdout

    @property
    def pid(self) -> int:
        """Its guard's process id."""
        return self._process.pid

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait(self, seconds: float | None = None) -> int:
        """Waits for its end and returns its exit code; 128 and more for a signal."""
        return self._process.wait(seconds)

    def stop(self) -> None:
        """Ends it with all that it started; does nothing where it has ended."""
        self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


def free_port() -> int:
    """Returns a port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
