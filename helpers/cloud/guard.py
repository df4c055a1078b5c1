"""Programs of the rehearsal, each of which ends with whoever started it, however that happens.

    python guard.py FOLDER PROGRAM ARGUMENT ...

is the guard of one: the starter holds the other end of its standard input. When the starter ends,
killed or not, that end closes, and the program is ended with all that it started. FOLDER, unless it
is empty, is removed after it. Needs nothing but Python, to start fast.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GRACE_SECONDS = 3  # between the polite signal and the other one
STOP_SECONDS = 15  # for a guard to end
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")  # no secrets, no switches


def inherited() -> dict[str, str]:
    """Returns what a process of the rehearsal gets of the learner's environment."""
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = given if given == "*" else ",".join(filter(None, [given, "127.0.0.1", "localhost"]))
    found = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return found | {"no_proxy": names, "NO_PROXY": names}  # what stays here meets no proxy


class Guarded(subprocess.Popen):
    """A program in a process group of its own that ends with this object's owner.

    It inherits nothing of the environment. Its standard output and error go to `output`: a file,
    `subprocess.PIPE`, or None for where the owner's go. `pid` is its guard's; `wait` returns its
    exit code, 128 and more for a signal. It runs in `folder`; `own` is removed after it.
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
        super().__init__([sys.executable, "-S", __file__, str(own), *command], **pipes, **how)

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


def _remove(folder: Path) -> None:
    for _ in range(50):  # what the program started may end after it, and still write
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break
        time.sleep(0.2)


def main() -> None:
    """Runs the program and ends as it ends."""
    folder, *command = sys.argv[1:]
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_with_starter, args=(program,), daemon=True).start()
    code = program.wait()
    _end(program)
    if folder:
        _remove(Path(folder))
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
