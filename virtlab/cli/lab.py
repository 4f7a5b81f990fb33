"""`virtlab lab` opens JupyterLab on the course, `virtlab present` a chapter on a projector."""

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
    """Add both commands.

    Parameters
    ----------
    app
        The `virtlab` command.

    Examples
    --------
    >>> app = typer.Typer()
    >>> register(app)
    >>> [command.name for command in app.registered_commands]
    ['lab', 'present']
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

    @app.command("present", context_settings=_PASS_ON)
    def present(
        context: typer.Context,
        chapter: Annotated[str, typer.Argument(help="Its name, number or topic: shares.")],
    ) -> None:
        """Show a chapter as a page, without code and solutions; other options go to Voila."""
        from virtlab.course import present as voila
        from virtlab.course.lab import course_folder
        from virtlab.course.talk import the_talk

        notebook = course_folder(Path.cwd()) / f"{the_talk().chapter(chapter).name}.ipynb"
        line = voila.command(notebook, *context.args)
        typer.echo(f"{notebook.stem} as a page. Ctrl-C ends it.")
        raise typer.Exit(_become(line, voila.environment()))
