"""Read a scenario from a TOML file.

    name = "VM4 starts"
    seconds = 600

    [host]
    mib = 2048

    [[vm]]
    name = "VM1"
    min_mib = 256
    guest = { size_mib = 512 }
    workload = { kind = "hot and cold", hot_mib = 100, cold_mib = 300 }

    [[event]]
    at_s = 120
    action = "set"
    vm = "VM1"
    shares = 2000

Keys are the fields of `Scenario`, `HostSpec`, `VmSpec`, `GuestSpec`, `BalloonSpec`, `Event` and of
the workloads. What is wrong is said with file, key and value.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from virtlab.memory.guest.balloon import BalloonSpec
from virtlab.memory.guest.phases import Phases
from virtlab.memory.guest.spec import GuestSpec
from virtlab.memory.guest.traces import Trace
from virtlab.memory.guest.workloads import FileServer, HotCold, Idle, WorkingSet
from virtlab.memory.host.scenario import Event, Scenario
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec
from virtlab.memory.states import Thresholds
from virtlab.validate import InvalidInputError, one_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from virtlab.memory.guest.workloads import Workload

__all__ = ["WORKLOADS", "read_scenario"]

WORKLOADS: dict[str, Any] = {
    "idle": Idle,
    "working set": WorkingSet,
    "hot and cold": HotCold,
    "file server": FileServer,
    "trace": Trace,
    "phases": Phases,
}

_Made = TypeVar("_Made")


def read_scenario(path: Path) -> Scenario:
    r"""Read a scenario from a file.

    Parameters
    ----------
    path
        A TOML file.

    Returns
    -------
    Scenario
        What is in it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InvalidInputError
        If it is no TOML, a key is unknown or missing, or a value wrong; the error names file, key
        and value.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> text = 'name = "a"\nseconds = 60\n[host]\nmib = 256\n[[vm]]\nname = "VM1"\nguest.size = 1'
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a.toml")
    ...     _ = path.write_text(text)
    ...     try:
    ...         read_scenario(path)
    ...     except InvalidInputError as error:
    ...         print(str(error).split("a.toml: ")[1])
    vm[0].guest = 'size': must be one of size_mib, kernel_mib, ...
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(str(path), str(error), "a TOML file in UTF-8") from error
    try:
        return _scenario(table)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error.field}", error.value, error.allowed) from error


def _scenario(table: dict[str, Any]) -> Scenario:
    table = dict(table)
    vms, events = _list(table, "vm"), _list(table, "event")
    table["vms"] = tuple(_vm(one, f"vm[{i}]") for i, one in enumerate(vms))
    table["events"] = tuple(_make(Event, one, f"event[{i}]") for i, one in enumerate(events))
    if "host" in table:
        host = dict(_table(table, "host", ""))
        if "thresholds" in host:
            shares = _table(host, "thresholds", "host.")
            host["thresholds"] = _make(Thresholds, shares, "host.thresholds")
        table["host"] = _make(HostSpec, host, "host")
    return _make(Scenario, table, "")


def _list(table: dict[str, Any], key: str) -> list[Any]:
    found = table.pop(key, [])
    if not isinstance(found, list):
        raise InvalidInputError(key, found, f"tables: [[{key}]]")
    return found


def _table(table: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    found = table[key]
    if not isinstance(found, dict):
        raise InvalidInputError(where + key, found, "a table: { key = value, ... }")
    return found


def _vm(table: Any, where: str) -> VmSpec:
    if not isinstance(table, dict):
        raise InvalidInputError(where, table, "a table")
    table = dict(table)
    makers: dict[str, Callable[[dict[str, Any], str], Any]] = {
        "guest": lambda part, at: _make(GuestSpec, part, at),
        "balloon": lambda part, at: _make(BalloonSpec, part, at),
        "workload": _workload,
    }
    for key, maker in makers.items():
        if key in table:
            table[key] = maker(_table(table, key, f"{where}."), f"{where}.{key}")
    return _make(VmSpec, table, where)


def _workload(table: dict[str, Any], where: str) -> Workload:
    rest = dict(table)
    kind = rest.pop("kind", None)
    cls = WORKLOADS[one_of(f"{where}.kind", str(kind), tuple(WORKLOADS))]
    if cls is Phases:
        phases = rest.get("phases", [])
        rest["phases"] = tuple(_phase(one, f"{where}.phases[{i}]") for i, one in enumerate(phases))
    made: Workload = _make(cls, rest, where)
    return made


def _phase(table: Any, where: str) -> tuple[int, Workload]:
    if not isinstance(table, dict) or not isinstance(table.get("seconds"), int):
        raise InvalidInputError(where, table, "a table with whole seconds and a workload")
    rest = {key: value for key, value in table.items() if key != "seconds"}
    return table["seconds"], _workload(rest, where)


def _make(cls: Callable[..., _Made], table: Any, where: str) -> _Made:
    """Make a dataclass from a table; every error says where."""
    if not isinstance(table, dict):
        raise InvalidInputError(where, table, "a table: { key = value, ... }")
    known = tuple(field.name for field in fields(cls))  # type: ignore[arg-type]  # dataclasses
    for key in table:
        one_of(where or "key", key, known)
    try:
        return cls(**table)
    except InvalidInputError as error:
        at = f"{where}.{error.field}" if where else error.field
        raise InvalidInputError(at, error.value, error.allowed) from error
    except TypeError as error:
        missing = str(error).split("argument")[-1].lstrip("s: ")
        raise InvalidInputError(where or "scenario", dict(table), f"given {missing}") from error
