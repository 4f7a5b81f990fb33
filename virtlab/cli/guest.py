"""`virtlab guest`: run a real i386 program in the guest computer, or in all ways (S5-S7, S16)."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command runs
from typing import TYPE_CHECKING, Annotated

import typer

from virtlab.cli.guest_console import DiskFiles, Wires
from virtlab.cli.guest_listing import disassemble
from virtlab.cli.guest_ways import ways
from virtlab.cli.output import Seed, show
from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from virtlab.machine.computer import Computer
    from virtlab.machine.guest_run import GuestRun
    from virtlab.machine.translation.stats import TranslationStats

__all__ = ["compare", "register", "run"]

_STATUS = {"exit": 0, "halted": 0, "left": 0, "interrupted": 130}


def run(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE.elf", help="A program for i386.")],
    ram_mib: Annotated[int, typer.Option(help="Memory, 1 to 3072 MiB.")] = 16,
    max_instructions: Annotated[
        int | None,
        typer.Option(help="Stop after so many; 10,000,000 without --console.", show_default=False),
    ] = None,
    disk: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Contents of its disk, not changed.")
    ] = None,
    second_disk: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Contents of its second disk, not changed.")
    ] = None,
    disk_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write its disk there in the end.")
    ] = None,
    second_disk_out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write its second disk there in the end.")
    ] = None,
    console: Annotated[
        bool, typer.Option("--console", help="Its serial port is your terminal, or a pipe.")
    ] = False,
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is typed, and when: to repeat a run.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write down what is typed, for --keys.")
    ] = None,
    tier: Annotated[
        str,
        typer.Option(
            help="'interpreter'; or translated, and faster: 'python' (40 times), 'wasm', 'llvm'."
        ),
    ] = "interpreter",
    stats: Annotated[
        bool, typer.Option("--stats", help="Tell what the translator did, of a tier that has one.")
    ] = False,
    direct: Annotated[
        bool,
        typer.Option("--direct", help="Run user code as it is where that is allowed: see --stats."),
    ] = False,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a program in the guest computer: what it says, how it ends, what traps.

    Ctrl-C stops it, and what it did so far is told. The status is 0 if the guest has ended by
    itself or halted or you left its console, 1 if not, 2 if a file could not be written, 130 after
    Ctrl-C.
    """
    del seed  # the same program does the same each time
    second = DiskFiles(second_disk, second_disk_out, "--second-disk")
    wires = Wires(console, keys, record, (DiskFiles(disk, disk_out), second))
    wires.check(as_json=as_json)
    for name, given in (("--stats", stats), ("--direct", direct)):
        if given and tier == "interpreter":
            raise InvalidInputError(f"{name} with --tier", tier, "a tier that translates")
    done, computer = _run(file, ram_mib, max_instructions, tier, wires, direct=direct)
    if as_json:
        more = {"translation": _stats(computer, done).to_json()} if stats else {}
        typer.echo(json.dumps({**done.to_json(), **more}, ensure_ascii=False))
    elif console:
        typer.echo(f"\n{done.explain()}", err=True)
    else:
        typer.echo(done.text, nl=not done.text.endswith("\n"))
        if done.traps:
            show(done, as_json=False)
        else:
            typer.echo(f"\n{done.explain()}")
    if stats and not as_json:
        told = _stats(computer, done)
        table = told.to_frame().to_string(index=False, na_rep="", float_format="%.1f")
        typer.echo(f"\n{table}\n\n{told.explain()}", err=console)
    raise typer.Exit(2 if wires.failed else _STATUS.get(done.ended, 1))


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


def _run(
    file: Path,
    ram_mib: int,
    max_instructions: int | None,
    tier: str,
    wires: Wires,
    *,
    direct: bool,
) -> tuple[GuestRun, Computer]:
    from virtlab.machine.computer import Computer
    from virtlab.machine.image import load
    from virtlab.machine.translation.passes import Passes

    integer("--ram-mib", ram_mib, minimum=1, maximum=3072)
    if max_instructions is not None:
        integer("--max-instructions", max_instructions, minimum=1)
    program = load(file, ram_mib << 20)
    typed, (image, second) = wires.typed(), (disk.contents() for disk in wires.disks)
    computer = Computer(
        ram_mib,
        disk=image,
        second_disk=second,
        keys=typed,
        history=0,
        tier=tier,
        passes=Passes(direct=direct),
    )
    computer.load(program)
    return wires.run(computer, max_instructions), computer


def _stats(computer: Computer, done: GuestRun) -> TranslationStats:
    from virtlab.machine.translation.stats import translation_stats

    return translation_stats(computer, done)


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
