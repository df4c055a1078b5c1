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
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from helpers.common import CORES, ROOT, WorkshopError, more, run_command

# The oldest and the newest that TensorFlow 2.19 to 2.21 is built for.
PYTHON_VERSIONS = ((3, 11), (3, 13))
REQUIREMENTS = ROOT / "requirements"
PARTS = {  # files of requirements beside main.txt, and what needs them
    "cloud": "notebooks 07 and 08",
    "detection": "notebooks 10 to 12",
    "development": "make test",
}
INSTALL = "make install (in SageMaker Studio: pip install -r requirements/studio.txt)"


class Finding(NamedTuple):
    """One requirement and what was found."""

    name: str
    wanted: str
    found: str
    result: str  # "OK", "missing" (the workshop will not run) or "note" (it runs, with less)
    advice: str = ""  # what to do; empty where the result is OK


def check_environment() -> list[Finding]:
    """Looks at Python, packages, machine and folders; returns one finding per requirement."""
    oldest, newest = (".".join(map(str, version)) for version in PYTHON_VERSIONS)
    fits = PYTHON_VERSIONS[0] <= sys.version_info[:2] <= PYTHON_VERSIONS[1]
    other = f"Make the environment with another Python: make PYTHON=python{oldest} workshop"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    disk = shutil.disk_usage(ROOT).free / 1e9
    slow = "It works, and takes longer than the notebooks say."
    small = "Close other programs, or choose a larger machine."
    full = f"Free some space on the disk of {ROOT}."
    return [
        _finding("Python", f"{oldest} to {newest}", platform.python_version(), fits, other),
        *map(_package, read_requirements(REQUIREMENTS / "main.txt")),
        *(_part(name, notebooks) for name, notebooks in PARTS.items()),
        _finding("CPU cores", "2 or more", str(CORES), CORES >= 2, slow, "note"),
        _finding("memory", "4 GB or more", f"{memory:.0f} GB", memory >= 4, small, "note"),
        _finding("free disk", "3 GB or more", f"{disk:.0f} GB", disk >= 3, full),
        *(_folder(ROOT / name) for name in ("data/generated", "artifacts")),
    ]


def missing(findings: Iterable[Finding]) -> list[Finding]:
    """Returns what keeps the workshop from running."""
    return [finding for finding in findings if finding.result == "missing"]


def read_requirements(path: Path) -> list[Requirement]:
    """Reads a requirements file, and the files that its lines `-r FILE` name."""
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    found = []
    for line in filter(None, lines):
        option, _, file = line.partition(" ")
        found += read_requirements(path.parent / file) if option == "-r" else [Requirement(line)]
    return found


def _package(wanted: Requirement) -> Finding:
    try:
        found = importlib.metadata.version(wanted.name)
        fits = wanted.specifier.contains(found, prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        found, fits = "not installed", False
    return _finding(wanted.name, str(wanted.specifier), found, fits, INSTALL)


def _part(name: str, notebooks: str) -> Finding:
    rows = map(_package, read_requirements(REQUIREMENTS / f"{name}.txt"))
    lacking = [f"{row.name} {row.found}" for row in missing(rows)]
    advice = f"For {notebooks} only: make install-all"
    found = ", ".join(lacking) or "installed"
    return _finding(name, f"for {notebooks}", found, not lacking, advice, "note")


def _folder(path: Path) -> Finding:
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    fits = os.access(existing, os.W_OK)
    advice = f"Make {existing} writable, or clone the project into a folder of your own."
    found = "writable" if fits else "not writable"
    return _finding(str(path.relative_to(ROOT)), "writable", found, fits, advice)


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
    for name, wanted, found, result, advice in findings:
        if not (options.quiet and result == "OK"):
            advice = f"\n{'':8}{advice}" if advice else ""
            print(f"{result:8}{name:18}{found:22} wanted: {wanted}{advice}")
    if lacking := missing(findings):
        names = ", ".join(finding.name for finding in lacking)
        advice = "; ".join(dict.fromkeys(finding.advice for finding in lacking))
        lack = f"the workshop will not run here, because of: {names}. Do: {advice}."
        raise WorkshopError(lack + more("the-workshop-will-not-run-here"))


if __name__ == "__main__":
    run_command(main)
