"""What one measured migration is written down as, and the file that loses nothing.

The columns are those of the measurements that this course was checked with, so that one program
reads both; a column that the lab does not measure is left out. A row is on the disk as
soon as its migration is over. What is killed goes on where it was: rows that are there are not
measured again, and a row that was half written is dropped.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, get_type_hints

from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["COLUMNS", "Record", "append", "read"]


@dataclass(frozen=True)
class Record:
    """One migration: parameters, outcome, what QEMU counted, how busy the machine was.

    Attributes
    ----------
    run_id, group, rep, accel
        Which one; 'tcg' or 'kvm'.
    ram_mib, fill_mib, mode, working_set_pages, hot_pages, hot_write_pct
        The guest, as in `virtlab.migration.lab.cells.Cell`.
    dirty_writes_nominal_per_s, dirty_writes_measured_per_s
        Page writes a second: asked for, and before the migration by the host's clock.
    guest_max_late_ms
        By how much the guest was behind at most, ms.
    max_bandwidth_bytes_per_s, link_rate_bytes_per_s, downtime_limit_ms, auto_converge, \
postcopy_at_s, max_postcopy_bandwidth_bytes_per_s
        QEMU's settings; the link has no limit here: 0.
    outcome
        'completed', 'postcopy_completed' or 'not_converged_cancelled'.
    total_time_ms, setup_time_ms, downtime_qemu_ms, expected_downtime_last_ms
        As QEMU says them at the end, ms.
    downtime_stop_to_resume_ms
        RESUME of the target less STOP of the source, ms.
    wall_migrate_to_end_ms, stop_at_ms
        From our order to the end, and to STOP, ms.
    transferred_bytes, precopy_bytes, downtime_bytes, postcopy_bytes, postcopy_requests, \
duplicate_pages, normal_pages, ram_total_bytes, mbps, dirty_sync_count
        As QEMU counts them at the end; duplicate pages are those of zeros.
    pages_per_second_last, dirty_pages_rate_last_per_s, remaining_last_bytes
        As QEMU said them last while it ran.
    postcopy_switch_ms, postcopy_active_ms
        When it went over to post-copy, and how long that took, ms.
    cpu_throttle_last_pct
        How far QEMU slowed the guest, percent.
    dirty_writes_during_migration_per_s, dest_alive_writes_per_s
        Page writes a second by the host's clock: meanwhile in the source, afterwards in the target.
    host_cpu_busy_pct, host_cpu_steal_pct, load1
        How busy the host was meanwhile.
    started_unix_s
        When, s since 1970.
    qemu_version
        Of the program.
    writer_page_at_start
        At which page of its working set the guest was when the migration began, if it writes in
        turn: the model does not read it, as nobody knows it of a guest that is not ours.
    qemu_waited_ms
        How long threads of the two QEMUs stood ready meanwhile and got no processor, ms.
    """

    run_id: str
    group: str
    rep: int
    accel: str
    ram_mib: int
    fill_mib: int
    mode: str
    working_set_pages: int
    hot_pages: int
    hot_write_pct: int
    dirty_writes_nominal_per_s: int
    dirty_writes_measured_per_s: float | None
    guest_max_late_ms: float
    max_bandwidth_bytes_per_s: int
    link_rate_bytes_per_s: int
    downtime_limit_ms: int
    auto_converge: int
    postcopy_at_s: float | None
    max_postcopy_bandwidth_bytes_per_s: int
    outcome: str
    total_time_ms: float
    setup_time_ms: float | None
    downtime_qemu_ms: float | None
    downtime_stop_to_resume_ms: float | None
    expected_downtime_last_ms: float | None
    wall_migrate_to_end_ms: float
    transferred_bytes: int
    precopy_bytes: int
    downtime_bytes: int
    postcopy_bytes: int
    postcopy_requests: int
    duplicate_pages: int
    normal_pages: int
    ram_total_bytes: int
    mbps: float
    pages_per_second_last: int | None
    dirty_pages_rate_last_per_s: int | None
    dirty_sync_count: int
    remaining_last_bytes: int | None
    stop_at_ms: float | None
    postcopy_switch_ms: float | None
    postcopy_active_ms: float | None
    cpu_throttle_last_pct: float | None
    dirty_writes_during_migration_per_s: float | None
    dest_alive_writes_per_s: float | None
    host_cpu_busy_pct: float | None
    host_cpu_steal_pct: float | None
    load1: float
    started_unix_s: float
    qemu_version: str
    writer_page_at_start: float | None
    qemu_waited_ms: float | None

    @property
    def calm(self) -> bool:
        """Whether the host was calm enough for the figures to mean something; unknown counts.

        Calm is less than 90 % busy, or that QEMU's threads, all together, waited for a processor
        for less than a tenth of the time: on a machine that others keep busy it is a third.
        """
        if self.host_cpu_busy_pct is None or self.host_cpu_busy_pct < 90:
            return True
        return (
            self.qemu_waited_ms is not None
            and self.qemu_waited_ms < 0.1 * self.wall_migrate_to_end_ms
        )


COLUMNS = tuple(field.name for field in fields(Record))


def append(path: Path, record: Record) -> None:
    """Write a row, and wait until it is on the disk.

    Parameters
    ----------
    path
        The file; it is begun if it is not there.
    record
        The row.

    Examples
    --------
    >>> append(Path("lab.csv"), record)  # doctest: +SKIP
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        rows.writerow(COLUMNS)
    rows.writerow(["" if value is None else value for value in vars(record).values()])
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Record]:
    """Return the rows of a file; one that was cut off in the middle is cut out.

    Parameters
    ----------
    path
        The file; if it is not there, it has no rows.

    Returns
    -------
    list of Record
        In the file's order.

    Raises
    ------
    InvalidInputError
        If it is another kind of file: it is left as it is.

    Examples
    --------
    >>> from pathlib import Path
    >>> read(Path("not-there.csv"))
    []
    """
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    rows = csv.reader(io.StringIO(whole))
    head = next(rows, None)
    if head is None and ",".join(COLUMNS).startswith(text):
        _cut(path, "")
        return []
    if head != list(COLUMNS):
        raise InvalidInputError("out", str(path), "a file of this lab's measurements, or a new one")
    records = [_record(path, row) for row in rows]
    if whole != text:
        _cut(path, whole)
    return records


def _cut(path: Path, text: str) -> None:
    """Leave the whole rows alone, by a file that takes the other's place at once."""
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


_KINDS = get_type_hints(Record)


def _record(path: Path, row: list[str]) -> Record:
    if len(row) != len(COLUMNS):
        raise InvalidInputError("out", f"{path}: {row[:1]}", f"{len(COLUMNS)} columns in each row")
    values: dict[str, str | float | int | None] = {}
    for name, text in zip(COLUMNS, row, strict=True):
        kind = str(_KINDS[name])
        try:
            values[name] = _value(text, kind)
        except ValueError as error:
            raise InvalidInputError(f"{path}: {name}", text, "a number") from error
    return Record(**values)  # type: ignore[arg-type]  # each was made by its own column's type


def _value(text: str, kind: str) -> str | float | int | None:
    if "str" in kind:
        return text
    if text == "" and "None" in kind:
        return None
    return int(text) if "int" in kind else float(text)
