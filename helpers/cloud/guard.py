"""Starts a program that ends with whoever started it, however that happens.

    python guard.py FOLDER PROGRAM ARGUMENT ...

The starter holds the other end of standard input. When it ends, killed or not, that end closes,
and the program is ended with all that it started. FOLDER, unless it is empty, is made for the
program and removed after it. Needs nothing but Python, to start fast.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

GRACE_SECONDS = 3  # between the polite signal and the other one
PR_SET_PDEATHSIG = 1  # of Linux: a signal for the program when its guard is killed


def _end(program: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)  # and whatever it left behind


def _end_with_starter(program: subprocess.Popen) -> None:
    while os.read(0, 4096):
        pass
    _end(program)


def remove(folder: str) -> None:
    """Removes a folder in which something may still be at work."""
    for _ in range(50):  # what the program started may end after it, and still write
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):  # noqa: PTH110 (pathlib takes its time to import)
            break
        time.sleep(0.2)


def _handle_signals(how: signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, how)


def main() -> None:
    """Runs the program and ends as it ends."""
    _handle_signals(signal.SIG_IGN)  # a notebook's interrupt is not meant for us
    folder, *command = sys.argv[1:]
    if folder:
        os.mkdir(folder, 0o700)  # noqa: PTH102
    system = ctypes.CDLL(None) if sys.platform == "linux" else None

    def prepare() -> None:
        _handle_signals(signal.SIG_DFL)
        if system:
            system.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    how = {"start_new_session": True, "preexec_fn": prepare}
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, **how)
    threading.Thread(target=_end_with_starter, args=(program,), daemon=True).start()
    code = program.wait()
    _end(program)
    if folder:
        remove(folder)
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
