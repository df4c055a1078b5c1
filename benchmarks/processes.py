"""Measures in processes of their own: nothing shares memory, and who is not asked is idle."""

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tqdm import tqdm

from helpers.common import WorkshopError, peak_memory


class Measured:
    """The measure that `prepare(*arguments)`, importable, returns; `peak` is its memory in GB.

    Raises `WorkshopError` where the process has ended, or what it does fails.
    """

    def __init__(self, prepare: Callable[..., Callable[[], Any]], *arguments: Any):
        context = multiprocessing.get_context("spawn")  # a fork would share our memory
        self._connection, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
        process.start()
        theirs.close()
        self._process, self._name = process, prepare.__name__
        self._receive()

    def __call__(self) -> Any:
        """Returns what the measure returns."""
        self._connection.send("measure")
        return self._receive()

    def close(self) -> float:
        """Ends the process; returns its peak."""
        self._process.kill()  # there is nothing to save, and TensorFlow's threads may not end
        self._process.join()
        return self.peak

    def _receive(self) -> Any:
        try:
            answer, self.peak = self._connection.recv()
        except EOFError:
            answer, self.peak = WorkshopError("the process ended, out of memory?"), 0.0
        if isinstance(answer, Exception):
            raise WorkshopError(f"measuring {self._name}: {answer}")
        return answer


def _serve(connection: Connection, prepare: Callable[..., Callable[[], Any]], arguments) -> None:
    # Its own lock is a semaphore of the system, which stays behind when this process is killed.
    tqdm.set_lock(threading.RLock())
    try:
        measure = prepare(*arguments)
        connection.send((None, peak_memory()))
        while connection.recv():
            connection.send((measure(), peak_memory()))
    except Exception as error:  # told by the parent: this process has no terminal of its own
        connection.send((WorkshopError(f"{type(error).__name__}: {error}"), 0.0))
