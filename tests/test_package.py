"""The wheel has all that the package needs, and nothing that it does not."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as pip would, with what is installed here."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(target.glob("*.whl"))


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_data_and_notebooks_travel(wheel: Path) -> None:
    there = names(wheel)
    for name in ("data", "notebooks"):
        for path in (ROOT / name).rglob("*"):
            if path.is_file() and ".ipynb_checkpoints" not in path.parts:
                travelled = path.relative_to(ROOT / name).as_posix()
                assert f"virtlab/_{name}/{travelled}" in there


def test_what_is_not_python_travels_too(wheel: Path) -> None:
    there = names(wheel)
    kinds = {".js", ".css", ".json", ".toml", ".typed"}
    wanted = {p for p in (ROOT / "virtlab").rglob("*") if p.suffix in kinds or p.name == "py.typed"}
    assert len(wanted) > 4
    for path in wanted:
        assert path.relative_to(ROOT).as_posix() in there


def test_nothing_else_travels(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names(wheel)}
    assert tops == {"virtlab", "virtlab-0.1.0.dist-info"}
    assert not [name for name in names(wheel) if "__pycache__" in name or name.endswith(".pyc")]


def test_the_wheel_alone_finds_its_data(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import sys; sys.path[:] = [sys.argv[1]] + [p for p in sys.path if p != sys.argv[2]]\n"
        "import virtlab; from virtlab.datasets import data_path, folder\n"
        "from virtlab.course.lab import course_folder; from pathlib import Path\n"
        "assert virtlab.__file__.startswith(sys.argv[1]), virtlab.__file__\n"
        "assert data_path('README.md').is_file()\n"
        "books = len(list(folder('notebooks').glob('*.ipynb')))\n"
        "print(course_folder(Path(sys.argv[1])).name, books)"
    )
    printed = subprocess.check_output(
        [sys.executable, "-P", "-c", code, str(tmp_path), str(ROOT)], cwd=tmp_path, text=True
    )
    count = len(list((ROOT / "notebooks").glob("*.ipynb")))
    assert printed.split() == ["virtlab-course", str(count)]
    assert len(list((tmp_path / "virtlab-course").glob("*.ipynb"))) == count
