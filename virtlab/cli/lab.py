"""`virtlab lab`: open JupyterLab on the course."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def _become(command: list[str], environment: dict[str, str]) -> int:
    """Become the command, so that Ctrl-C reaches it; on Windows, run it."""
    if os.name == "nt":
        return subprocess.call(command, env=environment)  # noqa: S603 - our own command
    return os.execve(command[0], command, environment)  # noqa: S606 - no shell is wanted


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
    ['lab']
    """

    @app.command("lab", context_settings=_PASS_ON)
    def lab(
        context: typer.Context,
        chapter: Annotated[
            str, typer.Option("--chapter", "-c", help="Open this one first: number or topic.")
        ] = "",
    ) -> None:
        """Open JupyterLab on the course; what else you write goes to JupyterLab (--port 9000)."""
        from virtlab.course.lab import command, course_folder, environment

        notebooks = course_folder(Path.cwd())
        line = command(notebooks, chapter, *context.args)
        typer.echo(f"The course is in {notebooks}. Ctrl-C twice ends JupyterLab.")
        raise typer.Exit(_become(line, environment()))
