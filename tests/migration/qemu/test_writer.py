"""Where the guest writes, and how memory lies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.migration.qemu import QemuParameters
from virtlab.migration.qemu.data import qemu_migrations, qemu_rounds
from virtlab.migration.qemu.writer import first_page, memory, written

COST = (4104.0, 0.0), (9.0, 0.0)


@pytest.mark.parametrize(("ram", "filled"), [(256, 224), (512, 480)])
def test_memory_has_as_many_zeros_as_qemu_counted(ram: int, filled: int) -> None:
    runs = qemu_migrations()
    still = runs[(runs["dirty_writes_nominal_per_s"] == 0) & (runs["ram_mib"] == ram)]
    still = still[still["fill_mib"] == filled]
    dirty = memory(QemuParameters(ram_mib=ram, filled_mib=filled, working_set_pages=0), *COST)
    assert dirty.pages * 4096 == still["ram_total_bytes"].iloc[0]
    # Two pages of the BIOS's are sent again.
    taken = dirty.take(math.inf)
    assert set(still["duplicate_pages"]) == {taken.zero_pages}
    assert set(still["normal_pages"]) == {taken.pages - taken.zero_pages + 2}


def test_pages_dirtied_in_the_first_round_are_those_measured() -> None:
    """The README says to 0.03 %: pages walked over in the round, at most the working set."""
    rounds = qemu_rounds()
    first = rounds[rounds["sync_index"] == 2].merge(qemu_migrations(), on="run_id")
    first = first[(first["mode"] == "round_robin") & (first["host_cpu_busy_pct"] < 90)]
    first = first[(first["dirty_writes_nominal_per_s"] > 0) & (first["vm_running"] == 1)]
    off = []
    for row in first.to_dict("records"):
        spec = QemuParameters.from_row(row)
        parts = written(spec, 0.0, row["sync_start_ms"] / 1000, 0.3)
        walked = sum((end - start) * share for start, end, share in parts)
        off.append(walked / (row["new_dirty_pages"] - 2) - 1)
    assert len(off) > 20
    assert np.median(np.abs(off)) < 0.0003


@given(
    st.integers(1, 5000), st.floats(0, 1e5), st.floats(0, 10), st.floats(0, 10), st.floats(0, 0.999)
)
def test_a_round_is_an_arc(
    pages: int, rate: float, start_s: float, seconds: float, place: float
) -> None:
    spec = QemuParameters(working_set_pages=pages, dirty_pages_s=rate)
    parts = written(spec, start_s, start_s + seconds, place)
    walked = rate * ((start_s + seconds) - start_s)
    assert math.isclose(sum(b - a for a, b, _ in parts), min(pages, walked), abs_tol=1e-6)
    assert all(first_page(spec) <= a <= b <= first_page(spec) + pages for a, b, _ in parts)


@given(st.floats(0, 3), st.floats(0, 3), st.sampled_from(["round-robin", "random", "hot"]))
def test_two_halves_dirty_what_the_whole_does(first_s: float, then_s: float, pattern: str) -> None:
    spec = QemuParameters(
        ram_mib=64,
        filled_mib=32,
        working_set_pages=2000,
        dirty_pages_s=700,
        pattern=pattern,
        hot_pages=300,
        hot_write_percent=90,
    )
    whole, halves = memory(spec, *COST), memory(spec, *COST)
    for dirty in (whole, halves):
        dirty.take(math.inf)
    for part in written(spec, 0, first_s + then_s, 0.9):
        whole.add(*part)
    for begin, end in ((0, first_s), (first_s, first_s + then_s)):
        for part in written(spec, begin, end, 0.9):
            halves.add(*part)
    assert math.isclose(whole.pages, halves.pages, rel_tol=1e-9, abs_tol=1e-6)


def test_random_writes_hit_pages_again() -> None:
    spec = QemuParameters(working_set_pages=1000, dirty_pages_s=1000, pattern="random")
    drawn = np.random.default_rng(5).integers(0, 1000, (2000, 1000))
    hit = np.mean([np.unique(row).size for row in drawn])
    ((_, _, share),) = written(spec, 0, 1, 0.0)
    assert abs(1000 * share - hit) < 2


def test_no_working_set_no_writes() -> None:
    assert written(QemuParameters(working_set_pages=0, dirty_pages_s=100), 0, 1, 0.0) == []
    assert written(QemuParameters(dirty_pages_s=0), 0, 1, 0.0) == []


def test_hot_may_be_all_and_none() -> None:
    every = QemuParameters(dirty_pages_s=100, pattern="hot", hot_pages=16384, hot_write_percent=100)
    assert len(written(every, 0, 1, 0.0)) == 1
    none = QemuParameters(dirty_pages_s=100, pattern="hot", hot_pages=0, hot_write_percent=0)
    assert written(none, 0, 1, 0.0) == written(QemuParameters(dirty_pages_s=100), 0, 1, 0.0)
