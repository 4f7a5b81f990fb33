"""`virtlab architectures`: a packet's way through each architecture, and its cost (S8-S10)."""

from __future__ import annotations

import json
import math
from typing import Annotated

import typer

from virtlab.cli.output import Seed, show

__all__ = ["architectures", "register"]


def architectures(
    architecture: Annotated[
        str, typer.Argument(metavar="NAME", help="native, hosted, system or dedicated.")
    ] = "hosted",
    *,
    packet_bytes: Annotated[float, typer.Option(help="Of a packet, with headers.")] = 1520,
    packets_per_s: Annotated[
        float, typer.Option(help="Asked for; as many as go if not given.", show_default=False)
    ] = math.inf,
    cpu_mhz: Annotated[float, typer.Option(help="Clock; the paper's processor has 733.")] = 733,
    world_switch_us: Annotated[float, typer.Option(help="One way, at 733 MHz.")] = 4.45,
    ports_in_monitor: Annotated[
        bool, typer.Option("--ports-in-monitor", help="Access what sends nothing in the monitor.")
    ] = False,
    batch: Annotated[float, typer.Option(help="Packets that share a world switch.")] = 1.0,
    notified: Annotated[
        bool, typer.Option("--notified", help="Hear of interrupts by shared memory.")
    ] = False,
    published: Annotated[
        bool, typer.Option("--published", help="Hold the model against its paper instead.")
    ] = False,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send packets through an architecture: each step's time, the throughput, what is idle."""
    from virtlab.machine.architectures import IoLoad, held_against, run_io

    del seed  # the same load gives the same
    if published:
        rows = held_against()
        if as_json:
            names = ("name", "unit", "published", "ours")
            typer.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
            return
        for name, unit, theirs, ours in rows:
            typer.echo(f"{name:<36}{theirs:>7g} {unit:<5} ours {ours:.1f}")
        return
    load = IoLoad(
        architecture,
        packet_bytes,
        packets_per_s,
        cpu_mhz,
        world_switch_us,
        ports_in_monitor,
        batch,
        notified,
    )
    show(run_io(load), as_json=as_json)


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
    app.command()(architectures)
