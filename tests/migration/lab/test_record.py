"""The file of measurements: what goes in comes out, and nothing is lost by a kill or a mistake."""

from __future__ import annotations

import csv
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.migration.lab.examples import record
from virtlab.migration.lab.record import COLUMNS, Record, append, read
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

# The columns of the measurements that the course was checked with, which the lab has too.
COLUMNS_OF_OTHERS = {
    "run_id", "group", "rep", "accel", "ram_mib", "fill_mib", "mode", "working_set_pages",
    "hot_pages", "hot_write_pct", "dirty_writes_nominal_per_s", "max_bandwidth_bytes_per_s",
    "link_rate_bytes_per_s", "downtime_limit_ms", "auto_converge", "postcopy_at_s",
    "max_postcopy_bandwidth_bytes_per_s", "outcome", "total_time_ms", "downtime_qemu_ms",
    "downtime_stop_to_resume_ms", "transferred_bytes", "duplicate_pages", "normal_pages",
    "dirty_sync_count", "host_cpu_busy_pct", "load1", "started_unix_s",
}  # fmt: skip

optional = st.none() | st.floats(0, 1e6)


@given(st.lists(st.tuples(optional, optional, st.integers(0, 2**40)), max_size=5))
def test_rows_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[tuple[float | None, float | None, int]],
) -> None:
    path = tmp_path_factory.mktemp("rows") / "lab.csv"
    rows = [
        replace(record(), downtime_qemu_ms=pause, host_cpu_busy_pct=busy, transferred_bytes=sent)
        for pause, busy, sent in values
    ]
    for row in rows:
        append(path, row)
    assert read(path) == rows


def test_the_columns_are_those_of_the_other_measurements(tmp_path: Path) -> None:
    append(tmp_path / "lab.csv", record())
    with (tmp_path / "lab.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert set(row) >= COLUMNS_OF_OTHERS
    assert row["postcopy_at_s"] == ""
    assert row["transferred_bytes"] == str(record().transferred_bytes)


@given(st.data())
def test_wherever_the_writing_was_cut_off_the_whole_rows_are_there(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "lab.csv"
    rows = [record(rep) for rep in (1, 2, 3)]
    for row in rows:
        append(path, row)
    whole = path.read_bytes()
    length = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:length])
    kept = read(path)
    assert kept == rows[: max(whole[:length].count(b"\n") - 1, 0)]
    for row in rows[len(kept) :]:  # going on gives the file that it would have been
        append(path, row)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("text", ["name,age\nann,7\n", "no lines at all", "\n"])
def test_another_kind_of_file_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match="must be a file of this lab's measurements"):
        read(path)
    assert path.read_text() == text


def test_a_row_that_was_edited_wrongly_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lab.csv"
    append(path, record())
    path.write_text(path.read_text().replace(",completed,", ",completed,x"))
    with pytest.raises(InvalidInputError, match=r"total_time_ms = 'x4381\.0'"):
        read(path)
    path.write_text(f"{','.join(COLUMNS)}\nshort,row\n")
    with pytest.raises(InvalidInputError, match=f"{len(COLUMNS)} columns"):
        read(path)


def test_calm_is_less_than_ninety_percent_busy() -> None:
    assert replace(record(), host_cpu_busy_pct=89.9).calm
    assert not replace(record(), host_cpu_busy_pct=90.0, qemu_waited_ms=500.0).calm
    assert replace(record(), host_cpu_busy_pct=None).calm  # macOS does not say


def test_calm_is_also_where_qemu_did_not_wait_for_the_busy_processors() -> None:
    busy = replace(record(), host_cpu_busy_pct=100.0, wall_migrate_to_end_ms=4000.0)
    assert replace(busy, qemu_waited_ms=399.0).calm
    assert not replace(busy, qemu_waited_ms=400.0).calm
    assert not replace(busy, qemu_waited_ms=None).calm


def test_every_column_is_described() -> None:
    for name in asdict(record()):
        assert name in (Record.__doc__ or ""), name
