"""`virtlab guest ways`: one kernel natively, by trap and emulate, and patched (S17)."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command runs
from typing import TYPE_CHECKING, Annotated

import typer

from virtlab.cli.output import Seed, show
from virtlab.validate import integer

if TYPE_CHECKING:
    from virtlab.machine.vmm.ways import Ways

__all__ = ["ways"]

_SHOWN = 6  # lines


def ways(
    *,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE.elf]", help="A kernel for i386; the small one if not given."),
    ] = None,
    ram_mib: Annotated[int, typer.Option(help="Memory, 1 to 3072 MiB.")] = 2,
    max_instructions: Annotated[int, typer.Option(help="Stop each run after so many.")] = 400_000,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a kernel in three ways: at ring 0, at ring 1 by trap and emulate, and patched.

    Tells which instruction breaks it at ring 1, why the VMM was entered, and where what the kernel
    says is something else.
    """
    from virtlab.machine.vmm.ways import run_ways

    del seed  # the same program does the same each time
    integer("--ram-mib", ram_mib, minimum=1, maximum=3072)
    integer("--max-instructions", max_instructions, minimum=1)
    done = run_ways(file, ram_mib=ram_mib, max_instructions=max_instructions, progress=True)
    show(done, as_json=as_json)
    if not as_json:
        _details(done)


def _details(done: Ways) -> None:
    """Print the instruction, the reasons, and the lines that differ."""
    wrong, differs = done.divergence, done.first_line("deprivileged")
    if wrong is not None:
        typer.echo(f"\n{wrong.explain()}")
    typer.echo(f"\n{done.traps_frame().to_string(index=False)}")
    if differs is None:
        return
    lines = done.lines_frame()[differs[0] : differs[0] + _SHOWN]
    for row, (native, here) in enumerate(
        zip(lines["native"], lines["deprivileged"], strict=True), start=differs[0] + 1
    ):
        typer.echo(f"\nline {row}, native:       {native}\nline {row}, deprivileged: {here}")
