"""Starts a program that ends with whoever started it, however that happens.

    python guard.py PROGRAM ARGUMENT ...

The starter holds the other end of standard input. When it ends, killed or not, that end closes,
and the program is ended with all that it started. Needs nothing but Python, to start fast.
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


def _handle_signals(how: signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, how)


def main() -> None:
    """Runs the program and ends as it ends."""
    _handle_signals(signal.SIG_IGN)  # a notebook's interrupt is not meant for us
    how = {"start_new_session": True, "preexec_fn": lambda: _handle_signals(signal.SIG_DFL)}
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, **how)
    threading.Thread(target=_end_with_starter, args=(program,), daemon=True).start()
    code = program.wait()
    _end(program)
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
