"""`virtlab pages`: what page sharing would save among real processes (S27)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from virtlab.cli.output import show
from virtlab.validate import InvalidInputError, one_of

if TYPE_CHECKING:
    from virtlab.memory.ksm.check import KsmCheck
    from virtlab.memory.live.process_savings import ProcessSavings

__all__ = ["pages", "register"]

_ASLR = {"both": None, "random": True, "fixed": False}
_TABLES = ("total", "process", "kind")


def pages(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PID]... | -- COMMAND [ARGS]...",
            help="Processes that run, or with --copies a program to start.",
            show_default=False,
        ),
    ] = None,
    *,
    copies: Annotated[
        int | None,
        typer.Option(
            "--copies", "-n", metavar="N", help="Start N copies of COMMAND, and stop them."
        ),
    ] = None,
    addresses: Annotated[
        str, typer.Option(help="Of the copies: random, fixed, or both, one after the other.")
    ] = "both",
    settle: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Stop the copies after this time; else when they are at rest, 10 s at most.",
            show_default=False,
        ),
    ] = None,
    stop: Annotated[
        bool, typer.Option("--stop", help="Stop the running processes while they are read.")
    ] = False,
    by: Annotated[str, typer.Option(help="Rows of the table: total, process or kind.")] = "total",
    ksm: Annotated[
        bool,
        typer.Option(
            "--ksm",
            help="Also ask the kernel's KSM. Changes a setting of the system while it runs (root).",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the bytes that --ksm writes.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count equal pages in the memory of processes, and what sharing them would save.

    Without a process or a program, stored pages are counted: two copies each of seven programs.

    All pages: each process in a VM of its own. Private pages: all in one Linux, which keeps the
    pages of a file once anyway.

    Saved are: zero, pages of zeros but one; within, further copies in one process; across, further
    processes that have the same page.

    Addresses and other random numbers in a page make it differ: try PYTHONHASHSEED=0 with Python.
    """
    one_of("addresses", addresses, tuple(_ASLR))
    one_of("by", by, _TABLES)
    found = _look(what or [], copies, addresses, settle, stop=stop)
    check = _ask(found, seed) if ksm else None
    if as_json:
        asked = {} if check is None else {"ksm": check.to_json()}
        typer.echo(json.dumps(found.to_json() | asked, ensure_ascii=False))
        return
    if by == "total":
        show(found, as_json=False)
    else:
        frame = found.by_process() if by == "process" else found.by_kind()
        typer.echo(frame.to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    if check is not None:
        typer.echo("")
        show(check, as_json=False)


def _look(
    what: list[str], copies: int | None, addresses: str, settle: float | None, *, stop: bool
) -> ProcessSavings:
    from virtlab.memory.live import processes
    from virtlab.memory.live.procfs import why_not

    if why_not():
        return processes.measured(f"No process was looked at: {why_not()}.")
    if copies is not None:
        if not what:
            raise InvalidInputError("--copies", copies, "followed by -- COMMAND")
        return processes.copies(what, copies, aslr=_ASLR[addresses], settle_s=settle)
    if not what:
        return processes.measured()
    for word in what:
        if not word.isdecimal():
            wanted = "the number of a process; to start a program: --copies 2 -- COMMAND"
            raise InvalidInputError("PID", word, wanted)
    return processes.running([int(word) for word in what], stop=stop)


def _ask(found: ProcessSavings, seed: int) -> KsmCheck:
    """Let KSM merge pages that are equal where those that were counted are."""
    from virtlab.memory.ksm.asking import ask_ksm
    from virtlab.memory.ksm.check import KsmCheck

    return KsmCheck(
        tuple(
            ask_ksm(pages["content"].to_numpy(), group, seed=seed)
            for group, pages in found.groups.items()
        )
    )


def register(app: typer.Typer) -> None:
    """Add `virtlab pages`.

    Parameters
    ----------
    app
        The command.

    Examples
    --------
    >>> import typer
    >>> app = typer.Typer()
    >>> register(app)
    >>> [command.name for command in app.registered_commands]
    ['pages']
    """
    app.command("pages")(pages)
