"""A project of one small file, on which start.py is tried with real pip and no network."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# A build backend of one file, in place of hatchling: an editable wheel that is a .pth file.
BACKEND = """
import os, pathlib, time, zipfile

def get_requires_for_build_editable(config_settings=None):
    return []

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    while os.path.exists("hold"):
        time.sleep(0.05)
    name, info = "virtlab-1.0-py3-none-any.whl", "virtlab-1.0.dist-info"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / name, "w") as wheel:
        wheel.writestr("virtlab.pth", os.getcwd())
        about = "Metadata-Version: 2.1\\nName: virtlab\\nVersion: 1.0\\n"
        wheel.writestr(info + "/METADATA", about)
        kind = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(info + "/WHEEL", kind)
        wheel.writestr(info + "/entry_points.txt", "[console_scripts]\\nvirtlab = small:main\\n")
        wheel.writestr(info + "/RECORD", "")
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "virtlab"
version = "1.0"
"""
COMMAND = """
import sys
def main():
    import pinned
    print(sys.argv[1:], pinned.VERSION)
    sys.exit(7 if "fail" in sys.argv else 0)
"""


def make_wheel(folder: Path) -> str:
    """Make the one package that the small lock pins; return its line in the lock."""
    path = folder / "pinned-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("pinned.py", "VERSION = 'pinned 1.0'\n")
        info = "pinned-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: pinned\nVersion: 1.0\n")
        kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", kind)
        wheel.writestr(f"{info}/RECORD", "")
    return f"pinned==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def make_project(folder: Path) -> Path:
    """Make the small project, on a path with a space."""
    project = folder / "a project"
    (project / "locks").mkdir(parents=True)
    (folder / "wheels").mkdir()
    line = make_wheel(folder / "wheels")
    for name in ("lab", "test"):
        (project / "locks" / f"{name}.txt").write_text(line)
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "backend.py").write_text(BACKEND)
    (project / "small.py").write_text(COMMAND)
    (project / "start.py").write_text((ROOT / "start.py").read_text())
    return project


def environment(project: Path, **more: str) -> dict[str, str]:
    """Return an environment in which pip sees the small package and no network."""
    own = {key: text for key, text in os.environ.items() if not key.startswith(("PIP_", "COV_"))}
    wheels = str(project.parent / "wheels")
    return {
        **own,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": Path(wheels).as_uri(),
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        **more,
    }
