"""`virtlab migrate-sweep`: thousands of migrations as one table (S39-S45)."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from virtlab.cli.output import show
from virtlab.cli.table import read_number, read_rows
from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor

    from virtlab.migration.sweep import SweepResult

__all__ = ["migrate_sweep", "read_fleet", "read_grid", "register"]

_WORDS = ("name", "pattern", "level")
_RANGE = ("start", "stop", "count", "spacing")


def migrate_sweep(
    grid: Annotated[
        Path,
        typer.Argument(
            metavar="GRID.toml|FLEET.csv",
            help="Parameters by name, each a value, a list, or a range such as "
            '{start = 1000, stop = 100000, count = 40, spacing = "log"}. All combinations are run. '
            "Or a CSV file with a row for each machine, its columns named as the parameters.",
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Write the table there. Until it is whole, results are kept beside it, and a run "
            "that was killed goes on where it was.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that run it.")] = 1,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run it on a Dask cluster, by its scheduler's address.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws of all configurations.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run pre-copy for every combination of some parameters, or for each of a fleet (S39-S45).

    For instance: virtlab migrate-sweep grid.toml --out table.csv --workers 2
    """
    from virtlab.migration.points import precopy_point
    from virtlab.migration.sweep import grid as combinations
    from virtlab.migration.sweep import sweep

    fleet = grid.suffix.lower() == ".csv"
    points = read_fleet(grid) if fleet else combinations(**read_grid(grid))
    journal = None if out is None else out.with_name(out.name + ".journal")
    if out is not None and not out.parent.is_dir():
        raise FileNotFoundError(f"no folder {out.parent}")
    with _executor(integer("--workers", workers, minimum=1), dask) as executor:
        result = sweep(
            points,
            precopy_point,
            executor,
            seed=seed,
            journal=journal,
            progress=sys.stderr.isatty(),
        )
    if out is not None and journal is not None:
        _write(result, out)
        journal.unlink()
    if json or out is None:
        show(result, as_json=json)
    else:
        typer.echo(f"{result.explain()}\nThe table is in {out}.")


def read_grid(path: Path) -> dict[str, Any]:
    r"""Read the axes of a grid from a TOML file.

    Parameters
    ----------
    path
        The file: a value, a list or a range for each parameter.

    Returns
    -------
    dict
        One list for each parameter.

    Raises
    ------
    InvalidInputError
        If it is no TOML, a parameter is unknown, or a range is wrong.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "grid.toml")
    ...     _ = path.write_text('''ram_mib = [512, 1024]
    ... dirty_pages_s = {start = 1000, stop = 100000, count = 3, spacing = "log"}''')
    ...     read_grid(path)
    {'ram_mib': [512, 1024], 'dirty_pages_s': [1000.0, 10000.0, 100000.0]}
    """
    import tomllib

    from virtlab.migration.points import check_parameters

    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(str(path), str(error), "a TOML file") from error
    if not read:
        raise InvalidInputError(str(path), {}, "a file with one parameter or more")
    check_parameters(read)
    return {name: _axis(f"{path}, {name}", value) for name, value in read.items()}


def read_fleet(path: Path) -> list[dict[str, Any]]:
    r"""Read machines from a CSV file.

    Parameters
    ----------
    path
        A file with a header; columns as the parameters are called, in any order. Blank cells have
        their defaults; machines without a name are VM1, VM2, ...

    Returns
    -------
    list of dict
        One configuration a row.

    Raises
    ------
    InvalidInputError
        If there is no row, a column is unknown or a number is none; the error names the line.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "fleet.csv")
    ...     _ = path.write_text("name,ram_mib,pattern\nweb,512,hot\n,1024,\n")
    ...     read_fleet(path)
    [{'name': 'web', 'ram_mib': 512.0, 'pattern': 'hot'}, {'name': 'VM2', 'ram_mib': 1024.0}]
    """
    from virtlab.migration.points import PARAMETERS

    machines = []
    rows = read_rows(path, {name: name for name in PARAMETERS})
    for count, (where, cells) in enumerate(rows, start=1):
        machine: dict[str, Any] = {"name": f"VM{count}"}
        for name, text in cells.items():
            if text:
                number_of = f"{where}, column {name}"
                machine[name] = text if name in _WORDS else read_number(number_of, text)
        machines.append(machine)
    return machines


def _axis(field: str, value: object) -> list[Any]:
    """Return the values of one parameter."""
    import numpy as np

    if not isinstance(value, dict):
        return value if isinstance(value, list) else [value]
    for name in value:
        one_of(field, name, _RANGE)
    start, stop = (number(f"{field}.{name}", value.get(name)) for name in ("start", "stop"))
    count = integer(f"{field}.count", value.get("count"), minimum=1)
    spacing = one_of(f"{field}.spacing", value.get("spacing", "linear"), ("linear", "log"))
    if spacing == "log" and min(start, stop) <= 0:
        raise InvalidInputError(
            f"{field}.start", min(start, stop), "a number > 0, to be spaced log"
        )
    space = np.geomspace if spacing == "log" else np.linspace
    return [float(f"{at:.12g}") for at in space(start, stop, count)]  # not 9999.999999999998


@contextmanager
def _executor(workers: int, dask: str | None) -> Iterator[Executor | None]:
    """Give what runs the points: nothing for this process, a pool of processes, or a cluster."""
    if dask is not None:
        try:
            client_of = importlib.import_module("distributed").Client
        except ImportError as error:
            allowed = "left out, or the extra installed: pip install 'virtlab[scale]'"
            raise InvalidInputError("--dask", dask, allowed) from error
        with client_of(dask) as client:
            yield client.get_executor()
    elif workers == 1:
        yield None
    else:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        fresh = multiprocessing.get_context("spawn")  # a copy of a process with threads may hang
        with ProcessPoolExecutor(workers, mp_context=fresh) as pool:
            yield pool


def _write(result: SweepResult, path: Path) -> None:
    """Write the table beside its place, then move it there: the file is whole or the old one."""
    beside = path.with_name(path.name + ".part")
    result.to_frame().to_csv(beside, index=False)
    beside.replace(path)


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
    app.command("migrate-sweep")(migrate_sweep)
