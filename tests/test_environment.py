import base64
import importlib.metadata
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

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
    with pytest.raises(WorkshopError, match=r"numpy, no-such-package\. Do: make install"):
        environment.main()
    assert "pandas" not in capsys.readouterr().out


def test_a_part_that_is_not_installed_keeps_nobody_from_the_main_line(monkeypatch):
    def read(path):
        return [Requirement("no-such-package" if path.name == "cloud.txt" else "pandas")]

    monkeypatch.setattr(environment, "read_requirements", read)
    rows = {row.name: row for row in check_environment()}
    assert missing(rows.values()) == []
    assert rows["detection"].result == "OK"
    assert (rows["cloud"].result, rows["cloud"].found) == ("note", "no-such-package not installed")
    assert rows["cloud"].advice == "For notebooks 07 and 08 only: make install-all"


def test_a_room_whose_packages_are_not_installed_says_what_to_type(tmp_path, monkeypatch):
    room = tmp_path / "a_room"
    room.mkdir()
    door = "from helpers.common import front_door\nfrom typing import TYPE_CHECKING\n"
    door += "if TYPE_CHECKING:\n    from a_room.module import name\n"
    (room / "__init__.py").write_text(f"{door}__getattr__, *_ = front_door(__name__, __file__)\n")
    (room / "module.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(WorkshopError, match=r"no_such_package.*Type: make install-all"):
        from a_room import name  # noqa: F401


def read_lock(name: str) -> dict[str, str]:
    """The exact versions of a lock that hold for this Python and system."""
    rows = read_requirements(ROOT / name)
    here = (row for row in rows if row.marker is None or row.marker.evaluate())
    return {row.name.lower(): next(iter(row.specifier)).version for row in here}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements/lowest.lock"])
def test_lock_fits_the_ranges(lock):
    exact = read_lock(lock)
    for wanted in read_requirements(ROOT / "requirements.txt"):
        assert wanted.specifier.contains(exact[wanted.name.lower()]), wanted


def test_the_lowest_versions_are_the_lowest():
    lowest = read_lock("requirements/lowest.lock")
    for name in ("tensorflow", "keras", "numpy", "pandas", "pydantic", "jupyterlab", "pytest"):
        (floor,) = (row for row in read_requirements(ROOT / "requirements.txt") if row.name == name)
        bound = next(part.version for part in floor.specifier if part.operator == ">=")
        assert Version(lowest[name]) == Version(bound), name


def test_studio_gets_what_its_image_lacks_and_keeps_the_rest():
    """What the image has fits the ranges; all else that 00 to 12 need is in studio.txt."""
    kept = read_lock("requirements/studio-constraints.txt")
    text = (ROOT / "requirements/studio.txt").read_text().replace("-c ", "-r ")
    lacking = {line.split(">")[0].split("[")[0] for line in text.splitlines() if line[0].isalpha()}
    for part in ("main", "cloud", "detection"):
        for wanted in read_requirements(ROOT / f"requirements/{part}.txt"):
            if wanted.name in kept:
                assert wanted.specifier.contains(kept[wanted.name]), wanted
            else:
                assert wanted.name in lacking, wanted
    assert not lacking & set(kept), "the image has these"
    assert {"sagemaker", "sagemaker-core", "boto3", "numpy"} <= set(kept)


def test_every_range_has_its_reason():
    for part in ("main", "cloud", "detection", "development"):
        lines = (ROOT / f"requirements/{part}.txt").read_text().splitlines()
        assert all("  # " in line for line in lines if not line.startswith("#")), part


def test_the_extras_are_the_files():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]
    files = {*settings["dependencies"]["file"]}
    for extra in settings["optional-dependencies"].values():
        files |= {*extra["file"]}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert files == {line.removeprefix("-r ") for line in lines if not line.startswith("#")}


def test_every_package_is_installed():
    """An installation that copies files takes what is named here, and nothing else."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tops = ("benchmarks", "data", "helpers")
    folders = (path.parent for top in tops for path in (ROOT / top).rglob("__init__.py"))
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(settings["tool"]["setuptools"]["packages"]) == names


def test_the_changelog_begins_with_the_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == version and headings == sorted(set(headings), reverse=True)


def test_the_studio_script_fits_into_a_lifecycle_configuration():
    """SageMaker takes 16,384 characters of base64."""
    script = (ROOT / "studio/on_start.sh").read_bytes()
    assert script.startswith(b"#!/bin/bash\n") and len(base64.b64encode(script)) <= 16_384
