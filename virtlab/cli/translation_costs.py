"""`virtlab translation-costs`: what translation costs, and what VT-x costs (S18)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from virtlab.cli.output import Seed, show

if TYPE_CHECKING:
    from virtlab.machine.translation_costs.parts import CostFit

__all__ = ["register", "run"]

_WHATS = ("table", "fork", "boot", "core", "load")


def run(
    what: Annotated[
        str,
        typer.Argument(help="The fitted table, what a fork does, a check (boot, core), or a load."),
    ] = "table",
    *,
    part: Annotated[
        list[str] | None,
        typer.Option("--part", metavar="NAME=CYCLES", help="Set a part by hand, again and again."),
    ] = None,
    syscalls: Annotated[float, typer.Option(help="A second, for 'load'.")] = 0.0,
    page_faults: Annotated[float, typer.Option(help="That the guest sees.")] = 0.0,
    hidden_faults: Annotated[float, typer.Option(help="Of shadow page tables.")] = 0.0,
    pte_writes: Annotated[float, typer.Option(help="Into page tables.")] = 0.0,
    address_spaces: Annotated[float, typer.Option(help="Changes of address space.")] = 0.0,
    ins: Annotated[float, typer.Option(help="`in` from a port.")] = 0.0,
    call_rets: Annotated[float, typer.Option(help="Calls and returns in the kernel.")] = 0.0,
    processor: Annotated[str, typer.Option(help="For 'load'.")] = "Pentium 4 672",
    rest: Annotated[
        str, typer.Option(help="The work at an exit 'stays', or shrinks 'in proportion'.")
    ] = "stays",
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Explain the costs of Adams and Agesen by a few parts, fitted, and use them."""
    del seed
    from virtlab.machine import translation_costs as costs
    from virtlab.validate import one_of

    fit = _fit(part or [])
    one_of("what", what, _WHATS)
    if what == "table":
        show(fit, as_json=as_json)
    elif what == "fork":
        show(costs.fork_events(fit), as_json=as_json)
    elif what == "boot":
        show(costs.boot_check(fit), as_json=as_json)
    elif what == "core":
        show(costs.core_check(costs.fork_events(fit)), as_json=as_json)
    else:
        load = costs.Load(
            syscalls, page_faults, hidden_faults, pte_writes, address_spaces, ins, call_rets
        )
        show(costs.slowdown(load, processor, rest, fit), as_json=as_json)


def _fit(given: list[str]) -> CostFit:
    """Fit the parts that were not given."""
    from virtlab.machine.translation_costs import fit_costs
    from virtlab.validate import InvalidInputError

    by_hand = {}
    for one in given:
        name, _, cycles = one.partition("=")
        try:
            by_hand[name] = float(cycles)
        except ValueError:
            raise InvalidInputError("--part", one, "a part and its cycles: switch=2000") from None
    return fit_costs(**by_hand)


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
    app.command(name="translation-costs")(run)
