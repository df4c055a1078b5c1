"""What pip would change in AWS's images, by their lists of packages; nothing is installed.

    python -m tests.dry_run studio      # requirements/studio.txt in SageMaker Distribution
    python -m tests.dry_run training    # the requirements of a job in the training image

uv resolves for the image's Python and keeps what the image has, unless a requirement forbids it, as
pip does. Needs the network and uv; ends with 1 where a package of the image would change.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.utils import canonicalize_name

from helpers.cloud.source import copy_source
from helpers.common import ROOT

DATA = ROOT / "tests" / "data"
PYTHON = "3.12"  # of both images
LISTS = {"studio": "studio-distribution-4.4.1.txt", "training": "training-2.21.txt"}
# conda has put together what pip would not: the image's cryptography wants a newer cffi.
MAY_CHANGE = {"studio": {"cffi"}, "training": set()}


def read_list(image: str) -> dict[str, str]:
    """The packages of an image: name to version."""
    lines = (DATA / LISTS[image]).read_text(encoding="utf-8").splitlines()
    rows = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in rows}


def resolve(image: str, folder: Path) -> dict[str, str]:
    """The packages that are there after pip, of those that the requirements lead to."""
    wanted = ROOT / "requirements" / "studio.txt"
    if image == "training":
        wanted = copy_source(folder / "code") / "requirements.txt"
    kept = folder / "kept.txt"  # uv keeps the versions that its output has already
    kept.write_text("".join(f"{name}=={version}\n" for name, version in read_list(image).items()))
    command = ["uv", "pip", "compile", "--quiet", "--python-version", PYTHON, "--no-header"]
    command += ["--python-platform", "x86_64-manylinux_2_28", "--no-annotate"]
    subprocess.run([*command, str(wanted), "--output-file", str(kept)], check=True)
    rows = (line.split("==") for line in kept.read_text().splitlines() if "==" in line)
    return {canonicalize_name(name): version for name, version in rows}


def main() -> None:
    """Prints what would change and what would be added."""
    image = sys.argv[1]
    before = read_list(image)
    with tempfile.TemporaryDirectory() as folder:
        after = resolve(image, Path(folder))
    changed = {n: v for n, v in after.items() if n in before and before[n] != v}
    for name, version in sorted(changed.items()):
        print(f"changed: {name} {before[name]} -> {version}")
    print("added:", ", ".join(f"{n} {v}" for n, v in sorted(after.items()) if n not in before))
    if set(changed) - MAY_CHANGE[image]:
        sys.exit(1)


if __name__ == "__main__":
    main()
