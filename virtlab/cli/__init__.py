"""The `virtlab` command, one module a topic.

A topic module has `register(app)`, which adds its commands. Bad input ends in one line on
standard error and exit status 2; Ctrl-C in status 130.
"""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

from virtlab import __version__
from virtlab.validate import InvalidInputError

__all__ = ["app", "main"]

# In the order in which `virtlab --help` lists them: the course, then the models in the talk's.
_TOPICS: tuple[str, ...] = (
    *("lab", "chapters", "questions", "test", "doctor"),
    *("architectures", "shares", "cpu", "guest", "theorem", "memory", "pages"),
    *("migrate", "migrate_sweep", "migrate_lab", "migrate_film", "hot_migration"),
)

app = typer.Typer(
    name="virtlab",
    help="A course that teaches virtualization by letting you run it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"virtlab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version."),
    ] = False,
) -> None:
    """Keep the commands named, even while there is only one."""


for _topic in _TOPICS:
    importlib.import_module(f"virtlab.cli.{_topic}").register(app)


def main() -> None:
    """Run the command, and say in one line what was wrong with the input.

    Examples
    --------
    >>> main.__name__
    'main'
    """
    try:
        app()
    except (InvalidInputError, FileNotFoundError, PermissionError) as error:
        print(f"virtlab: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
