"""JupyterLab opens on the course, asks nothing of other machines, and keeps a student's work."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from virtlab.course import lab
from virtlab.datasets import folder
from virtlab.validate import InvalidInputError

# What JupyterLab itself makes of the settings, asked in its own process.
_ASK = """
import json
from jupyterlab.labapp import LabApp
from jupyterlab_server.config import get_page_config
from jupyterlab_server.settings_utils import get_settings
from jupyterlab.commands import get_app_dir
import jupyter_core.paths as paths, os
app = LabApp()
app.load_config_file()
root = get_app_dir()
values = {}
for name in ("notebook-extension:tracker", "apputils-extension:notification",
             "extensionmanager-extension:plugin"):
    found, _ = get_settings(root, os.path.join(root, "schemas"), os.path.join(root, "settings"),
                            schema_name="@jupyterlab/" + name)
    properties = found["schema"]["properties"]
    values.update({key: item.get("default") for key, item in properties.items()})
values["news_url"] = app.news_url
values["manager"] = app.extension_manager
values["checker"] = app.check_for_updates_class.__name__
print(json.dumps(values))
"""


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        env=lab.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    values: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return values


def test_jupyterlab_lays_a_notebook_out_whole(settings: dict[str, object]) -> None:
    assert settings["windowingMode"] == "none"


def test_jupyterlab_asks_no_other_machine(settings: dict[str, object]) -> None:
    assert settings["news_url"] is None
    assert settings["fetchNews"] == "false"
    assert settings["checkForUpdates"] is False
    assert settings["enabled"] is False  # the extension manager
    assert settings["manager"] == "readonly"
    assert settings["checker"] == "NeverCheckForUpdate"


def test_the_reader_s_own_settings_folder_still_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    paths = lab.environment()["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert paths == [str(lab.settings_folder()), "mine"]


def test_in_a_checkout_the_notebooks_are_opened_where_they_are(tmp_path: Path) -> None:
    assert lab.course_folder(tmp_path) == folder("notebooks")
    assert not any(tmp_path.iterdir())


def test_from_an_installed_package_they_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "_notebooks"
    (package / "images").mkdir(parents=True)
    (package / "text").mkdir()
    for name in ("05-shares.ipynb", "images/one.png", "text/05-shares.md"):
        (package / name).write_text("new")
    monkeypatch.setattr(lab, "folder", lambda _: package)
    target = lab.course_folder(tmp_path)
    assert target == tmp_path / "virtlab-course"
    files = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert files == {"05-shares.ipynb", "images/one.png"}


def test_a_student_s_work_is_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, target = tmp_path / "_notebooks", tmp_path / "work"
    package.mkdir()
    target.mkdir()
    for name in ("05-shares.ipynb", "08-page-sharing.ipynb"):
        (package / name).write_text("new")
    (target / "05-shares.ipynb").write_text("my answers")
    monkeypatch.setattr(lab, "folder", lambda _: package)
    assert lab.copy_course(target) == (Path("08-page-sharing.ipynb"),)
    assert (target / "05-shares.ipynb").read_text() == "my answers"


def test_the_map_is_opened_first_and_options_are_passed_on() -> None:
    line = lab.command(folder("notebooks"), "", "--no-browser", "--port=9000")
    assert line[0] == sys.executable
    assert "--LabApp.default_url=/lab/tree/00-the-talk.ipynb" in line
    assert line[-2:] == ["--no-browser", "--port=9000"]


def test_a_chapter_is_opened_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "05-shares.ipynb").touch()
    for name in ("5", "05", "shares"):
        assert "--LabApp.default_url=/lab/tree/05-shares.ipynb" in lab.command(tmp_path, name)


def test_a_chapter_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="one of 00-the-talk"):
        lab.command(tmp_path, "99")
    with pytest.raises(FileNotFoundError, match="not built yet"):
        lab.command(tmp_path, "13")


def test_without_jupyterlab_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"python3 start\.py"):
        lab.command(tmp_path)


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_root_is_let_in(
    user: int, *, allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    assert ("--allow-root" in lab.command(tmp_path)) == allowed
