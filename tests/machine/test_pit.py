"""The timer: it fires at exact instruction counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtlab.machine.devices.pic import Pic
from virtlab.machine.devices.pit import Clock, Pit
from virtlab.validate import InvalidInputError


def made(mode: int, count: int, *, tick: int = 1, start: int = 0) -> tuple[Clock, Pic, Pit]:
    clock, pic = Clock(), Pic()
    clock.waited = start
    for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1)):
        pic.write(port, 1, value)
    pit = Pit(clock, pic, tick)
    for port, value in ((0x43, 0x30 | mode << 1), (0x40, count & 0xFF), (0x40, count >> 8)):
        pit.write(port, 1, value)
    return clock, pic, pit


def served(pic: Pic) -> bool:
    """Serve the timer's interrupt, if it has come."""
    if not pic.pending():
        return False
    assert pic.acknowledge() == 0x20
    pic.write(0x20, 1, 0x20)
    return True


@given(st.sampled_from([2, 3, 6, 7]), st.integers(1, 40), st.integers(1, 9), st.integers(0, 1000))
def test_it_fires_each_count_ticks(mode: int, count: int, tick: int, start: int) -> None:
    clock, pic, pit = made(mode, count, tick=tick, start=start)
    fired: list[int] = []
    for _ in range(3 * count * tick + 1):
        pit.advance()
        if served(pic):
            fired.append(clock.now)
        clock.waited += 1
    assert fired == [start + k * count * tick for k in (1, 2, 3)]


@given(st.sampled_from([0, 2, 3]), st.integers(1, 0xFFFF), st.integers(1, 100))
def test_leaping_from_event_to_event_is_the_same(mode: int, count: int, tick: int) -> None:
    clock, pic, pit = made(mode, count, tick=tick)
    fired: list[int] = []
    while len(fired) < 4 and (event := pit.next_event()) is not None:
        clock.waited = event - 1
        assert pit.advance() == 0
        assert not pic.pending()
        clock.waited = event
        assert pit.advance() == 1
        assert served(pic)
        fired.append(event)
    times = 1 if mode == 0 else 4
    assert fired == [k * count * tick for k in range(1, times + 1)]


@given(st.integers(1, 500), st.integers(0, 5000))
def test_late_events_are_one_interrupt(count: int, late: int) -> None:
    clock, pic, pit = made(2, count)
    clock.waited = late
    assert pit.advance() == late // count
    assert served(pic) == (late >= count)
    assert not served(pic)
    event = pit.next_event()
    assert event is not None
    assert late < event <= late + count


@given(st.sampled_from([0, 2, 3]), st.integers(2, 0xFFFF), st.integers(0, 200_000))
def test_the_counter_counts_down(mode: int, count: int, now: int) -> None:
    clock, _, pit = made(mode, count)
    clock.waited = now
    pit.write(0x43, 1, 0x00)  # latch
    clock.waited += 1000
    value = pit.read(0x40, 1) | pit.read(0x40, 1) << 8
    if mode == 0:
        assert value == (count - now) & 0xFFFF
    elif mode == 2:
        assert value == count - now % count
    else:
        assert value == (count - 2 * now % count) & 0xFFFE
    clock.waited = now
    again = pit.read(0x40, 1) | pit.read(0x40, 1) << 8  # not stopped any more
    assert again == value


@pytest.mark.parametrize(("access", "bytes_", "count"), [(1, [7], 7), (2, [7], 0x700)])
def test_a_count_of_one_byte(access: int, bytes_: list[int], count: int) -> None:
    _, _, pit = made(2, 100)
    pit.write(0x43, 1, access << 4 | 4)
    assert pit.next_event() is None
    for value in bytes_:
        pit.write(0x40, 1, value)
    assert pit.next_event() == count
    assert pit.read(0x40, 1) == 7


def test_a_count_of_zero_is_65536() -> None:
    assert made(2, 0)[2].next_event() == 0x10000


def test_read_back_latches_too() -> None:
    clock, _, pit = made(2, 100)
    clock.waited = 30
    pit.write(0x43, 1, 0xC2)
    clock.waited = 60
    assert pit.read(0x40, 1) == 70
    pit.read(0x40, 1)
    assert pit.read(0x40, 1) == 40


def test_other_channels_are_not_there() -> None:
    _, _, pit = made(2, 100)
    before = pit.save()
    pit.write(0x43, 1, 0xB6)
    pit.write(0x42, 1, 5)
    assert pit.save() == before
    assert pit.read(0x42, 1) == 0xFF


def test_a_tick_is_at_least_an_instruction() -> None:
    with pytest.raises(InvalidInputError, match="instructions_per_tick"):
        Pit(Clock(), Pic(), 0)


def test_the_clock_counts_what_was_done_and_what_was_waited() -> None:
    clock = Clock(lambda: 5)
    clock.waited = 7
    assert clock.now == 12
