"""JupyterLab on the course: its folder, its settings, its command.

The settings travel in `virtlab/course/jupyter`, as defaults below the reader's own: nothing is
asked of another machine (no news, no update check, no extension manager), and a notebook is laid
out whole (`windowingMode` none), so that a widget further down is there before one scrolls to it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from virtlab.course.talk import the_talk
from virtlab.datasets import folder

__all__ = ["command", "copy_course", "course_folder", "environment", "settings_folder"]

_IN_PACKAGE = "_notebooks"
_LEFT_OUT = shutil.ignore_patterns("text", ".*", "__pycache__")


def settings_folder() -> Path:
    """Return the folder with the course's settings for Jupyter.

    Returns
    -------
    pathlib.Path
        What `JUPYTER_CONFIG_PATH` has to name; `binder/postBuild` copies it.

    Examples
    --------
    >>> (settings_folder() / "labconfig" / "default_setting_overrides.json").is_file()
    True
    """
    return Path(__file__).with_name("jupyter")


def environment() -> dict[str, str]:
    """Return the environment variables that JupyterLab and Voila are started with.

    Returns
    -------
    dict
        This process's, with the course's settings first and this Python's own kernel.

    Examples
    --------
    >>> environment()["JUPYTER_PREFER_ENV_PATH"]
    '1'
    """
    paths = [str(settings_folder()), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    return {
        **os.environ,
        "JUPYTER_CONFIG_PATH": os.pathsep.join(path for path in paths if path),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


def copy_course(target: Path) -> tuple[Path, ...]:
    """Copy the notebooks to where they can be worked on; what is there stays as it is.

    Parameters
    ----------
    target
        The folder to copy to; made if missing.

    Returns
    -------
    tuple of pathlib.Path
        The files that were added, relative to `target`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     first, second = copy_course(Path(name)), copy_course(Path(name))
    >>> len(first) > 0, second
    (True, ())
    """
    added: list[Path] = []

    def copy_if_missing(source: str, destination: str) -> str:
        if not Path(destination).exists():
            shutil.copy(source, destination)
            added.append(Path(destination).relative_to(target))
        return destination

    shutil.copytree(
        folder("notebooks"),
        target,
        ignore=_LEFT_OUT,
        copy_function=copy_if_missing,
        dirs_exist_ok=True,
    )
    return tuple(sorted(added))


def course_folder(here: Path) -> Path:
    """Return the folder that JupyterLab opens.

    Parameters
    ----------
    here
        The folder to put a copy in, where the package is installed without its tree.

    Returns
    -------
    pathlib.Path
        The checkout's `notebooks`; or `virtlab-course` in `here`, with what was missing copied.

    Examples
    --------
    >>> course_folder(Path("/tmp")).name in {"notebooks", "virtlab-course"}
    True
    """
    notebooks = folder("notebooks")
    if notebooks.name != _IN_PACKAGE:
        return notebooks
    target = here / "virtlab-course"
    copy_course(target)
    return target


def command(notebooks: Path, chapter: str = "", *options: str) -> list[str]:
    """Return the command that opens JupyterLab.

    Parameters
    ----------
    notebooks
        The folder to open.
    chapter
        Which chapter to open first: number, name or topic; the map when ''.
    options
        Passed on to JupyterLab.

    Returns
    -------
    list of str
        Program and arguments.

    Raises
    ------
    InvalidInputError
        If there is no such chapter.
    FileNotFoundError
        If JupyterLab is not installed, or the chapter is not built yet.

    Examples
    --------
    >>> command(course_folder(Path("/tmp")), "", "--no-browser")[1:3]
    ['-m', 'jupyterlab']
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise FileNotFoundError(
            "JupyterLab is not installed here: 'python3 start.py' in the project's folder "
            "installs it, and so does pip install '.[lab]'"
        )
    name = the_talk().chapter(chapter or "0").name
    if chapter and not (notebooks / f"{name}.ipynb").is_file():
        raise FileNotFoundError(f"chapter {name} is not built yet: 'virtlab chapters' lists all")
    # A container's only user is often root; the server listens on this machine alone.
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={notebooks}",
        f"--LabApp.default_url=/lab/tree/{name}.ipynb",
        *(["--allow-root"] if is_root else []),
        *options,
    ]
