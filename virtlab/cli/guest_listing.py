"""`virtlab guest disassemble`: guest code, and what a translator makes of it (S18)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command runs
from typing import Annotated, Any

import typer

from virtlab.cli.output import Seed  # noqa: TC001 - as Path
from virtlab.validate import InvalidInputError

__all__ = ["disassemble"]

_RAM_BYTES = 3072 << 20
_LEAST_COLUMNS = 100
_PASSES = ("dead_flags", "regions", "guesses", "chaining", "in_cache", "ports")


def disassemble(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE.elf", help="A program for i386.")],
    start: Annotated[
        str | None,
        typer.Option(metavar="SYMBOL|ADDRESS", help="Where; the entry point if not given."),
    ] = None,
    beside: Annotated[
        bool,
        typer.Option("--side-by-side", help="Beside it p-code and translated code."),
    ] = False,
    tier: Annotated[
        str,
        typer.Option(
            metavar="TIER",
            help="What it is translated to: wasm, python, llvm (what LLVM gets) or assembly (what "
            "LLVM makes of it, for x86-64).",
        ),
    ] = "wasm",
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Instead, all the code of the unit that begins there: as WAT, if wasm."
        ),
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PASS", help="Leave a pass out: dead_flags, regions, guesses, in_cache, ports."
        ),
    ] = None,
    unit: Annotated[
        int, typer.Option(metavar="N", help="Instructions of a unit at most; ESX took 12.")
    ] = 256,
    most: Annotated[int, typer.Option(help="Instructions to show, at most.")] = 200,
    width: Annotated[
        int | None, typer.Option(help="Characters of a line, from 100; as wide as the terminal.")
    ] = None,
    seed: Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a program's code as text: alone, or beside what a translator makes of it.

    Flags that nobody reads are marked in the p-code. `--without dead_flags` shows what it costs to
    compute them.
    """
    from virtlab.machine.image import load
    from virtlab.machine.translation.listing import listing, unit_code
    from virtlab.machine.translation.listing_text import one_column, side_by_side
    from virtlab.machine.translation.passes import Passes

    del seed  # the same program has the same code each time
    unknown = [name for name in without or [] if name not in _PASSES]
    if unknown:
        raise InvalidInputError("--without", unknown[0], f"one of {', '.join(_PASSES)}")
    off: dict[str, Any] = dict.fromkeys(without or [], False)
    passes = Passes(**off, most=unit)
    if whole:
        text = unit_code(load(file, _RAM_BYTES), start, passes, tier)
        typer.echo(json.dumps({"tier": tier, "code": text}) if as_json else text)
        return
    found = listing(load(file, _RAM_BYTES), start, passes, tier=tier, most=most)
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False))
        return
    columns = max(shutil.get_terminal_size().columns, _LEAST_COLUMNS) if width is None else width
    typer.echo(side_by_side(found, columns) if beside else one_column(found))
    typer.echo(f"\n{found.explain()}")
