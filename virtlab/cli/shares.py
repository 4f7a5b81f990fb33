"""`virtlab allocate`: divide a capacity by shares (S20)."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command runs
from typing import TYPE_CHECKING, Annotated

import typer

from virtlab.cli.output import Seed, show
from virtlab.cli.table import read_number, read_rows
from virtlab.resources.presets import read_shares
from virtlab.resources.shares import allocate as divide
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["allocate", "read_vms", "register"]

_COLUMNS = {"name": "name", "shares": "shares", "min": "min", "max": "max"}
_COLUMNS |= {"minimum": "min", "maximum": "max"}


def allocate(
    capacity: Annotated[float, typer.Argument(help="What there is to divide, in any unit.")],
    *,
    shares: Annotated[
        str | None,
        typer.Option(
            help="Shares of each VM: numbers, or low, normal, high (of disk).",
            metavar="1000,2000,high",
            show_default=False,
        ),
    ] = None,
    minimum: Annotated[
        str, typer.Option("--min", help="What each gets at least; one number for all.")
    ] = "0",
    maximum: Annotated[
        str, typer.Option("--max", help="What each gets at most; one number for all.")
    ] = "inf",
    names: Annotated[str | None, typer.Option(help="Names of the VMs.", metavar="web,db")] = None,
    vms: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Read the VMs from columns name, shares, min, max; what is left out or blank is "
            "VM1, VM2, ..., normal, 0 and no limit.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of the capacity, to be shown.")] = "",
    seed: Seed = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Divide CAPACITY among VMs: clip(level * shares, min, max), the level spends it.

    For instance: virtlab allocate 160 --shares 1000,2000,1000
    """
    del seed
    if (shares is None) == (vms is None):
        raise InvalidInputError("--shares", shares, "given, or --vms, and not both")
    if vms is not None:
        if (minimum, maximum, names) != ("0", "inf", None):
            raise InvalidInputError("--vms", str(vms), "alone: the file has names, min and max")
        called, share, low, high = read_vms(vms)
    else:
        words = str(shares).split(",")
        share = [read_shares(f"--shares[{i}]", word) for i, word in enumerate(words)]
        low = _list("--min", minimum, len(share))
        high = _list("--max", maximum, len(share))
        called = [name.strip() for name in names.split(",")] if names else []
    show(divide(capacity, share, low, high, names=called, unit=unit), as_json=json)


def read_vms(path: Path) -> tuple[list[str], list[float], list[float], list[float]]:
    r"""Read VMs from a CSV file.

    Parameters
    ----------
    path
        A file with a header; columns name, shares, min and max in any order.

    Returns
    -------
    tuple of lists
        Names, shares, minimums and maximums.

    Raises
    ------
    InvalidInputError
        If there is no row, a column is unknown or a value wrong; the error names the file, the
        line, the column and the value.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "vms.csv")
    ...     _ = path.write_text("name,shares,min,max\nweb,high,,\ndb,1000,20,80\n")
    ...     read_vms(path)
    (['web', 'db'], [2000.0, 1000.0], [0.0, 20.0], [inf, 80.0])
    """
    rows = [
        _vm(where, cells, count)
        for count, (where, cells) in enumerate(read_rows(path, _COLUMNS), start=1)
    ]
    names, shares, low, high = (list(column) for column in zip(*rows, strict=True))
    return names, shares, low, high


def _vm(where: str, cells: Mapping[str, str], count: int) -> tuple[str, float, float, float]:
    """Read one row."""
    shares = read_shares(f"{where}, column shares", cells.get("shares") or "normal")
    low = read_number(f"{where}, column min", cells.get("min") or "0")
    high = read_number(f"{where}, column max", cells.get("max") or "inf")
    if low > high:
        raise InvalidInputError(f"{where}, column min", low, f"at most its max, {high:g}")
    return cells.get("name") or f"VM{count}", shares, low, high


def _list(field: str, text: str, size: int) -> list[float]:
    """Read one number for all, or one a VM; blanks are the field's default."""
    default = "inf" if field == "--max" else "0"
    words = text.split(",")
    if len(words) not in (1, size):
        raise InvalidInputError(field, text, f"one number, or {size} with commas between them")
    values = [read_number(f"{field}[{i}]", word.strip() or default) for i, word in enumerate(words)]
    return values * size if len(values) == 1 else values


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
    app.command()(allocate)
