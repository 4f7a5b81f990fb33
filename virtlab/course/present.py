"""A chapter as a page to present: its text, figures and widgets, without its code.

Voila serves it on this machine alone. Its own template asks a CDN for icons; the template in
`virtlab/course/voila` does not. Cells tagged 'solution' are left out.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from virtlab.course import lab

__all__ = ["command", "environment"]
# What widgets need on Voila's page; extensions made for editing notebooks stumble over it.
_EXTENSIONS = (
    "@jupyter-widgets/jupyterlab-manager",
    "@voila-dashboards/widgets-manager8",
    "anywidget",
)

# A page that is left says so, but not one whose laptop is closed: its kernel would go on, with all
# that its chapter has computed. Who comes back within ten minutes finds it.
_ENDS_IT = {
    "--MappingKernelManager.cull_idle_timeout": 600,
    "--MappingKernelManager.cull_interval": 60,
}


def environment() -> dict[str, str]:
    """Return the environment variables that Voila is started with.

    Returns
    -------
    dict
        Those of JupyterLab, and where our template is.

    Examples
    --------
    >>> environment()["JUPYTER_PATH"].split(os.pathsep)[0] == str(Path(__file__).parent)
    True
    """
    variables = lab.environment()
    paths = [str(Path(__file__).parent), variables.get("JUPYTER_PATH", "")]
    return {**variables, "JUPYTER_PATH": os.pathsep.join(path for path in paths if path)}


def command(notebook: Path, *options: str) -> list[str]:
    """Return the command that presents a notebook.

    Parameters
    ----------
    notebook
        The chapter's notebook.
    options
        Passed on to Voila.

    Returns
    -------
    list of str
        Program and arguments.

    Raises
    ------
    FileNotFoundError
        If Voila is not installed, or the notebook is not there.

    Examples
    --------
    >>> from virtlab.datasets import folder
    >>> command(folder("notebooks") / "00-the-talk.ipynb", "--no-browser")[1:3]
    ['-m', 'voila']
    """
    if importlib.util.find_spec("voila") is None:
        raise FileNotFoundError(
            "Voila is not installed here: 'python3 start.py' in the project's folder "
            "installs it, and so does pip install '.[lab]'"
        )
    if not notebook.is_file():
        raise FileNotFoundError(f"no notebook {notebook}")
    given = {option.partition("=")[0] for option in options}  # Voila refuses one that comes twice
    return [
        *(sys.executable, "-m", "voila", str(notebook)),
        "--template=virtlab",
        "--TagRemovePreprocessor.enabled=True",
        "--TagRemovePreprocessor.remove_cell_tags=solution",
        "--Voila.ip=127.0.0.1",
        *(f"{name}={value}" for name, value in _ENDS_IT.items() if name not in given),
        *(f"--VoilaConfiguration.extension_allowlist={name}" for name in _EXTENSIONS),
        *options,
    ]
