"""`virtlab migrate-lab`: real migrations on your own machine (S39 to S45)."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer

from virtlab.cli.output import show
from virtlab.validate import one_of

__all__ = ["migrate_lab", "register"]


def migrate_lab(
    *,
    cells: Annotated[str, typer.Option(help="small (6 runs), full (60), or odd (24).")] = "small",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Keep each run there as soon as it is over; runs that are there are not repeated.",
            show_default=False,
        ),
    ] = None,
    accelerator: Annotated[
        str, typer.Option(help="kvm, tcg, or auto: KVM if our guest comes up with it.")
    ] = "tcg",
    attempts: Annotated[
        int, typer.Option(metavar="N", help="Try a run again while the machine is busy.")
    ] = 1,
    stored: Annotated[
        bool, typer.Option("--stored", help="Show the 84 runs measured for this course; no QEMU.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the guests' chance.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Migrate a small guest of our own by a real QEMU: measured beside predicted.

    Compared are time, bytes, pause (as QEMU counts it), rounds, and whether it converges.

    It takes qemu-system-x86_64, 1 GiB of free memory, and no privilege. Both machines and the link
    are on this computer. Close what is busy: a run on a busy machine is marked and does not count.
    """
    from virtlab.migration.lab.cells import grid
    from virtlab.migration.lab.lab import run_lab
    from virtlab.migration.lab.machine import ACCELERATORS, LabError
    from virtlab.migration.lab.predicted import predict_records, stored_run

    one_of("accelerator", accelerator, ACCELERATORS)
    if stored:
        show(stored_run(), as_json=as_json)
        return
    try:
        run = run_lab(
            grid(cells),
            out=out,
            accelerator=accelerator,
            seed=seed,
            attempts=attempts,
            predict=predict_records,
        )
    except LabError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    show(run, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add `virtlab migrate-lab`.

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
    ['migrate-lab']
    """
    app.command("migrate-lab")(migrate_lab)
