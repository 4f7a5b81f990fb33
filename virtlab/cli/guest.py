"""`virtlab guest`: run a real i386 program in the guest computer, or in all ways (S5-S7, S16)."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command runs
from typing import TYPE_CHECKING, Annotated

import typer

from virtlab.cli.guest_listing import disassemble
from virtlab.cli.guest_ways import ways
from virtlab.cli.output import Seed, show
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from virtlab.machine.guest_run import GuestRun

__all__ = ["compare", "register", "run"]

_STATUS = {"exit": 0, "halted": 0, "interrupted": 130}
_DISK_LIMIT_MIB = 64


def run(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE.elf", help="A program for i386.")],
    ram_mib: Annotated[int, typer.Option(help="Memory, 1 to 3072 MiB.")] = 16,
    max_instructions: Annotated[int, typer.Option(help="Stop after so many.")] = 10_000_000,
    disk: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Contents of its disk, not changed.")
    ] = None,
    tier: Annotated[
        str,
        typer.Option(
            help="'interpreter'; or translated, and faster: 'python' (50 times), 'wasm', 'llvm'."
        ),
    ] = "interpreter",
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a program in the guest computer: what it says, how it ends, what traps.

    Ctrl-C stops it, and what it did so far is told. The status is 0 if the guest has ended by
    itself or halted, 1 if not, 130 after Ctrl-C.
    """
    del seed  # the same program does the same each time
    done = _run(file, ram_mib, max_instructions, disk, tier)
    if as_json:
        typer.echo(json.dumps(done.to_json(), ensure_ascii=False))
    else:
        typer.echo(done.text, nl=not done.text.endswith("\n"))
        if done.traps:
            show(done, as_json=False)
        else:
            typer.echo(f"\n{done.explain()}")
    raise typer.Exit(_STATUS.get(done.ended, 1))


def compare(
    program: Annotated[str, typer.Argument(help="isprime, sieve, crc32, fibonacci ...")] = "sieve",
    *,
    turns: Annotated[int, typer.Option(help="How often each way runs, in turns.")] = 3,
    stored: Annotated[
        bool, typer.Option("--stored", help="Show what was measured for the course.")
    ] = False,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a program natively, directly under a monitor, translated by QEMU, and interpreted.

    What this machine can't do is said; the others run.
    """
    from virtlab.machine import ways

    del seed  # the same program does the same each time
    found = ways.stored(program) if stored else ways.compare(program, turns=turns, progress=True)
    show(found, as_json=as_json)


def _run(file: Path, ram_mib: int, max_instructions: int, disk: Path | None, tier: str) -> GuestRun:
    from virtlab.machine.computer import Computer
    from virtlab.machine.image import load

    integer("--ram-mib", ram_mib, minimum=1, maximum=3072)
    integer("--max-instructions", max_instructions, minimum=1)
    program = load(file, ram_mib << 20)
    computer = Computer(ram_mib, disk=_contents(disk), history=0, tier=tier)
    computer.load(program)
    return computer.run(max_instructions, progress=True)


def _contents(disk: Path | None) -> bytes | None:
    """Read a disk's image; a size that is no disk's is refused before all of it is read."""
    if disk is None:
        return None
    if not disk.is_file():
        raise InvalidInputError("--disk", str(disk), "a file that is there")
    size = disk.stat().st_size
    if size > _DISK_LIMIT_MIB << 20:
        raise InvalidInputError("--disk bytes", size, f"at most {_DISK_LIMIT_MIB} MiB")
    return disk.read_bytes()


def register(app: typer.Typer) -> None:
    """Add the commands.

    Parameters
    ----------
    app
        The `virtlab` command.

    Examples
    --------
    >>> register(typer.Typer())
    """
    guest = typer.Typer(help="Run programs in the guest computer.", no_args_is_help=True)
    guest.command()(run)
    guest.command()(compare)
    guest.command()(ways)
    guest.command()(disassemble)
    guest.callback()(_keep_named)
    app.add_typer(guest, name="guest")


def _keep_named() -> None:
    """Run programs in the guest computer."""
