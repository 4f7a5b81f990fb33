"""`virtlab test`: run the project's tests, where the project's tree is."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import typer

__all__ = ["register"]

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def _script() -> Path:
    """Return the script that runs the tests, or stop with a sentence."""
    script = Path(__file__).resolve().parents[2] / "tests" / "run_all.py"
    if not script.is_file():
        raise FileNotFoundError("the tests are in the project's tree, not in an installed package")
    if importlib.util.find_spec("pytest") is None:
        raise FileNotFoundError("what the tests need is not installed: python3 start.py test")
    return script


def register(app: typer.Typer) -> None:
    """Add the command.

    Parameters
    ----------
    app
        The `virtlab` command.

    Examples
    --------
    >>> app = typer.Typer()
    >>> register(app)
    >>> [command.name for command in app.registered_commands]
    ['test']
    """

    @app.command("test", context_settings={**_PASS_ON, "help_option_names": []})
    def test(context: typer.Context) -> None:
        """Run all tests: style, types, layers, units, notebooks, browser (--help lists options)."""
        done = subprocess.run([sys.executable, str(_script()), *context.args], check=False)  # noqa: S603 - our own script
        raise typer.Exit(done.returncode)
