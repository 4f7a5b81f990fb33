"""`virtlab hot-migrate`: move a running database server, while clients use it (S46)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from virtlab.cli.output import show
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.migration.live.setup import Fault

__all__ = ["hot_migrate", "register"]


def hot_migrate(
    *,
    clients: Annotated[int, typer.Option(help="How many, each with its own connection.")] = 4,
    seconds: Annotated[float, typer.Option(help="For how long they work.")] = 5.0,
    algorithm: Annotated[
        str, typer.Option(help="precopy, stop, deck (the talk's steps) or postcopy.")
    ] = "precopy",
    archive_mib: Annotated[float, typer.Option(help="Memory that nobody changes, MiB.")] = 24.0,
    accounts: Annotated[int, typer.Option(help="What changes: nine accounts on a page.")] = 6000,
    think_ms: Annotated[float, typer.Option(help="From one request to the next, ms.")] = 2.0,
    link_mib_s: Annotated[
        float, typer.Option(help="Bandwidth between the hosts; 0 for all there is.")
    ] = 64.0,
    downtime_limit_ms: Annotated[
        float, typer.Option(help="Pre-copy stops when what is left takes no longer.")
    ] = 10.0,
    kill: Annotated[
        str,
        typer.Option(
            metavar="HOST:STEP",
            help="Kill a host at a step, for instance target:claimed.",
            show_default=False,
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Of the contents and of what the clients ask.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Move a running SQLite server to another process; say what its clients saw, and audit it.

    The numbers of milliseconds are measured, and differ from run to run.
    """
    from virtlab.migration.hot_migration import hot_migration
    from virtlab.migration.live.setup import LiveSetup

    setup = LiveSetup(
        clients=clients,
        seconds=seconds,
        archive_mib=archive_mib,
        accounts=accounts,
        think_ms=think_ms,
        link_mib_s=link_mib_s,
        downtime_limit_ms=downtime_limit_ms,
    )
    show(hot_migration(setup, algorithm, seed=seed, fault=_fault(kill)), as_json=json)


def _fault(text: str) -> Fault | None:
    """Read HOST:STEP; a step's words may be joined by '-'."""
    from virtlab.migration.live.setup import Fault

    if not text:
        return None
    host, colon, step = text.partition(":")
    if not colon:
        raise InvalidInputError("--kill", text, "a host and a step, as in target:claimed")
    return Fault(host, step.replace("-", " "))


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
    app.command()(hot_migrate)
