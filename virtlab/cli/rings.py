"""`virtlab rings`: what instructions do at each ring, found by running them (S17)."""

from __future__ import annotations

from typing import Annotated

import typer

from virtlab.cli.output import Seed, show
from virtlab.validate import InvalidInputError, integer

__all__ = ["find_probe", "register", "rings"]


def rings(
    instruction: Annotated[
        str | None,
        typer.Argument(help="One of them, such as popf or 'mov to cr0'.", show_default=False),
    ] = None,
    *,
    ring: Annotated[
        int | None,
        typer.Option(help="With INSTRUCTION: the ring, 0 to 3 [3].", show_default=False),
    ] = None,
    iopl: Annotated[int, typer.Option(help="Ring that may use ports and IF, 0 to 3.")] = 0,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run each instruction at each ring: works, traps, or silently does something else.

    With INSTRUCTION, tell what that one changes at one ring, beside ring 0.

    For instance: virtlab rings popf --ring 1
    """
    del seed
    from virtlab.machine.ring_choice import choose, small_table

    integer("--iopl", iopl, minimum=0, maximum=3)
    if instruction is None:
        if ring is not None:
            raise InvalidInputError("--ring", ring, "given with an INSTRUCTION alone")
        show(small_table(iopl), as_json=as_json)
        return
    where = integer("--ring", 3 if ring is None else ring, minimum=0, maximum=3)
    show(choose(find_probe(instruction), where, iopl), as_json=as_json)


def find_probe(words: str) -> str:
    """Return the name of the probe that someone means.

    Parameters
    ----------
    words
        Its name, or a mnemonic, of which the first probe is taken; in capitals or not.

    Returns
    -------
    str
        The name.

    Raises
    ------
    InvalidInputError
        If there is none such.

    Examples
    --------
    >>> find_probe("POPF"), find_probe("lar"), find_probe("mov to cr0")
    ('popf', 'lar kernel', 'mov to cr0')
    """
    from virtlab.machine.probes import PROBES

    wanted = words.strip().lower()
    for probe in PROBES:
        if wanted == probe.name:
            return probe.name
    for probe in PROBES:
        if wanted == probe.mnemonic.lower():
            return probe.name
    names = ", ".join(probe.name for probe in PROBES)
    raise InvalidInputError("INSTRUCTION", words, f"one of {names}")


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
    app.command()(rings)
