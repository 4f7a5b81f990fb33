"""One migration by a real QEMU, from start to end, in steps that can be read (S39 to S45).

1. Source and target start; the target waits (`-incoming`).
2. The guest fills its memory and writes at its rate; a second of it is listened to.
3. The source is told its cap and the longest pause, then to migrate to the target's TCP address.
4. QEMU copies while we ask how far it is. After `TIMEOUT_S` we call it off: it does not converge.
5. From the source's STOP to the target's RESUME is the pause. In the target the guest must go on to
   count.

All that was started is ended, whatever happens.
"""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from virtlab.migration.lab import host
from virtlab.migration.lab.guest import rate_per_s, writer_page
from virtlab.migration.lab.machine import LabError, Machine
from virtlab.migration.lab.qmp import QmpRefusedError
from virtlab.migration.lab.record import Record

if TYPE_CHECKING:
    from virtlab.migration.lab.cells import Cell
    from virtlab.migration.lab.qmp import Event, Qmp

__all__ = ["TIMEOUT_S", "measure"]

TIMEOUT_S = 30.0
_ASK_EVERY_S = 0.1
_SECOND = 10  # reports of the guest
_OUTCOMES = {"completed": "completed", "cancelled": "not_converged_cancelled"}


@dataclass
class _Watched:
    """What was seen of a migration while it ran."""

    started_s: float
    last: dict[str, Any] = field(default_factory=dict)  # while it was active
    final: dict[str, Any] = field(default_factory=dict)
    ended_s: float = 0.0
    throttle_pct: float | None = None
    busy: host.Busy | None = None
    waited_ms: float | None = None


def measure(cell: Cell, accelerator: str, *, seed: int = 1, timeout_s: float = TIMEOUT_S) -> Record:
    """Migrate our guest once.

    Parameters
    ----------
    cell
        What to try.
    accelerator
        'kvm' or 'tcg', as `choose_accelerator` returns it.
    seed
        Of the guest's chance.
    timeout_s
        When to call it off, s.

    Returns
    -------
    Record
        What was measured.

    Raises
    ------
    LabError
        If QEMU does not start, refuses, or the guest does not go on.
    QmpError
        If QEMU ends.

    Examples
    --------
    >>> from virtlab.migration.lab.cells import Cell
    >>> measure(Cell(dirty_writes_nominal_per_s=4000), "tcg").outcome  # doctest: +SKIP
    'completed'
    """
    with ExitStack() as stack:
        target = stack.enter_context(Machine(cell, accelerator, incoming=True, seed=seed))
        source = stack.enter_context(Machine(cell, accelerator, seed=seed))
        try:
            address = _prepare(cell, source, target)
        except QmpRefusedError as error:
            raise LabError(str(error)) from error
        source.wait_until_filled()
        before = rate_per_s(source.wait_for_reports(_SECOND + 1, 5))
        waiting = host.Waiting([source.pid, target.pid])
        watched = _migrate(cell, source, address, timeout_s, waiting)
        after = None
        if watched.final["status"] == "completed":
            target.qmp.wait_for("RESUME", timeout_s=5)
            after = rate_per_s(target.wait_for_reports(_SECOND + 1, 5))
            if after is None:
                raise LabError(f"{cell.run_id}: the guest says nothing in the target")
        return _record(cell, accelerator, source, target, watched, (before, after))


def _prepare(cell: Cell, source: Machine, target: Machine) -> str:
    """Tell both what is wanted; return the address at which the target waits."""
    wanted = {"events": True, "postcopy-ram": cell.postcopy_at_s is not None,
              "auto-converge": bool(cell.auto_converge)}  # fmt: skip
    states = [{"capability": name, "state": state} for name, state in wanted.items()]
    for machine in (source, target):
        machine.qmp.execute("migrate-set-capabilities", capabilities=states)
    source.qmp.execute(
        "migrate-set-parameters",
        max_bandwidth=cell.max_bandwidth_bytes_per_s,
        downtime_limit=cell.downtime_limit_ms,
        max_postcopy_bandwidth=cell.max_postcopy_bandwidth_bytes_per_s,
    )
    target.qmp.execute("migrate-incoming", uri="tcp:127.0.0.1:0")  # any port that is free
    (address,) = target.qmp.execute("query-migrate")["socket-address"]
    return f"tcp:{address['host']}:{address['port']}"


def _migrate(
    cell: Cell, source: Machine, address: str, timeout_s: float, waiting: host.Waiting
) -> _Watched:
    qmp = source.qmp
    clock, watched = host.Clock(), _Watched(time.time())
    qmp.execute("migrate", uri=address)
    called_off = False
    switch_s = math.inf if cell.postcopy_at_s is None else cell.postcopy_at_s
    while True:
        seen = len(qmp.events)
        info = qmp.execute("query-migrate")
        watched.waited_ms = waiting.look()
        now_s = time.time() - watched.started_s
        status = info.get("status", "none")
        if status in {"completed", "cancelled"}:
            break
        if status == "failed":
            raise LabError(f"{cell.run_id}: QEMU failed: {info.get('error-desc', 'no reason')}")
        if status in {"active", "postcopy-active"}:
            watched.last = info
        if status == "active":
            watched.throttle_pct = info.get("cpu-throttle-percentage", watched.throttle_pct)
            if now_s >= switch_s:
                qmp.execute("migrate-start-postcopy")
                switch_s = math.inf
        if now_s > timeout_s and not called_off:
            called_off = True
            qmp.execute("migrate_cancel")
        if now_s > timeout_s + 30:
            raise LabError(f"{cell.run_id}: QEMU neither ends nor stops: it is {status}")
        until_switch_s = max(watched.started_s + switch_s - time.time(), 0)
        qmp.wait_for("MIGRATION", timeout_s=min(_ASK_EVERY_S, until_switch_s), since=seen)
    watched.busy, watched.ended_s = clock.busy(), time.time()
    watched.final = _settled(qmp, info) if status == "completed" else {**watched.last, **info}
    return watched


def _settled(qmp: Qmp, info: dict[str, Any]) -> dict[str, Any]:
    """QEMU says 'completed' a moment before it has added up; called off, it adds up nothing."""
    deadline = time.monotonic() + 5
    while not info.get("total-time") and time.monotonic() < deadline:
        time.sleep(0.01)
        info = qmp.execute("query-migrate")
    return info


def _first(events: list[Event], name: str, **data: object) -> float | None:
    """Return when an event first came, s since 1970."""
    for event in events:
        if event.name == name and data.items() <= event.data.items():
            return event.time_s
    return None


def _record(
    cell: Cell,
    accelerator: str,
    source: Machine,
    target: Machine,
    watched: _Watched,
    rates: tuple[float | None, float | None],
) -> Record:
    def since_start_ms(time_s: float | None) -> float | None:
        return None if time_s is None else round(1e3 * (time_s - start), 3)

    start, events = watched.started_s, source.qmp.events
    stop_s = _first(events, "STOP")
    meanwhile = [r for r in source.reports if start <= r.time_s <= (stop_s or watched.ended_s)]
    late = max((report.late_writes for report in meanwhile), default=0)
    return Record(
        **_of_cell(cell),
        **_of_qemu(watched),
        accel=accelerator,
        dirty_writes_measured_per_s=_rounded(rates[0]),
        guest_max_late_ms=round(1e3 * late / max(cell.dirty_writes_nominal_per_s, 1), 2),
        downtime_stop_to_resume_ms=_pause_ms(stop_s, _first(target.qmp.events, "RESUME")),
        wall_migrate_to_end_ms=round(1e3 * (watched.ended_s - start), 1),
        stop_at_ms=since_start_ms(stop_s),
        dirty_writes_during_migration_per_s=_rounded(rate_per_s(meanwhile)),
        dest_alive_writes_per_s=_rounded(rates[1]),
        host_cpu_busy_pct=round(watched.busy.busy_pct, 1) if watched.busy else None,
        host_cpu_steal_pct=round(watched.busy.steal_pct, 1) if watched.busy else None,
        load1=round(host.load(), 2),
        started_unix_s=round(start, 1),
        qemu_version=source.qmp.version,
        qemu_waited_ms=None if watched.waited_ms is None else round(watched.waited_ms, 2),
        writer_page_at_start=_writer_page(cell, source, start),
        **_of_postcopy(events, start, watched),
    )


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 1)


def _pause_ms(stop_s: float | None, resume_s: float | None) -> float | None:
    return None if stop_s is None or resume_s is None else round(1e3 * (resume_s - stop_s), 3)


def _writer_page(cell: Cell, source: Machine, start: float) -> float | None:
    """Return where the writer was: at the last report, and what it wrote from then to the start."""
    before = [report for report in source.reports if report.time_s <= start][-1]
    writes = before.writes + (start - before.time_s) * cell.dirty_writes_nominal_per_s
    page = writer_page(cell, source.seed, writes)
    return None if page is None else round(page, 1)


def _of_cell(cell: Cell) -> dict[str, Any]:
    return {"run_id": cell.run_id, **asdict(cell), "link_rate_bytes_per_s": 0}


def _of_qemu(watched: _Watched) -> dict[str, Any]:
    """Return what QEMU counted; what its version does not know is 0 or None."""
    final, last = watched.final, watched.last
    ram, ram_then = final.get("ram", {}), last.get("ram", {})
    outcome = _OUTCOMES[final["status"]]
    if outcome == "completed" and ram.get("postcopy-bytes", 0):
        outcome = "postcopy_completed"
    counts = {
        name: ram.get(name.replace("_", "-"), 0)
        for name in ("precopy_bytes", "downtime_bytes", "postcopy_bytes", "postcopy_requests")
    }
    return {
        **counts,
        "outcome": outcome,
        "total_time_ms": final.get("total-time", 0),
        "setup_time_ms": final.get("setup-time"),
        "downtime_qemu_ms": final.get("downtime"),
        "expected_downtime_last_ms": last.get("expected-downtime"),
        "transferred_bytes": ram.get("transferred", 0),
        "duplicate_pages": ram.get("duplicate", 0),
        "normal_pages": ram.get("normal", 0),
        "ram_total_bytes": ram.get("total", 0),
        "mbps": round(ram.get("mbps", 0), 2),
        "pages_per_second_last": ram_then.get("pages-per-second"),
        "dirty_pages_rate_last_per_s": ram_then.get("dirty-pages-rate"),
        "dirty_sync_count": ram.get("dirty-sync-count", 0),
        "remaining_last_bytes": ram_then.get("remaining"),
        "cpu_throttle_last_pct": watched.throttle_pct,
    }


def _of_postcopy(events: list[Event], start: float, watched: _Watched) -> dict[str, Any]:
    switched = _first(events, "MIGRATION", status="postcopy-active")
    if switched is None:
        return {"postcopy_switch_ms": None, "postcopy_active_ms": None}
    done = _first(events, "MIGRATION", status="completed") or watched.ended_s
    return {
        "postcopy_switch_ms": round(1e3 * (switched - start), 1),
        "postcopy_active_ms": round(1e3 * (done - switched), 1),
    }
