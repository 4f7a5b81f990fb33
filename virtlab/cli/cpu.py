"""`virtlab cpu`: let VMs share processors for a while (S21)."""

from __future__ import annotations

import re
from pathlib import Path  # noqa: TC003 - typer reads the annotations when the command runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from virtlab.cli.output import show
from virtlab.cli.table import read_number, read_rows
from virtlab.validate import InvalidInputError, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtlab.resources.cpu import CoRun, CpuRun, CpuVM, Policy, Workload
    from virtlab.resources.cpu.vms import Event

__all__ = ["cpu", "read_event", "read_vms", "register"]

_COLUMNS = {
    key: key
    for key in (
        "name", "shares", "min", "max", "vcpus", "workload", "sharing", "affinity", "kind",
    )
}  # fmt: skip
_SETTINGS = {"shares": "shares", "min": "min_percent", "max": "max_percent"}
_PLACES = ("sharing", "affinity")
_WORKLOADS = ("compute", "on-off", "interactive", "bursty")


def cpu(
    *,
    vms: Annotated[
        Path,
        typer.Option(
            metavar="FILE.csv",
            help="VMs: columns name, shares (a number, or low, normal, high), min, max (percent of "
            "a processor), vcpus, workload (compute, on-off, interactive, bursty), sharing (of a "
            "core: any, none, internal), affinity (logical CPUs, as '0 2' or '0-1'), kind ("
            "compute, cache, self-modifying); what is left out is normal, 0, all, 1, compute, "
            "any, all, compute.",
        ),
    ],
    cpus: Annotated[int, typer.Option(help="Physical processors.")] = 1,
    threads: Annotated[int, typer.Option(help="Logical CPUs of each: 1 or 2.")] = 1,
    quarantine: Annotated[
        bool, typer.Option(help="A VM that slows others down has a core of its own.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="How long.")] = 60.0,
    quantum_ms: Annotated[float, typer.Option(help="Longest time between two choices.")] = 10.0,
    event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="30:vm2.shares=3000",
            help="At 30 s: shares, min, max, sharing or affinity of a VM; or '30:vm2.on', "
            "'30:vm2.off'. May be given more than once; a VM that is turned on is off before.",
        ),
    ] = None,
    policy: Annotated[str, typer.Option(help="stride, lottery or round-robin.")] = "stride",
    together: Annotated[
        str | None,
        typer.Option(
            help="strict (ESX 2) or relaxed (ESX 3): the virtual processors of a VM run together; "
            "shares and vcpus alone are read, and all compute.",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[int, typer.Option(help="With --together: skew allowed, in quanta.")] = 0,
    trace: Annotated[
        Path | None, typer.Option(help="Write every interval to this CSV file.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the chance in workloads and the lottery.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Let VMs share processors by shares, minimum and maximum, quantum by quantum.

    Bad input, and a minimum that cannot be kept, end in one line.
    """
    known = {vm.name: vm for vm in read_vms(vms)}
    if together is not None:
        if event or trace is not None:
            raise InvalidInputError("--together", together, "without --event and --trace")
        slots = round(1000 * seconds / quantum_ms)
        if threads != 1 or quarantine:
            raise InvalidInputError("--together", together, "without --threads and --quarantine")
        show(_together(known, cpus, slots, together, threshold), as_json=as_json)
        return
    events = [read_event(text, known) for text in event or []]
    added = {happens.name for happens in events if hasattr(happens, "vm")}
    start = [vm for name, vm in known.items() if name not in added]
    more = {"quantum_ms": quantum_ms, "policy": _policy(policy), "seed": seed}
    run = _run(start, (cpus, threads, quarantine), seconds, events, more)
    if trace is not None:
        run.trace().to_csv(trace, index=False)
    show(run, as_json=as_json)


def _run(
    vms: Sequence[CpuVM],
    machine: tuple[int, int, bool],
    seconds: float,
    events: Sequence[Event],
    more: Any,
) -> CpuRun:
    """Run on processors as they are, or on hyperthreaded ones."""
    from virtlab.resources.cpu import Contention, Cores, schedule, schedule_threads

    cpus, threads, quarantine = machine
    if quarantine:
        cores = Cores(cpus, threads, Contention(), quarantine)
        return schedule_threads(vms, cores, seconds, events, **more)
    return schedule(vms, cpus, seconds, events, threads=threads, **more)


def _together(
    known: Mapping[str, CpuVM], cpus: int, slots: int, mode: str, threshold: int
) -> CoRun:
    from virtlab.resources.cpu import Compute, Smp, coschedule

    one_of("--together", mode, ("strict", "relaxed"))
    for vm in known.values():
        if vm.min_percent or vm.max_percent < 100 * vm.vcpus or vm.workload != Compute():
            raise InvalidInputError(
                "--together", mode, f"without min, max, workload (of {vm.name})"
            )
    smp = [Smp(vm.name, vm.vcpus, shares=vm.shares) for vm in known.values()]
    return coschedule(smp, cpus, slots, mode=mode, threshold=threshold)


def _policy(name: str) -> Policy:
    from virtlab.resources.cpu import Lottery, RoundRobin, Stride

    kinds = {"stride": Stride, "lottery": Lottery, "round-robin": RoundRobin}
    return kinds[one_of("--policy", name, tuple(kinds))]()


def read_event(text: str, known: Mapping[str, CpuVM]) -> Event:
    """Read an event as it is typed.

    Parameters
    ----------
    text
        For instance '30:vm2.shares=3000', '30:vm2.affinity=0 1', '20:vm4.on' or '40:vm3.off'.
    known
        The VMs by name.

    Returns
    -------
    Change, Add or Remove
        The event.

    Raises
    ------
    InvalidInputError
        If it is none.

    Examples
    --------
    >>> from virtlab.resources.cpu import CpuVM
    >>> read_event("30:vm2.shares=3000", {"vm2": CpuVM("vm2")}).shares
    3000.0
    """
    from virtlab.resources.cpu import Add, Change, Remove
    from virtlab.resources.cpu.vms import SHARING

    when, colon, what = text.partition(":")
    name, dot, setting = what.strip().rpartition(".")
    field = f"--event {text!r}"
    if not colon or not dot:
        raise InvalidInputError("--event", text, "like 30:vm2.shares=3000, 30:vm2.on or 30:vm2.off")
    at_s = read_number(f"{field}, time", when)
    if name not in known:
        raise InvalidInputError(f"{field}, name", name, f"one of {', '.join(known)}")
    if setting == "on":
        return Add(at_s, known[name])
    if setting == "off":
        return Remove(at_s, name)
    key, _, value = setting.partition("=")
    one_of(f"{field}, setting", key.strip(), (*_SETTINGS, *_PLACES, "on", "off"))
    if key.strip() == "sharing":
        return Change(at_s, name, sharing=one_of(f"{field}, value", value.strip(), SHARING))
    if key.strip() == "affinity":
        return Change(at_s, name, affinity=_affinity(f"{field}, value", value))
    new: Any = {_SETTINGS[key.strip()]: read_number(f"{field}, value", value)}
    return Change(at_s, name, **new)


def _affinity(field: str, text: str) -> frozenset[int]:
    """Read logical CPUs as '0 2' or '0-3'."""
    chosen: set[int] = set()
    for part in text.replace(";", " ").replace(",", " ").split():
        found = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", part)
        these = found and range(int(found[1]), int(found[2] or found[1]) + 1)
        if not these:
            break
        chosen |= set(these)
    else:
        if chosen:
            return frozenset(chosen)
    raise InvalidInputError(field, text, "logical CPUs, one or more, as '0 2' or '0-1'")


def read_vms(path: Path) -> list[CpuVM]:
    r"""Read VMs from a CSV file.

    Parameters
    ----------
    path
        A file with a header; columns as `virtlab cpu --help` says, in any order.

    Returns
    -------
    list of CpuVM
        The VMs.

    Raises
    ------
    InvalidInputError
        If a row is wrong; the error names the file, the line, the column and the value.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "vms.csv")
    ...     _ = path.write_text("name,shares,max\nweb,high,\ndb,1000,80\n")
    ...     vms = read_vms(path)
    >>> [(vm.name, vm.shares, vm.max_percent) for vm in vms]
    [('web', 2000.0, 100.0), ('db', 1000.0, 80.0)]
    """
    rows = read_rows(path, _COLUMNS)
    return [_vm(where, cells, count) for count, (where, cells) in enumerate(rows, start=1)]


def _vm(where: str, cells: Mapping[str, str], count: int) -> CpuVM:
    from virtlab.resources.cpu import CpuVM
    from virtlab.resources.presets import read_shares
    from virtlab.validate import integer

    column = f"{where}, column"
    vcpus = integer(
        f"{column} vcpus", read_number(f"{column} vcpus", cells.get("vcpus") or "1"), minimum=1
    )
    try:
        return CpuVM(
            cells.get("name") or f"vm{count}",
            read_shares(f"{column} shares", cells.get("shares") or "normal", "cpu", vcpus),
            read_number(f"{column} min", cells.get("min") or "0"),
            read_number(f"{column} max", cells.get("max") or str(100 * vcpus)),
            vcpus,
            _workload(f"{column} workload", cells.get("workload") or "compute"),
            cells.get("sharing") or "any",
            _affinity(f"{column} affinity", cells["affinity"]) if cells.get("affinity") else None,
            cells.get("kind") or "compute",
        )
    except InvalidInputError as error:
        named = error.field if error.field.startswith(where) else f"{where}, {error.field}"
        raise InvalidInputError(named, error.value, error.allowed) from error


def _workload(field: str, word: str) -> Workload:
    from virtlab.resources.cpu import Bursty, Compute, Interactive, OnOff

    kinds: tuple[type[Workload], ...] = (Compute, OnOff, Interactive, Bursty)
    return dict(zip(_WORKLOADS, kinds, strict=True))[one_of(field, word, _WORKLOADS)]()


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
    app.command()(cpu)
