"""pyproject.toml, constraints.txt and environment.yml tell one story."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_utils import bootstrap

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BOUNDS = [
    Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
]
EARLY = ["__init__.py", "__main__.py", "bootstrap.py", "process.py", "setup_error.py"]
PINNED = (ROOT / "constraints.txt").read_text(encoding="utf-8")


def entries() -> list[str]:
    """The pinned file's entries, one line each: requirement, marker, hashes."""
    lines = PINNED.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def pins() -> dict[str, Requirement]:
    """The pinned requirements by name, without their hashes."""
    requirements = [Requirement(entry.split("--hash=")[0]) for entry in entries()]
    return {canonicalize_name(one.name): one for one in requirements}


def environment() -> dict[str, object]:
    """environment.yml as conda reads it."""
    loaded = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("bound", BOUNDS, ids=str)
def test_dependency_is_pinned_inside_its_bounds(bound: Requirement) -> None:
    """What pyproject.toml asks for is pinned, at a version that it allows."""
    (pin,) = pins()[canonicalize_name(bound.name)].specifier
    assert pin.operator == "=="
    assert bound.specifier.contains(pin.version)


def test_every_pin_has_hashes() -> None:
    """pip and uv can check every file that they download."""
    assert [entry for entry in entries() if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("mark", ["://", " @ ", "index-url", "find-links", "trusted-host"])
def test_pins_name_no_host(mark: str) -> None:
    """The pins serve every package index, because they name none."""
    named = [line for line in PINNED.splitlines() if mark in line]
    assert [line for line in named if not line.startswith("#")] == []


def test_conda_brings_python_and_the_same_pins() -> None:
    """environment.yml is Python, pip and precisely the pinned file, nothing more."""
    python, pip, packages = environment()["dependencies"]  # type: ignore[misc]
    assert (pip, packages) == ("pip", {"pip": ["-r constraints.txt"]})
    name, _, version = python.partition("=")
    assert name == "python"
    assert SpecifierSet(PROJECT["requires-python"]).contains(Version(version))


def test_one_answer_to_which_pythons() -> None:
    """The set-up, the project file and the checks of every push name the same Pythons."""
    minors = range(bootstrap.OLDEST[1], bootstrap.NEWEST[1] + 1)
    supported = [f"3.{minor}" for minor in minors]
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(30) if allowed.contains(f"3.{minor}")] == supported
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == supported


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="there is no README.md yet")
@pytest.mark.parametrize("name", ["lab", "test"])
def test_readme_command_exists(name: str) -> None:
    """Both commands of the README are there, and are subcommands of the course."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"python3 -m course_utils {name}" in readme
    assert f"py -m course_utils {name}" in readme
    command = [sys.executable, "-m", "course_utils.cli", name, "--help"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("path", EARLY)
def test_old_python_can_read(path: str) -> None:
    """What runs before the version is checked is readable for a Python as old as 3.6."""
    ast.parse((ROOT / "course_utils" / path).read_text(encoding="utf-8"), feature_version=(3, 6))
