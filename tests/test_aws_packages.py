"""AWS's images beside ours: the packages that they have, and those that a job asks for."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from helpers.cloud import write_shards
from helpers.cloud.source import NEEDED, copy_source
from helpers.common import ROOT
from helpers.manifest import Manifest
from helpers.workshop import read_requirements
from tests.conftest import SMALLEST
from tests.dry_run import read_list

BLOCK = """
import importlib.abc, importlib.metadata, re, sys
ALLOWED = set(sys.argv[1].split(","))
OWNERS = importlib.metadata.packages_distributions()
name = lambda text: re.sub("[-_.]+", "-", text).lower()

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, full, path=None, target=None):
        owners = {name(owner) for owner in OWNERS.get(full.partition(".")[0], [])}
        if owners and not owners & ALLOWED:
            message = f"{full} is of {owners}, which a job does not have"
            raise ModuleNotFoundError(message, name=full)

sys.meta_path.insert(0, Blocker())
sys.argv[1:] = sys.argv[2:]
import runpy
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def test_the_constraints_are_the_versions_of_the_image():
    image = read_list("studio")
    for line in (ROOT / "requirements/studio-constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, _, version = line.partition("==")
            assert Version(image[canonicalize_name(name)]) == Version(version), name


@pytest.mark.parametrize("image", ["studio", "training"])
def test_what_an_image_has_may_stay(image, tmp_path):
    """No range of ours forbids a version that AWS's image has."""
    has = read_list(image)
    files = [ROOT / f"requirements/{part}.txt" for part in ("main", "detection")]
    if image == "training":
        files = [copy_source(tmp_path / "code") / "requirements.txt"]
    for wanted in (row for file in files for row in read_requirements(file)):
        version = has.get(canonicalize_name(wanted.name))
        assert not version or wanted.specifier.contains(version, prereleases=True), wanted


def with_what_they_need(names: set[str]) -> set[str]:
    """Packages with all that they lead to."""
    found, ahead = set(), {canonicalize_name(name) for name in names}
    while ahead:
        name = ahead.pop()
        found.add(name)
        try:
            rows = map(Requirement, requires(name) or [])
        except PackageNotFoundError:
            continue
        ahead |= {
            canonicalize_name(row.name)
            for row in rows
            if not row.marker or row.marker.evaluate({"extra": ""})
        } - found
    return found


def run_blocked(folder: Path, allowed: set[str], *arguments: str, **variables: str):
    own = {"PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", BLOCK, ",".join(sorted(allowed)), *arguments]
    how = {"cwd": folder, "env": os.environ | own | variables, "capture_output": True}
    return subprocess.run(command, text=True, **how)


def test_a_job_needs_nothing_that_it_does_not_have(people: Manifest, tmp_path):
    """The source of a job trains where all packages but the image's and its own are blocked."""
    code = copy_source(tmp_path / "code")
    write_shards(people.select(["top_color", "gender"]), tmp_path / "CHANNEL_TRAINING", count=1)
    allowed = with_what_they_need({*read_list("training"), *NEEDED})
    # the image's builds of TensorFlow and cv2 have other names; the source is in the folder
    allowed |= with_what_they_need({"tensorflow", "opencv-python-headless"})
    allowed.add("multi-task-image-workshop")
    (tmp_path / "MODEL_DIR").mkdir()
    flags = [str(word) for name, value in SMALLEST.items() for word in (f"--{name}", value)]
    flags += ["--batch-size", "16", "--no-check"]
    places = ("CHANNEL_TRAINING", "MODEL_DIR", "OUTPUT_DATA_DIR")
    variables = {f"SM_{place}": str(tmp_path / place) for place in places}

    ended = run_blocked(code, allowed, "helpers.cloud.script", *flags, **variables)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert (tmp_path / "MODEL_DIR" / "labels.json").exists()


def test_a_package_that_a_job_does_not_have_is_noticed(tmp_path):
    (tmp_path / "needs.py").write_text("import matplotlib")
    ended = run_blocked(tmp_path, {"numpy"}, "needs")
    assert "matplotlib is of {'matplotlib'}, which a job does not have" in ended.stderr
