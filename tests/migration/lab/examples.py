"""A measured migration for tests of what is done with one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from virtlab.migration.lab.cells import Cell
from virtlab.migration.lab.record import Record

_MEASURED: dict[str, Any] = {
    "accel": "tcg",
    "dirty_writes_measured_per_s": 4002.3,
    "guest_max_late_ms": 5.0,
    "link_rate_bytes_per_s": 0,
    "outcome": "completed",
    "total_time_ms": 4381.0,
    "setup_time_ms": 1.0,
    "downtime_qemu_ms": 16.0,
    "downtime_stop_to_resume_ms": 17.805,
    "expected_downtime_last_ms": 416.0,
    "wall_migrate_to_end_ms": 4382.4,
    "transferred_bytes": 307_414_884,
    "precopy_bytes": 288_708_852,
    "downtime_bytes": 18_706_032,
    "postcopy_bytes": 0,
    "postcopy_requests": 0,
    "duplicate_pages": 8233,
    "normal_pages": 74_888,
    "ram_total_bytes": 268_967_936,
    "mbps": 561.69,
    "pages_per_second_last": 16_360,
    "dirty_pages_rate_last_per_s": 4001,
    "dirty_sync_count": 5,
    "remaining_last_bytes": 0,
    "stop_at_ms": 4362.5,
    "postcopy_switch_ms": None,
    "postcopy_active_ms": None,
    "cpu_throttle_last_pct": None,
    "dirty_writes_during_migration_per_s": 4000.1,
    "dest_alive_writes_per_s": 3994.9,
    "host_cpu_busy_pct": 17.7,
    "host_cpu_steal_pct": 0.0,
    "load1": 0.39,
    "started_unix_s": 1_795_399_034.3,
    "qemu_version": "7.2.22",
    "writer_page_at_start": 512.5,
    "qemu_waited_ms": 60.5,
}


def record(rep: int = 1, cell: Cell | None = None) -> Record:
    """Return one that looks like a real one."""
    tried = cell or Cell(rep=rep, dirty_writes_nominal_per_s=4000)
    return Record(run_id=tried.run_id, **asdict(tried), **_MEASURED)
