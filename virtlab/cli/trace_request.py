"""`virtlab trace-request`: follow one disk request through the layers (S15)."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command runs
from typing import Annotated

import typer

from virtlab.cli.output import Seed  # noqa: TC001 - typer reads the annotations

__all__ = ["register", "trace"]


def trace(
    *,
    layers: Annotated[
        str, typer.Option(help="What the guest sees: 'ata', 'own', or 'native' (no layers).")
    ] = "ata",
    sectors: Annotated[int, typer.Option(help="Of the request, 1 to 16.")] = 1,
    vms: Annotated[int, typer.Option(help="VMs on the host, 1 to 4.")] = 1,
    shares: Annotated[float, typer.Option(help="Of VM1; each other VM has 1000.")] = 1000.0,
    outstanding: Annotated[int, typer.Option(help="Requests that each other VM has waiting.")] = 2,
    lba: Annotated[int, typer.Option(help="First sector, on VM1's disk.")] = 8,
    disk: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The real disk, not changed: 2 MiB or more for each VM."),
    ] = None,
    acts: Annotated[bool, typer.Option("--acts", help="Every act, not drawn together.")] = False,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Follow one disk request: program, guest kernel, vmm, VMkernel, disk, and back.

    A real guest runs: its driver's `in` and `out` trap, and its program says a checksum of the
    bytes that came back.
    """
    from virtlab.machine.esx.acts import LAYERS
    from virtlab.machine.esx.physical import PhysicalDisk
    from virtlab.machine.esx.request import RequestSetup, trace_request

    setup = RequestSetup(layers, sectors, vms, shares, outstanding, lba, seed)
    if disk is None:
        found = trace_request(setup)
    else:
        with disk.open("rb") as file:
            found = trace_request(setup, PhysicalDisk(file))
    if as_json:
        rows = found.acts_frame().to_dict(orient="records") if acts else found.to_json()["rows"]
        typer.echo(json.dumps({**found.to_json(), "says": found.text, "rows": rows}))
        return
    if not acts:
        for arrow in found.arrows:
            way = f"{LAYERS[arrow.source]} -> {LAYERS[arrow.target]}"
            typer.echo(f"{arrow.number:3}  {way:28}  {found.say(arrow.number)}")
        typer.echo(f"\n{found.explain()}\nThe guest says: {found.text}", nl=False)
        return
    for act in found.acts:
        way = f"{LAYERS[act.source]} -> {LAYERS[act.target]}"
        typer.echo(f"{act.number:4}  {act.start_us:12.2f} µs  {way:28}  {act.what}")


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
    app.command("trace-request")(trace)
