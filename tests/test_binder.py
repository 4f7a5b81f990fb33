"""Binder would build the right image, and its JupyterLab would have the course's settings."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Binder's tools are for Linux")


def test_the_dockerfile_is_the_expected_one() -> None:
    program = Path(sys.executable).with_name("jupyter-repo2docker")
    done = subprocess.run(
        [program, "--no-build", "--debug", "."],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    dockerfile = done.stdout + done.stderr
    assert done.returncode == 0, dockerfile[-2000:]
    assert "python=3.12" in dockerfile
    copied = dockerfile.index("COPY --chown=0:0 src/ ${REPO_DIR}/")
    installed = dockerfile.index('pip install --no-cache-dir -r "binder/requirements.txt"')
    run = dockerfile.index("RUN ./binder/postBuild")
    assert copied < installed < run


def test_binder_uses_a_python_that_the_project_is_for() -> None:
    named = (ROOT / "binder/runtime.txt").read_text()
    version = re.fullmatch(r"python-(3\.\d+)\n", named)
    assert version is not None
    assert f"Python :: {version[1]}" in (ROOT / "pyproject.toml").read_text()


def test_post_build_installs_the_settings(tmp_path: Path) -> None:
    script = ROOT / "binder/postBuild"
    assert os.access(script, os.X_OK)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    prefix = {"NB_PYTHON_PREFIX": str(tmp_path / "server"), "KERNEL_PYTHON_PREFIX": ""}
    subprocess.run([script], cwd=ROOT, env={**os.environ, **prefix, "PATH": path}, check=True)
    installed = tmp_path / "server/etc/jupyter/labconfig/default_setting_overrides.json"
    tracker = json.loads(installed.read_text())["@jupyterlab/notebook-extension:tracker"]
    assert tracker["windowingMode"] == "none"
