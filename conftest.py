"""What every test and every notebook kernel under pytest needs before it starts."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent

# nbval's kernels inherit these. Notebooks under test are small unless somebody asks otherwise.
os.environ.setdefault("WORKSHOP_FAST", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow: errors only
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
)  # `import helpers` works in a notebook of a checkout that is not installed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the browser last: by then the notebooks have run and their data is on the disk."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
