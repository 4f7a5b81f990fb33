"""The real disk and what is handed out: published figures, real bytes, ranges apart."""

from __future__ import annotations

import itertools
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtlab.machine.esx.acts import BASIS, NATIVE, VIRTUAL, Costs, Event, Log
from virtlab.machine.esx.physical import (
    HP97560,
    SECTOR,
    BlockRequest,
    Geometry,
    PhysicalDisk,
)
from virtlab.machine.esx.ranges import Ranges
from virtlab.validate import InvalidInputError


# Ruemmler and Wilkes 1994, table 2 and the seek curve of their figure, HP 97560.
@pytest.mark.parametrize(
    ("distance", "ms"),
    [(0, 0), (1, 3.64), (100, 7.24), (382, 11.058), (383, 11.064), (1961, 23.688)],
)
def test_seeks_are_the_published_ones(distance: int, ms: float) -> None:
    assert HP97560.seek_ms(distance) == pytest.approx(ms, abs=0.001)


def test_the_disk_is_the_published_one() -> None:
    assert HP97560.turn_ms == pytest.approx(14.99, abs=0.01)
    assert HP97560.capacity == 1962 * 19 * 72 * 512
    rate_mb_s = 72 * 512 / HP97560.turn_ms / 1000
    assert rate_mb_s == pytest.approx(2.46, abs=0.01)


@given(st.integers(0, 1960))
def test_a_longer_seek_is_no_shorter(distance: int) -> None:
    assert HP97560.seek_ms(distance) <= HP97560.seek_ms(distance + 1)


@settings(deadline=None)
@given(lba=st.integers(0, 3990), sectors=st.integers(1, 10), now=st.floats(0, 1e7))
def test_a_service_is_made_of_its_parts(lba: int, sectors: int, now: float) -> None:
    disk = PhysicalDisk.of(bytes(4000 * SECTOR))
    service = disk.start(BlockRequest(lba, sectors), now)
    turn_us = HP97560.turn_ms * 1000
    assert service.controller_us == 2200
    assert service.seek_us == HP97560.seek_ms(HP97560.cylinder(lba)) * 1000
    assert 0 <= service.rotation_us < turn_us
    assert service.transfer_us >= sectors / 72 * turn_us - 1e-6
    # When it begins to transfer, that sector is under the head.
    begins = now + service.us - service.transfer_us
    under = begins / turn_us % 1.0 * 72
    assert min(abs(under - lba % 72), 72 - abs(under - lba % 72)) < 1e-3
    assert len(disk.finish()) == sectors * SECTOR
    assert disk.cylinder == HP97560.cylinder(lba + sectors - 1)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 4), st.binary(min_size=1, max_size=1)),
        max_size=12,
    )
)
def test_bytes_are_really_in_the_file(writes: list[tuple[int, int, bytes]]) -> None:
    expected = bytearray(64 * SECTOR)
    with tempfile.TemporaryFile() as file:
        file.write(expected)
        disk = PhysicalDisk(file)
        for lba, sectors, byte in writes:
            data = byte * sectors * SECTOR
            disk.start(BlockRequest(lba, sectors, write=True, data=data), 0.0)
            disk.finish()
            expected[lba * SECTOR : (lba + sectors) * SECTOR] = data
        file.seek(0)
        assert file.read() == expected
        assert disk.requests == len(writes)


def test_the_disk_serves_one_after_the_other() -> None:
    disk = PhysicalDisk.of(bytes(8 * SECTOR))
    with pytest.raises(InvalidInputError, match="idle"):
        disk.finish()
    disk.start(BlockRequest(0, 1), 0.0)
    with pytest.raises(InvalidInputError, match="busy"):
        disk.start(BlockRequest(1, 1), 0.0)


@pytest.mark.parametrize(
    "request_", [BlockRequest(8, 1), BlockRequest(7, 2), BlockRequest(-1, 1), BlockRequest(0, 0)]
)
def test_sectors_that_are_not_there_are_refused(request_: BlockRequest) -> None:
    disk = PhysicalDisk.of(bytes(8 * SECTOR))
    with pytest.raises(InvalidInputError, match="sectors"):
        disk.start(request_, 0.0)
    assert disk.service is None


@pytest.mark.parametrize("size", [0, 511, 513])
def test_a_disk_has_whole_sectors(size: int) -> None:
    with pytest.raises(InvalidInputError, match="bytes of the disk"):
        PhysicalDisk.of(bytes(size))


@pytest.mark.parametrize("named", [{"cylinders": 0}, {"rpm": 0}, {"controller_ms": -1}])
def test_a_geometry_is_checked(named: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(named))):
        Geometry(**named)  # type: ignore[arg-type] # bad on purpose


@given(st.lists(st.tuples(st.sampled_from("ABCDEF"), st.integers(1, 9)), max_size=30))
def test_ranges_never_overlap_and_nothing_is_lost(steps: list[tuple[str, int]]) -> None:
    ranges = Ranges(24, "MiB")
    for owner, size in steps:
        before = dict(ranges.owners)
        try:
            if owner in ranges.owners:
                ranges.take(owner)
            else:
                ranges.give(owner, size)
        except InvalidInputError:
            assert ranges.owners == before
        held = sorted(ranges.owners.values())
        assert all(one.end <= two.begin for one, two in itertools.pairwise(held))
        assert all(one.begin >= 0 and one.end <= 24 for one in held)
        assert ranges.free == 24 - sum(one.size for one in held)


def test_the_first_gap_that_is_long_enough_is_used() -> None:
    ranges = Ranges(20, "MiB")
    for owner, size in (("A", 3), ("B", 5), ("C", 2)):
        ranges.give(owner, size)
    ranges.take("A")
    ranges.take("B")
    assert ranges.give("D", 9).begin == 10
    assert ranges.give("E", 8).begin == 0
    ranges.take("E")
    assert [ranges.give(owner, 4).begin for owner in "FG"] == [0, 4]


def test_ranges_say_what_is_wrong() -> None:
    ranges = Ranges(8, "MiB")
    ranges.give("A", 6)
    with pytest.raises(InvalidInputError, match="2 of 8 are free"):
        ranges.give("B", 3)
    with pytest.raises(InvalidInputError, match="has no MiB yet"):
        ranges.give("A", 1)
    with pytest.raises(InvalidInputError, match="one that has MiB"):
        ranges.take("B")


# --- what acts take -------------------------------------------------------------------------------


def test_costs_are_the_papers() -> None:
    """Adams and Agesen 2006, at 3.8 GHz: rdtsc that traps, `in` natively, system calls, div 0."""
    assert VIRTUAL.us("port") * 3800 == pytest.approx(2030)
    assert NATIVE.us("port") * 3800 == pytest.approx(3209)
    assert VIRTUAL.us("call") / NATIVE.us("call") == pytest.approx(2300 / 242)
    assert VIRTUAL.us("inject") * 3800 == pytest.approx(3223)
    assert NATIVE.us("inject") * 3800 == pytest.approx(889)


def test_a_log_counts_up_and_keeps_its_clock() -> None:
    log = Log(Costs({"port": 3800}, instruction_cycles=0))
    event = Event("kernel", "vmm", "port", "out 0x80")
    assert [log.add("VM1", event).start_us for _ in range(3)] == [0, 1, 2]
    assert log.beside("VM1", event, 0.5, 0.1).number == 4
    assert log.now_us == 3


@pytest.mark.parametrize(
    "bad", [{"cycles": {"walk": 1}}, {"cycles": {"port": -1}}, {"cycles": {}, "ghz": 0}]
)
def test_costs_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        Costs(**bad)  # type: ignore[arg-type] # bad on purpose


def test_each_kind_says_whose_figure_it_is() -> None:
    assert set(VIRTUAL.cycles) | set(NATIVE.cycles) <= set(BASIS)
    assert all(BASIS.values())
