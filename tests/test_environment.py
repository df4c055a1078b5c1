import importlib.metadata
import tomllib

import pytest
from packaging.requirements import Requirement

from helpers.common import ROOT, WorkshopError
from helpers.workshop import environment, read_requirements
from helpers.workshop.environment import check_environment, missing


def test_this_machine_is_ready():
    findings = check_environment()
    assert missing(findings) == []
    assert {"Python", "tensorflow", "free disk", "artifacts"} <= {row.name for row in findings}


def test_old_and_absent_packages_are_named_with_what_to_do(monkeypatch, capsys):
    wanted = [Requirement("numpy>=999"), Requirement("no-such-package"), Requirement("pandas")]
    monkeypatch.setattr(environment, "read_requirements", lambda path: wanted)
    lacking = missing(check_environment())
    assert [(row.name, row.result) for row in lacking] == [
        ("numpy", "missing"),
        ("no-such-package", "missing"),
    ]
    assert lacking[0].found == importlib.metadata.version("numpy")
    assert lacking[1].found == "not installed"
    monkeypatch.setattr("sys.argv", ["environment", "--quiet"])
    with pytest.raises(WorkshopError, match=r"numpy, no-such-package\. Do: pip install"):
        environment.main()
    assert "pandas" not in capsys.readouterr().out


def test_lock_fits_the_ranges():
    exact = {}
    for locked in read_requirements(ROOT / "requirements.lock"):
        if locked.marker is None or locked.marker.evaluate():
            (version,) = locked.specifier
            exact[locked.name.lower()] = version.version
    for wanted in read_requirements(ROOT / "requirements.txt"):
        assert wanted.specifier.contains(exact[wanted.name.lower()]), wanted


def test_every_range_has_its_reason():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert all("  # " in line for line in lines if line and not line.startswith("#"))


def test_every_package_is_installed():
    """An installation that copies files takes what is named here, and nothing else."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tops = ("benchmarks", "data", "helpers")
    folders = (path.parent for top in tops for path in (ROOT / top).rglob("__init__.py"))
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(settings["tool"]["setuptools"]["packages"]) == names
