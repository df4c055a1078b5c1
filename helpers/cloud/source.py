"""The source code of a job: the helpers package as it stands, and what must be installed there."""

import shutil
from pathlib import Path

from helpers.environment import read_requirements
from helpers.files import write_text
from helpers.settings import ROOT

REQUIREMENTS = "requirements.txt"
COMMAND = "python -m helpers.train"  # the same command as on your machine
# What helpers.train needs of requirements.txt. TensorFlow is not among it: it is in AWS's image,
# in the build that fits the machine.
NEEDED = (
    "keras", "numpy", "pandas", "pillow", "scikit-learn", "tqdm", "tensorboard", "packaging",
)  # fmt: skip


def copy_source(folder: Path) -> Path:
    """Writes the job's source code into a folder.

    The cloud's own helpers stay at home: a job needs none of them.

    Args:
        folder: where to; must not exist.

    Returns:
        The folder.
    """
    folder = Path(folder)
    left = shutil.ignore_patterns("__pycache__", "*.pyc", "cloud")
    shutil.copytree(ROOT / "helpers", folder / "helpers", ignore=left)
    wanted = [r for r in read_requirements(ROOT / "requirements.txt") if r.name in NEEDED]
    write_text(folder / REQUIREMENTS, "".join(f"{requirement}\n" for requirement in wanted))
    return folder
