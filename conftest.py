"""What every test and every notebook kernel under pytest needs before it starts."""

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent

# nbval's kernels inherit these. Notebooks under test are small unless somebody asks otherwise.
os.environ.setdefault("WORKSHOP_FAST", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow: errors only
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
)  # `import helpers` works in a notebook of a checkout that is not installed


# A shell that starts the tests in the background lets them ignore Ctrl-C, which some of them test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the browser last: by then the notebooks have run and their data is on the disk."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """Divides the tests between processes: a file stays whole, all notebooks stay together.

    A notebook needs what those before it made, and so does the browser, which opens them again.
    xdist's own `--dist loadgroup` would say this with marks, but pytest 9.2 ignores its groups
    (pytest-xdist issue 1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            in_turn = file.endswith(".ipynb") or file.endswith("test_jupyterlab.py")
            return "notebooks" if in_turn else file

    return Scheduling(config, log)
