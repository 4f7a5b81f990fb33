"""The locks hold what the project asks for, for all Pythons, and name no address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import lock

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(name: str) -> dict[str, str]:
    """Return the version of each package of a lock."""
    text = (ROOT / "locks" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))


def asked(name: str) -> list[Requirement]:
    """Return what a lock must hold."""
    groups, project = PROJECT["dependency-groups"], PROJECT["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["lab"], *groups["build"]]
    if name == "test":
        lines += groups["test"] + groups["bench"]
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize("name", lock.LOCKS)
def test_a_lock_holds_all_that_is_asked_for(name: str) -> None:
    held = pins(name)
    for requirement in asked(name):
        assert held[canonicalize_name(requirement.name)] in requirement.specifier, requirement


@pytest.mark.parametrize("name", lock.LOCKS)
def test_each_package_has_a_hash(name: str) -> None:
    text = (ROOT / "locks" / f"{name}.txt").read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert len(blocks) == len(pins(name))
    for block in blocks:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block[:60]


@pytest.mark.parametrize("name", lock.LOCKS)
def test_no_lock_names_an_address(name: str) -> None:
    text = (ROOT / "locks" / f"{name}.txt").read_text()
    assert not re.search(r"://|--(extra-)?index|--find-links| @ ", text)


def test_the_tests_environment_has_the_same_versions_as_the_course() -> None:
    assert pins("lab").items() <= pins("test").items()


def test_binder_installs_what_the_course_is_locked_to() -> None:
    locked = (ROOT / "locks/lab.txt").read_text()
    stored = (ROOT / "binder/requirements.txt").read_text()
    assert stored == lock.binder_requirements(locked)
    lines = [line for line in stored.splitlines() if not line.startswith("#")]
    assert lines[-1] == "."
    assert [Requirement(line).name for line in lines[:-1]] == list(pins("lab"))
    assert "--hash" not in stored


def test_binder_keeps_markers() -> None:
    first = 'a==1 ; os_name == "nt" \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n'
    locked = f"# note\n{first}b==2 \\\n    --hash=sha256:22\n"
    text = lock.binder_requirements(locked)
    assert text.splitlines()[1:] == ['a==1 ; os_name == "nt"', "b==2", "."]
