"""`virtlab theorem`: may an instruction set be virtualized by traps? (S17)."""

from __future__ import annotations

from typing import Annotated

import typer

from virtlab.cli.output import Seed, show

__all__ = ["register", "run"]

_SETS = "i386, fixed-i386, third-generation, jrst, open-mode or open-lra."


def run(
    *,
    name: Annotated[str, typer.Option("--set", metavar="NAME", help=_SETS)] = "i386",
    counterexample: Annotated[
        bool, typer.Option(help="Look for a program that can tell the monitor (small sets).")
    ] = False,
    hybrid: Annotated[
        bool, typer.Option(help="With --counterexample: under the hybrid monitor.")
    ] = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="How often the small kernel would trap on the i386.")
    ] = False,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Apply Popek and Goldberg's theorem: each instruction is run, and said what it is."""
    del seed
    if cost:
        from virtlab.machine.theorem.cost import trap_cost

        show(trap_cost(), as_json=as_json)
        return
    from virtlab.machine.theorem import NAMES, theorem
    from virtlab.machine.theorem.equivalence import counterexample as look
    from virtlab.machine.theorem.instructions import SETS
    from virtlab.validate import one_of

    if not counterexample:
        show(theorem(one_of("--set", name, NAMES)), as_json=as_json)
        return
    monitor = "hybrid" if hybrid else "monitor"
    found = look(one_of("--set", name, tuple(SETS)), monitor)
    if found is not None:
        show(found, as_json=as_json)
    elif as_json:
        typer.echo("null")
    else:
        typer.echo("No program of one or two instructions can tell.")


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
    app.command(name="theorem")(run)
