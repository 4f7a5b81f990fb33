"""`virtlab translation-cache`: a guest's run as its translation cache sees it (S18)."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from virtlab.cli.output import Seed, show

__all__ = ["register", "run"]


def run(
    program: Annotated[
        str, typer.Argument(help="'itself' (changes its own code), 'kernel', or a guest program.")
    ] = "itself",
    *,
    limit: Annotated[int, typer.Option(help="Units that the cache holds, 4 to 4096.")] = 64,
    policy: Annotated[
        str, typer.Option(help="When it is full: flush_all, oldest or least_used.")
    ] = "flush_all",
    instructions: Annotated[int, typer.Option(help="How long, 1 to 200000.")] = 12_000,
    events: Annotated[bool, typer.Option("--events", help="With --json: each event too.")] = False,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a guest, and list its translation units: made, entered, evicted, invalidated."""
    del seed
    from virtlab.machine.translation.cache_log import record_cache

    log = record_cache(program, limit, policy, instructions)
    if as_json and events:
        typer.echo(json.dumps({**log.to_json(), "events": [one._asdict() for one in log.events]}))
    else:
        show(log, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the command.

    Parameters
    ----------
    app
        The `virtlab` command.

    Examples
    --------
    >>> register(typer.Typer())
    """
    app.command(name="translation-cache")(run)
