"""`virtlab memory`: which VMs fit on a host, and who gets its memory (S23-S26)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from virtlab.cli.ballooning import balloon
from virtlab.cli.output import Seed, show
from virtlab.cli.table import read_number, read_rows
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.memory.admission import VmMemory

__all__ = ["admit", "read_vms", "register", "run"]

_COLUMNS = {column: column for column in ("name", "min_mib", "max_mib", "vcpus")}

_SHOWN = [f"{what}_mib" for what in ("allocated", "target", "active", "ballooned", "swapped")]
_SHOWN += ["guest_faults", "host_faults", "operations"]


def admit(
    vms: Annotated[
        Path,
        typer.Option(
            metavar="FILE.csv",
            help="The VMs, in the order in which they start: columns name, min_mib, max_mib, "
            "vcpus. Names left out are VM1, VM2, ...; vcpus left out is 1.",
            show_default=False,
        ),
    ],
    host_mib: Annotated[float, typer.Option(help="Memory of the host, in MB.", show_default=False)],
    *,
    console_mib: Annotated[
        float | None,
        typer.Option(
            help="Memory of the Service Console; by the guide's table if not given.",
            show_default=False,
        ),
    ] = None,
    swap_mib: Annotated[
        float | None,
        typer.Option(
            help="Room for swapped pages; as much as the host's memory if not given.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say which VMs may start on a host, what the others lack, and what all need (S23).

    For instance: virtlab memory admit --vms vms.csv --host-mib 2048
    """
    del seed
    from virtlab.memory.admission import admit as decide

    asking = read_vms(vms)
    show(decide(asking, host_mib, console_mib=console_mib, swap_mib=swap_mib), as_json=json)


def run(
    scenario: Annotated[
        str,
        typer.Argument(
            help="A TOML file, or one of the course's: vm4-starts, idle-tax, five-vms.",
            metavar="SCENARIO.toml",
        ),
    ],
    *,
    seconds: Annotated[
        int | None, typer.Option(help="Stop earlier.", min=1, show_default=False)
    ] = None,
    every: Annotated[int, typer.Option(help="Print a row for every so many seconds.", min=1)] = 60,
    controller: Annotated[
        str | None,
        typer.Option(help="Who decides: esx, pressure, swap only.", show_default=False),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all chance.", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a host and its VMs, second by second (S24-S26).

    For instance: virtlab memory run vm4-starts
    """
    from dataclasses import replace

    from virtlab.memory.host.reading import read_scenario
    from virtlab.memory.host.simulation import run as simulate

    given: dict[str, Any] = {"seconds": seconds, "controller": controller, "seed": seed}
    changed = {name: value for name, value in given.items() if value is not None}
    found = replace(read_scenario(_scenario_path(scenario)), **changed)
    result = simulate(found).every(every)
    if json:
        show(result, as_json=True)
        return
    table = result.to_frame()[["time_s", "vm", "state", *_SHOWN]].round(0).convert_dtypes()
    typer.echo(table.to_string(index=False))
    typer.echo(f"\n{result.explain()}")


def _scenario_path(given: str) -> Path:
    """Return a file, or one that travels with the course, by its name."""
    from virtlab.datasets import folder

    own = folder("data") / f"scenario-{given}.toml"
    return own if own.is_file() else Path(given)


def read_vms(path: Path) -> list[VmMemory]:
    r"""Read what VMs ask for from a CSV file.

    Parameters
    ----------
    path
        A file with a header; columns min_mib, max_mib, and if needed name and vcpus.

    Returns
    -------
    list of VmMemory
        The VMs.

    Raises
    ------
    InvalidInputError
        If a column or a value is wrong; the error names the file, the line and the column.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "vms.csv")
    ...     _ = path.write_text("name,min_mib,max_mib,vcpus\nweb,256,512,2\n")
    ...     read_vms(path)
    [VmMemory(name='web', min_mib=256.0, max_mib=512.0, vcpus=2)]
    """
    vms: list[VmMemory] = []
    for where, cells in read_rows(path, _COLUMNS, needed=("min_mib", "max_mib")):
        vm = _vm(where, cells, len(vms) + 1)
        if vm.name in {other.name for other in vms}:
            raise InvalidInputError(f"{where}, column name", vm.name, "another for each VM")
        vms.append(vm)
    return vms


def _vm(where: str, cells: dict[str, str], count: int) -> VmMemory:
    """Read one row."""
    from virtlab.memory.admission import VmMemory

    low = read_number(f"{where}, column min_mib", cells["min_mib"])
    high = read_number(f"{where}, column max_mib", cells["max_mib"])
    vcpus = read_number(f"{where}, column vcpus", cells.get("vcpus") or "1")
    whole = int(vcpus) if vcpus.is_integer() else vcpus
    try:
        return VmMemory(cells.get("name") or f"VM{count}", low, high, whole)  # type: ignore[arg-type] # it checks
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{where}, column {error.field}", error.value, error.allowed
        ) from error


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
    commands = typer.Typer(
        name="memory",
        help="Memory of a host: admission, reallocation, balloon (S23-S26, S28).",
        no_args_is_help=True,
    )
    commands.callback()(_root)
    commands.command()(admit)
    commands.command()(run)
    commands.command()(balloon)
    app.add_typer(commands)


def _root() -> None:
    """Memory of a host: which VMs fit, and who gets how much (S23-S26)."""
