"""Starts a program that ends with whoever started it, however that happens.

    python guard.py PROGRAM ARGUMENT ...

The starter holds the other end of standard input. When it ends, killed or not, that end closes,
and the program with everything it started is ended, too. Needs nothing but Python, to start fast.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 3  # between the polite signal and the other one


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


def main() -> None:
    """Runs the program and ends as it ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a notebook's interrupt is not meant for us
    program = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        restore_signals=True,
        preexec_fn=_default_signals,
    )
    threading.Thread(target=_end_with_starter, args=(program,), daemon=True).start()
    code = program.wait()
    _end(program)
    os._exit(code if code >= 0 else 128 - code)


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main()
