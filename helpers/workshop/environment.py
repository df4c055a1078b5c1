"""Is this machine ready for the workshop? One row per requirement: OK, or what to do.

python -m helpers.workshop.environment
"""

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from helpers.common import ROOT, WorkshopError, run_command

PYTHON_VERSIONS = (
    (3, 11),
    (3, 13),
)  # the oldest and newest that TensorFlow 2.19 to 2.21 is built for
DISK_GB = 3  # generated pictures, a model per epoch, the exports
MEMORY_GB = 4  # the decoded training pictures are cached in memory
CORES = 2  # what the notebooks' minutes were measured on
INSTALL = "pip install -r requirements.txt"


@dataclass(frozen=True)
class Finding:
    """One requirement and what was found.

    Attributes:
        name: what is looked at, such as "Python" or "tensorflow".
        wanted: what the workshop asks for, in words.
        found: what this machine has, in words.
        result: "OK", "missing" (the workshop will not run) or "note" (it runs, with less).
        advice: what to do; empty where the result is OK.
    """

    name: str
    wanted: str
    found: str
    result: str
    advice: str = ""


def check_environment() -> list[Finding]:
    """Looks at Python, packages, machine and folders; returns one finding per requirement."""
    return [
        _python(),
        *_packages(),
        _cores(),
        _memory(),
        _disk(),
        *(_folder(ROOT / name) for name in ("data/generated", "artifacts")),
        _browser(),
        _place(),
    ]


def missing(findings: Iterable[Finding]) -> list[Finding]:
    """Returns the findings without which the workshop will not run."""
    return [finding for finding in findings if finding.result == "missing"]


def on_sagemaker() -> bool:
    """Tells whether this is a SageMaker notebook or Studio space, by the file AWS puts there."""
    return Path("/opt/ml/metadata/resource-metadata.json").exists()


def find_chromium() -> str | None:
    """Returns the path of a Chromium or Chrome, `WORKSHOP_CHROMIUM` first; None where none is."""
    names = ("chromium", "chromium-browser", "google-chrome")
    named = os.environ.get("WORKSHOP_CHROMIUM")
    return named or next(filter(None, map(shutil.which, names)), None)


def read_requirements(path: Path) -> list[Requirement]:
    """Reads a requirements file; its comments are left out."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def _python() -> Finding:
    oldest, newest = (".".join(map(str, version)) for version in PYTHON_VERSIONS)
    fits = PYTHON_VERSIONS[0] <= sys.version_info[:2] <= PYTHON_VERSIONS[1]
    advice = f"Make the environment with another Python: make PYTHON=python{oldest} workshop"
    return _finding("Python", f"{oldest} to {newest}", platform.python_version(), fits, advice)


def _packages() -> list[Finding]:
    return [_package(wanted) for wanted in read_requirements(ROOT / "requirements.txt")]


def _package(wanted: Requirement) -> Finding:
    specifier = str(wanted.specifier)
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return _finding(wanted.name, specifier, "not installed", False, INSTALL)
    fits = wanted.specifier.contains(version, prereleases=True)
    return _finding(wanted.name, specifier, version, fits, INSTALL)


def _cores() -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    advice = "It works, and takes longer than the notebooks say."
    return _finding(
        "CPU cores", f"{CORES} or more", str(count), (count or 1) >= CORES, advice, "note"
    )


def _memory() -> Finding:
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    advice = "Close other programs, or choose a larger machine."
    wanted = f"{MEMORY_GB} GB or more"
    return _finding("memory", wanted, f"{gigabytes:.0f} GB", gigabytes >= MEMORY_GB, advice, "note")


def _disk() -> Finding:
    free = shutil.disk_usage(ROOT).free / 1e9
    advice = f"Free some space on the disk of {ROOT}."
    return _finding("free disk", f"{DISK_GB} GB or more", f"{free:.0f} GB", free >= DISK_GB, advice)


def _folder(path: Path) -> Finding:
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    fits = os.access(existing, os.W_OK)
    advice = f"Make {existing} writable, or clone the project into a folder of your own."
    found = "writable" if fits else "not writable"
    return _finding(str(path.relative_to(ROOT)), "writable", found, fits, advice)


def _browser() -> Finding:
    found = find_chromium()
    advice = (
        "Only the test that opens the notebooks in a browser needs it: apt-get install chromium"
    )
    return _finding("Chromium", "for one test", found or "none", found is not None, advice, "note")


def _place() -> Finding:
    found = "SageMaker" if on_sagemaker() else "your own machine"
    return Finding("where", "SageMaker or your own machine", found, "OK")


def _finding(
    name: str, wanted: str, found: str, fits: bool, advice: str, otherwise: str = "missing"
) -> Finding:
    return Finding(name, wanted, found, *(("OK", "") if fits else (otherwise, advice)))


def main() -> None:
    """Prints the findings; raises where something is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quiet", action="store_true", help="print only what is not OK")
    options = parser.parse_args()
    findings = check_environment()
    for finding in findings:
        if not (options.quiet and finding.result == "OK"):
            print(_line(finding))
    if lacking := missing(findings):
        names = ", ".join(finding.name for finding in lacking)
        advice = "; ".join(dict.fromkeys(finding.advice for finding in lacking))
        raise WorkshopError(f"the workshop will not run here, because of: {names}. Do: {advice}")


def _line(finding: Finding) -> str:
    line = f"{finding.result:8}{finding.name:18}{finding.found:22} wanted: {finding.wanted}"
    return f"{line}\n{'':8}{finding.advice}" if finding.advice else line


if __name__ == "__main__":
    run_command(main)
