"""`virtlab migrate`: move a running machine, or predict what QEMU would do (S39-S46)."""

from __future__ import annotations

import json
import math
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command runs
from typing import TYPE_CHECKING, Annotated

import typer

from virtlab.cli.output import show
from virtlab.cli.table import read_number
from virtlab.results import plain
from virtlab.validate import InvalidInputError, one_of

if TYPE_CHECKING:
    from virtlab.migration.algorithms import Algorithm
    from virtlab.migration.link import Link
    from virtlab.migration.qemu import QemuParameters
    from virtlab.migration.vmotion import MigrationRun

__all__ = ["ALGORITHMS", "migrate", "register"]

ALGORITHMS = ("deck", "stop", "clark", "qemu", "postcopy", "hybrid")


def migrate(
    context: typer.Context,
    *,
    ram_mib: Annotated[float, typer.Option(help="Memory of the machine, MiB.")] = 512.0,
    filled_mib: Annotated[
        float | None,
        typer.Option(help="How much of it is not zeros, MiB.", show_default="64 less, or half"),
    ] = None,
    working_set_pages: Annotated[int, typer.Option(help="Pages that are written to.")] = 16384,
    dirty_pages_s: Annotated[float, typer.Option(help="Writes a second, a page each.")] = 8000.0,
    pattern: Annotated[str, typer.Option(help="round-robin, random or hot.")] = "round-robin",
    hot_pages: Annotated[int, typer.Option(help="Of pattern hot: how many.")] = 2048,
    hot_write_percent: Annotated[
        float, typer.Option(help="Of pattern hot: how many of the writes go there.")
    ] = 90.0,
    cap_mib_s: Annotated[
        float | None,
        typer.Option(help="QEMU's max-bandwidth, MiB/s.", show_default="64 if no link is given"),
    ] = None,
    link_mib_s: Annotated[
        float | None, typer.Option(help="What the link carries, MiB/s.", show_default=False)
    ] = None,
    downtime_limit_ms: Annotated[float, typer.Option(help="QEMU's downtime-limit, ms.")] = 300.0,
    auto_converge: Annotated[
        bool, typer.Option("--auto-converge", help="QEMU may slow the guest down.")
    ] = False,
    postcopy_at_s: Annotated[
        float | None,
        typer.Option(help="QEMU switches to post-copy then, s.", show_default="never"),
    ] = None,
    algorithm: Annotated[str, typer.Option(help=", ".join(ALGORITHMS) + ".")] = "qemu",
    runs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Predict QEMU for each row of a file with columns as data/qemu_migrations.csv.",
            show_default=False,
        ),
    ] = None,
    anywhere: Annotated[
        bool,
        typer.Option(
            "--anywhere",
            help="With --runs: the writers may stand anywhere at the start; else where they did "
            "in the measurements.",
        ),
    ] = False,
    table: Annotated[
        bool,
        typer.Option(
            "--table", help="Bandwidth against downtime limit; '-' where it never converges."
        ),
    ] = False,
    measure: Annotated[
        str, typer.Option(help="Of --table: total_s, downtime_ms, sent_mib or rounds.")
    ] = "total_s",
    bandwidths: Annotated[
        str, typer.Option(help="Of --table, MiB/s.", metavar="32,64")
    ] = "16,32,64,128,256,512",
    limits: Annotated[
        str, typer.Option(help="Of --table, ms.", metavar="100,300")
    ] = "10,30,100,300,1000,3000",
    seed: Annotated[int, typer.Option(help="Of the guest's chance; QEMU's model has none.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Move a running machine: how long it takes, how much is sent, how long it stands still.

    'qemu' predicts what QEMU does, and is held against 167 measured runs. The others copy a memory
    page by page: the talk's seven steps (deck), stop and copy, pre-copy after Clark, post-copy, a
    hybrid; to them the cap is the link. What they have no such setting for (the downtime limit)
    they do not look at.
    """
    one_of("--algorithm", algorithm, ALGORITHMS)
    _no_option_in_vain(context, runs=runs is not None, table=table)
    if runs is not None:
        _predict_file(runs, anywhere=anywhere, as_json=as_json)
        return
    spec = _spec(
        ram_mib=ram_mib,
        filled_mib=_filled(ram_mib) if filled_mib is None else filled_mib,
        working_set_pages=working_set_pages,
        dirty_pages_s=dirty_pages_s,
        pattern=pattern,
        hot_pages=hot_pages if pattern == "hot" else 0,
        hot_write_percent=hot_write_percent if pattern == "hot" else 0.0,
        cap_mib_s=_cap(cap_mib_s, link_mib_s),
        link_mib_s=math.inf if link_mib_s is None else link_mib_s,
        downtime_limit_ms=downtime_limit_ms,
        auto_converge=auto_converge,
        postcopy_at_s=math.inf if postcopy_at_s is None else postcopy_at_s,
    )
    if table:
        _print_table(spec, algorithm, measure, bandwidths, limits, as_json=as_json)
    elif algorithm == "qemu":
        from virtlab.migration.qemu import QemuModel, predict

        # A guest of one's own has no deadlines that it must make up for.
        show(predict(spec, QemuModel(guest_catches_up=not auto_converge)), as_json=as_json)
    else:
        show(_move(spec, algorithm, seed), as_json=as_json)


def _no_option_in_vain(context: typer.Context, *, runs: bool, table: bool) -> None:
    """Refuse what was given and would not be looked at."""
    given = {
        name
        for name in context.params
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }
    wanted = {"runs", "anywhere", "seed", "as_json"} if runs else set(context.params) - {"anywhere"}
    wanted -= set() if table else {"measure", "bandwidths", "limits"}
    for name in sorted(given - wanted):
        if runs:
            allowed = "left out with --runs, whose rows say it"
        else:
            allowed = f"given with {'--runs' if name == 'anywhere' else '--table'}"
        raise InvalidInputError("--" + name.replace("_", "-"), context.params[name], allowed)


def _spec(**values: object) -> QemuParameters:
    """Make the parameters; an error names the option."""
    from virtlab.migration.qemu import QemuParameters

    try:
        return QemuParameters(**values)  # type: ignore[arg-type]  # checked by the class itself
    except InvalidInputError as error:
        option = "--" + error.field.replace("_", "-")
        raise InvalidInputError(option, error.value, error.allowed) from error


def _filled(ram_mib: float) -> float:
    return ram_mib - 64 if ram_mib >= 128 else ram_mib / 2


def _cap(cap_mib_s: float | None, link_mib_s: float | None) -> float:
    """Return the cap: what was given, else 64 MiB/s unless there is a link that limits."""
    if cap_mib_s is not None:
        return cap_mib_s
    return 64.0 if link_mib_s is None else math.inf


def _predict_file(path: Path, *, anywhere: bool, as_json: bool) -> None:
    from virtlab.migration.qemu.constants import HEAD_START_S
    from virtlab.migration.qemu.runs import predict_all, read_runs

    head_start_s = None if anywhere else HEAD_START_S
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    frame = predict_all(read_runs(str(path)), head_start_s=head_start_s, progress=True)
    if as_json:
        typer.echo(json.dumps(plain(frame.to_dict("records")), ensure_ascii=False))
    else:
        typer.echo(frame.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


def _print_table(
    spec: QemuParameters,
    algorithm: str,
    measure: str,
    bandwidths: str,
    limits: str,
    *,
    as_json: bool,
) -> None:
    from virtlab.migration.qemu.table import MEASURES, bandwidth_table

    one_of("--measure", measure, MEASURES)
    if algorithm != "qemu":
        raise InvalidInputError("--table", algorithm, "with --algorithm qemu")
    found = bandwidth_table(
        spec, _numbers("--bandwidths", bandwidths), _numbers("--limits", limits), progress=True
    )
    if as_json:
        show(found, as_json=True)
        return
    typer.echo(f"{measure} (cap in MiB/s, downtime limit in ms; '-': does not converge in 30 s)\n")
    typer.echo(found.grid(measure).to_string())
    typer.echo(f"\n{found.explain()}")


def _numbers(option: str, text: str) -> list[float]:
    return [read_number(f"{option}[{i}]", word) for i, word in enumerate(text.split(","))]


def _move(spec: QemuParameters, algorithm: str, seed: int) -> MigrationRun:
    """Copy a memory page by page."""
    from virtlab.migration import workloads as w
    from virtlab.migration.link import Link
    from virtlab.migration.vm import Vm
    from virtlab.migration.vmotion import migrate as move

    pages, rate = spec.working_set_pages, spec.dirty_pages_s
    workload: w.Workload = w.RoundRobin(pages, rate)
    if spec.pattern == "random":
        workload = w.Uniform(pages, rate)
    elif spec.pattern == "hot":
        workload = w.HotCold(
            pages, rate, hot_pages=spec.hot_pages, hot_write_percent=spec.hot_write_percent
        )
    # That its last part is not held to the cap is QEMU's own: for the others the cap is the link.
    link = Link(bandwidth_mib_s=min(spec.line_bytes_s / 2**20, spec.cap_mib_s))
    vm = Vm(ram_mib=spec.ram_mib, filled_mib=spec.filled_mib)
    return move(vm, workload, link, _algorithm(algorithm, link), seed=seed)


def _algorithm(name: str, link: Link) -> Algorithm:
    from virtlab.migration import algorithms as a

    most = link.rate_mib_s * 8 * 2**20 / 1e6
    found: dict[str, Algorithm] = {
        "deck": a.Deck(),
        "stop": a.StopAndCopy(),
        "clark": a.Clark(min_mbit_s=min(100.0, most), max_mbit_s=most),
        "postcopy": a.PostCopy(),
        "hybrid": a.Hybrid(),
    }
    return found[name]


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
    app.command()(migrate)
