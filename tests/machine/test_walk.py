"""A walk through a guest: any step, from anywhere, is the step that a straight run comes to."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.test_step_back import everything
from virtlab.machine.computer import Computer
from virtlab.machine.guests import kernel
from virtlab.machine.image import load
from virtlab.machine.rings import ring_table
from virtlab.machine.stage import STACK
from virtlab.machine.walk.checkpoint import bring_back, keep
from virtlab.machine.walk.lines import Names, listing, peek
from virtlab.machine.walk.moment import Moment
from virtlab.machine.walk.programs import (
    PROGRAMS,
    attempt,
    kernel_ride,
    moments,
    program,
    read_bytes,
)
from virtlab.machine.walk.ride import EVERY, Ride
from virtlab.validate import InvalidInputError

# The ride takes seconds to record: when it is first asked for, not when tests are collected.
NUMBERS = st.deferred(lambda: st.integers(0, kernel_ride().last))


def straight(number: int) -> Computer:
    """Run the kernel from its start, with nothing but steps."""
    computer = Computer(2, history=0, decoder=kernel_ride().computer.processor.decoder)
    computer.load(load(kernel(), 2 << 20))
    for _ in range(number):
        computer.step()
    return computer


# --- to any step ----------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=4), NUMBERS)
def test_a_step_is_the_same_wherever_one_comes_from(path: list[int], end: int) -> None:
    ride = kernel_ride()
    ride.go(end)
    wanted, said = everything(ride.computer), ride.moment
    for number in path:
        ride.go(number)
    assert ride.go(end) == said
    assert everything(ride.computer) == wanted


@pytest.mark.parametrize("number", [0, 1, 999, EVERY, EVERY + 1, 9_695, 24_289, 27_761])
def test_it_is_the_step_of_a_straight_run(number: int) -> None:
    ride = kernel_ride()
    ride.go(ride.last)
    ride.go(number)
    assert everything(ride.computer) == everything(straight(number))


def test_back_and_forward_step_by_step_over_a_checkpoint() -> None:
    ride = kernel_ride()
    seen: dict[int, tuple[Any, ...]] = {}
    for number in range(24_000 - 5, 24_000 + 5):
        ride.go(number)
        seen[number] = everything(ride.computer)
    for number in reversed(seen):
        assert ride.go(number).number == number
        assert everything(ride.computer) == seen[number]


def test_a_checkpoint_is_all_of_a_computer() -> None:
    computer = straight(30_000)
    before, kept = everything(computer), keep(computer)
    for _ in range(5_000):
        computer.step()
    assert everything(computer) != before
    bring_back(computer, kept)
    assert everything(computer) == before


def test_a_ride_needs_a_history_and_stays_inside() -> None:
    with pytest.raises(InvalidInputError, match="history"):
        Ride(Computer(2, history=0), {}, "")
    with pytest.raises(InvalidInputError, match="number = 3: must be"):
        attempt(b"\x90\x90", ring=3).go(3)
    with pytest.raises(InvalidInputError, match="how = 'timer'"):
        attempt(b"\x90", ring=3).first("timer")
    with pytest.raises(InvalidInputError, match="instruction = 'CLI'"):
        attempt(b"\x90", ring=3).find("CLI")


# --- the small kernel -----------------------------------------------------------------------------


def test_the_ride_is_the_kernels_run() -> None:
    ride, straight_run = kernel_ride(), straight(0)
    run = straight_run.run(400_000)
    counted = {name: times for (name, how), times in run.traps.items()}
    told: dict[str, int] = {}
    for event in ride.events:
        told[event.how] = told.get(event.how, 0) + 1
    assert told == {
        "iret": sum(counted.values()) + 1 - 1,  # one more into the first process, none at the end
        "int 0x80": counted["int 0x80"],
        "timer": counted["int 0x20"],
        "#PF": counted["#PF"],
    }
    rings = ride.summary()
    assert rings["steps_at_ring_1"] == rings["steps_at_ring_2"] == 0
    assert sum(int(rings[f"steps_at_ring_{ring}"]) for ring in range(4)) == ride.last
    ride.go(ride.last)
    assert ride.computer.uart.output == run.output


def test_its_moments_are_what_they_say() -> None:
    ride = kernel_ride()
    numbers = list(moments().values())
    assert numbers == sorted(numbers)
    for words, number in moments().items():
        moment = ride.go(number)
        if ": " in words:
            assert words.split(": ")[1].lower().split()[0] in f"{moment.what} {moment.how}".lower()
    assert ride.go(moments()["paging is switched on: MOV CR0"]).summary()["ring"] == 0
    first = ride.go(moments()["into ring 3, for the first time: IRET"])
    assert (first.came, first.ring) == (0, 3)
    assert first.next is not None
    assert first.next.name == "program"


def test_a_call_of_the_kernel_shows_gate_stack_and_frame() -> None:
    ride = kernel_ride()
    moment = ride.go(moments()["a process calls: INT 0x80"])
    assert [(entry.table, entry.place) for entry in moment.entries] == [
        ("IDT", "0x80"), ("GDT", "0x8"), ("TSS", "ring 0"),
    ]  # fmt: skip
    frame = moment.frame
    assert frame is not None
    assert frame.pushed
    values = {name: value for name, _, value in frame.words}
    before = {value.name: value.before for value in (*moment.registers, *moment.flags)}
    assert values["CS"] == before["CS"] == 0x1B
    assert values["SS"] == before["SS"]
    assert values["ESP"] == before["ESP"]
    assert values["EIP"] == before["EIP"] + 2  # after the int
    assert values["EFLAGS"] >> 9 & 1 == before["IF"] == 1
    back = ride.go(moments()["and gets its answer: IRET"])
    assert back.frame is not None
    assert not back.frame.pushed
    assert {name: value for name, _, value in back.frame.words} == values
    assert "iret" in back.how


def test_a_page_fault_says_what_its_code_means() -> None:
    ride = kernel_ride()
    heap = ride.go(moments()["a page is not there: #PF"])
    assert "error code 6: no page, a write, by ring 3" in heap.explain()
    assert heap.frame is not None
    assert ("error code", 6) in [(name, value) for name, _, value in heap.frame.words]
    mine = ride.go(moments()["a page is the kernel's: #PF"])
    assert "error code 5: a page that is there, a read, by ring 3" in mine.explain()


def test_looking_leaves_no_trace() -> None:
    ride = kernel_ride()
    ride.go(30_000)
    before = everything(ride.computer)
    processor = ride.computer.processor
    assert peek(processor, 0x90000000, 4) == b""  # no page there, and no fault
    assert len(peek(processor, 0x400000, 15)) == 15
    _ = ride.moment, ride.next_event(), ride.to_frame()
    assert everything(ride.computer) == before


# --- a few bytes ----------------------------------------------------------------------------------


def test_what_traps_and_what_does_not_is_what_the_table_of_rings_says() -> None:
    table = ring_table()
    for name, code in {"cli": "fa", "hlt": "f4", "smsw": "0f01e0", "str": "0f00c8"}.items():
        for ring in range(4):
            moment = attempt(read_bytes(code), ring).go(1)
            trapped = moment.kind == "trap"
            assert trapped == bool(table.outcomes[name, ring, 0].fault), (name, ring)
            if not trapped and ring and name in ("smsw", "str"):
                assert moment.how == "no trap"


def test_popf_is_silent_at_rings_1_to_3_and_heard_at_0() -> None:
    code = read_bytes(program("the same by popf, with flags from the stack").code)
    for ring in range(4):
        ride = attempt(code, ring)
        moment = ride.go(3)
        assert moment.what.startswith("POPF")
        assert ("no trap" in moment.explain()) == (ring > 0)
        ride.go(ride.last)
        told = ride.computer.processor.registers["EAX"] >> 9 & 1
        assert told == (1 if ring else 0)


def test_with_iopl_3_there_is_nothing_to_be_said() -> None:
    code = read_bytes(program("the same by popf, with flags from the stack").code)
    assert "no trap" not in attempt(code, 3, iopl=3).go(3).explain()


@pytest.mark.parametrize("one", PROGRAMS, ids=lambda one: one.name)
@pytest.mark.parametrize("ring", range(4))
def test_each_program_can_be_tried_at_each_ring(one: Any, ring: int) -> None:
    ride = attempt(read_bytes(one.code), ring)
    assert 1 <= ride.last <= 10
    for number in range(ride.last + 1):
        moment = ride.go(number)
        assert moment.explain().endswith(".")
        assert len(moment.to_frame()) >= 1
        assert moment.next is not None


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=24), st.integers(0, 3), st.integers(0, 3))
def test_any_bytes_can_be_tried(code: bytes, ring: int, iopl: int) -> None:
    ride = attempt(code, ring, iopl)
    assert ride.last <= 300
    states = []
    for number in range(min(ride.last, 20) + 1):
        moment = ride.go(number)
        assert isinstance(moment, Moment)
        assert moment.explain()
        states.append(everything(ride.computer))
    for number in reversed(range(len(states))):
        ride.go(number)
        assert everything(ride.computer) == states[number]


def test_a_program_without_an_end_is_stopped() -> None:
    assert attempt(bytes.fromhex("ebfe"), ring=3).last == 300


def test_a_triple_fault_is_told() -> None:
    ride = attempt(bytes.fromhex("0f011d00600000 0f0b"), ring=0)  # lidt of zeros, ud2
    end = ride.go(ride.last).explain()
    assert "triple fault" in end
    assert ride.computer.ended == "shutdown"


@pytest.mark.parametrize("text", ["", "c", "cli", "zz", "90 " * 65])
def test_what_is_no_bytes_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="1 to 64 bytes in hexadecimal"):
        read_bytes(text)
    with pytest.raises(InvalidInputError):
        attempt(b"", 3)


@pytest.mark.parametrize("text", ["cd80", "cd 80", "0xcd 0x80", "cd,80", "CD 80 "])
def test_bytes_are_read_as_people_write_them(text: str) -> None:
    assert read_bytes(text) == b"\xcd\x80"


def test_code_is_shown_with_what_stands_before_it() -> None:
    ride = attempt(bytes.fromhex("90 90 90 b82a000000 90"), ring=3)
    moment = ride.go(3)
    assert [line.text for line in moment.lines] == ["NOP"] * 3 + ["MOV EAX,0x2a", "NOP"]
    assert [line.now for line in moment.lines] == [False] * 3 + [True, False]
    assert moment.lines[0].name == "code"
    processor = ride.computer.processor
    lines = listing(processor, 0, STACK + 1, Names({"stack": STACK}))  # a name before data
    assert lines[0].now or lines[1].now


def test_events_lead_from_one_to_the_next() -> None:
    ride = kernel_ride()
    ride.go(0)
    seen = []
    while (number := ride.next_event(ring_change=True)) < ride.last:
        ride.go(number)
        seen.append(number)
    assert seen == [event.number for event in ride.events if event.came != event.ring]
    ride.go(ride.last)
    assert ride.next_event(back=True) == seen[-1]
    assert re.fullmatch(r"[\d,]+ steps; \d+ of them change the ring, or trap: .*", ride.explain())
