"""`virtlab chapters`: the talk's map, as a table or as JSON."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from virtlab.cli.output import show

__all__ = ["register"]


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
    ['chapters']
    """

    @app.command("chapters")
    def chapters(
        *,
        slides: Annotated[bool, typer.Option("--slides", help="A row for each slide.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    ) -> None:
        """List the chapters, the slides each teaches, and what is built so far."""
        from virtlab.course.talk import the_talk
        from virtlab.results import plain

        talk = the_talk()
        frame = talk.chapters_frame()
        if as_json:
            rows = plain(frame.to_dict(orient="records"))
            typer.echo(json.dumps({**talk.to_json(), "chapters": rows}, ensure_ascii=False))
        elif slides:
            show(talk, as_json=False)
        else:
            typer.echo(frame.to_string(index=False))
            typer.echo(f"\n{talk.explain()}")
