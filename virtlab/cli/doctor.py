"""`virtlab doctor`: what is here, what is missing, and what to do about it."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from virtlab.course.doctor import Finding

__all__ = ["register"]

_SIGNS = {"ok": "ok    ", "note": "note  ", "broken": "BROKEN"}


def _lines(finding: Finding) -> str:
    """Return one finding as lines that fit a terminal."""
    text = f"{finding.about}: {finding.says} {finding.advice}".strip()
    return textwrap.fill(
        text, 96, initial_indent=f"{_SIGNS[finding.state]}  ", subsequent_indent=" " * 8
    )


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
    ['doctor']
    """

    @app.command("doctor")
    def doctor(
        *, as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False
    ) -> None:
        """Say whether the course will work here, and what to do where it won't."""
        from virtlab.course.doctor import examine

        health = examine()
        if as_json:
            typer.echo(json.dumps(health.to_json(), ensure_ascii=False))
        else:
            for finding in health.findings:
                typer.echo(_lines(finding))
            typer.echo(f"\n{health.explain()}")
        raise typer.Exit(1 if health.broken else 0)
