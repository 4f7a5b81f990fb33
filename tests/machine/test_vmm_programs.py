"""Random programs under the monitor: what only traps, or is patched, runs as at ring 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import GDT, PAGING_ON, TSS, map_pages, out
from tests.machine.vmm_guests import (
    EXIT,
    POINTERS,
    assert_same,
    le,
    monitored,
    native,
    one_decoder,
)
from virtlab.machine.guests import kernel
from virtlab.machine.history import save_processor
from virtlab.machine.image import load
from virtlab.machine.segments import descriptor_bytes
from virtlab.machine.vmm import Monitor
from virtlab.machine.vmm.host import GDT as HOST_GDT

if TYPE_CHECKING:
    from virtlab.machine.computer import Computer

__all__ = ["one_decoder"]  # pytest finds it here


# --- random programs ------------------------------------------------------------------------------

PLAIN = [
    *("01d8", "29c3", "31ca", "0fafc3", "c1e003", "d1f9", "f7d8", "40", "4b", "87d1", "0fb6c0"),
    *("50", "5b", "6a07", "59", "8b0424", "891c24", "0f94c0", "a300400800", "8b1500400800"),
    *("1e", "1f", "06", "07", "f8", "f5", "fc", "98", "99"),
]
TRAPPING = ["fa", "fb", "0f20c0", "0f06", "e460", "cd80", "cd33", "cc", "f7f7", "0f0b", "0f20d8"]
LYING = ["9c", "9d", "0e58", "1658", "8cc8", "8cd3", "0f01e0", "0f00c8", "0f00c1", "0f02c3"]
LYING += ["0f0105 00400800", "0f010d 00400800", "0f03c3", "9c9d", "fa9c58", "6a029d"]


def program(parts: list[str]) -> str:
    # 16 words on the stack, so that what is popped is always there; EDI is 0, a bad divisor.
    return "31f6 31ff bb10000000" + "6a10" * 16 + "".join(parts) + EXIT


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(PLAIN + TRAPPING), max_size=16))
def test_a_program_that_only_traps_runs_as_at_ring_0(parts: list[str]) -> None:
    one, other = native(program(parts)), monitored(program(parts))
    first, second = one.run(2000), other.run(2000)
    if other.wrongs:  # a fault's handler ends in iret, which may lie
        assert {wrong.routine for wrong in other.wrongs} == {"IRET"}
        return
    assert (first.ended, first.why) == (second.ended, second.why)
    assert_same(one, other)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PLAIN + TRAPPING + LYING), max_size=16))
def test_a_patched_program_runs_as_at_ring_0_whatever_it_asks(parts: list[str]) -> None:
    one, other = native(program(parts)), monitored(program(parts), patch=True)
    first, second = one.run(2000), other.run(2000)
    assert other.wrongs == []
    assert (first.ended, first.why) == (second.ended, second.why)
    assert_same(one, other)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(PLAIN + TRAPPING + LYING), max_size=12))
def test_what_differs_from_ring_0_was_found_as_a_lie(parts: list[str]) -> None:
    """Completeness of the judge: where it accuses nobody, nothing differs."""
    one, other = native(program(parts)), monitored(program(parts))
    one.run(2000)
    other.run(2000)
    if not other.wrongs:
        assert_same(one, other)


@settings(max_examples=8, deadline=None)
@given(parts=st.lists(st.sampled_from(PLAIN + TRAPPING + LYING), max_size=12), patch=st.booleans())
def test_a_monitors_steps_are_taken_back_exactly(parts: list[str], *, patch: bool) -> None:
    other = monitored(program(parts), patch=patch, history=1000)

    def whole() -> tuple[object, ...]:
        processor = other.processor
        own = bytes(processor.own.data[: HOST_GDT + 0x100])
        counts = dict(other.entries), dict(other.injected), len(other.log), len(other.wrongs)
        memory = bytes(other.memory.data)
        return save_processor(processor), processor.virtual, own, memory, counts

    marks: list[tuple[object, ...]] = []
    while not other.ended and len(marks) < 120:
        marks.append(whole())
        other.step()
    for mark in reversed(marks):
        other.step_back()
        assert whole() == mark


# --- what kernels rarely do -----------------------------------------------------------------------

USER, GATE, LOCAL = 0x120000, 0x121000, 0x84000


def to_ring_3(flags: int) -> str:
    """Return code that goes on at `USER`, at ring 3."""
    frame = (0x23, 0x70000, flags, 0x1B, USER)
    return "".join(f"68{le(word)}" for word in frame) + "cf"


def prepare(computer: Computer, user: str = "", handler: str = "") -> None:
    """Put more into a guest: a local table, a call gate for ring 3, a map of ports, more code."""
    memory = computer.memory
    gate = f"{le(GATE & 0xFFFF, 2)} 0800 00 ec {le(GATE >> 16, 2)}"
    more = descriptor_bytes(LOCAL, 0xF, 0x82, big=False) + bytes.fromhex(gate)
    memory.write(GDT + 0x30, more)
    memory.write(POINTERS, bytes.fromhex(le(0x3F, 2)))
    memory.write(LOCAL + 8, descriptor_bytes(0x5000, 0xFFF, 0x92))
    memory.write(GDT + 0x28, descriptor_bytes(TSS, 0x90, 0x89, big=False))
    memory.write(TSS + 0x68, b"\xff" * 0x29)
    memory.write(TSS + 0x68 + 0x60 // 8, b"\xfe")  # port 0x60 alone
    memory.write(USER, bytes.fromhex(user))
    memory.write(GATE, bytes.fromhex(handler))


def both(code: str, user: str = "", handler: str = "", *, patch: bool = True) -> Monitor:
    """Run a guest at ring 0 and at ring 1, to its end, and hold them against each other."""
    one, other = native(code), monitored(code, patch=patch)
    for computer in (one, other):
        prepare(computer, user, handler)
    first, second = one.run(400), other.run(400)
    assert first.ended == second.ended
    if patch:
        assert other.wrongs == []
        assert_same(one, other)
    return other


def test_a_program_that_may_use_ports_and_cli_by_iopl() -> None:
    other = both(to_ring_3(0x3202), f"fa 9c 58 fb 9c 5b e461 {EXIT}")
    assert other.exit_port.status == 1
    assert other.processor.registers["EAX"] & 0x3200 == 0x3000
    assert other.processor.registers["EBX"] & 0x3200 == 0x3200
    assert other.entries["CLI"] == other.entries["STI"] == 1


def test_a_program_that_may_use_one_port_by_the_guests_own_map() -> None:
    other = both(to_ring_3(0x202), "31f6 e460 e461 ebfe")
    assert other.processor.registers["ESI"] == 1  # the second is refused
    assert other.injected == {"#GP": 1}
    assert other.entries["IN"] == 1


def test_single_steps_are_the_guests_own() -> None:
    other = both("31f6 6802010000 9d 90 40 fa 9c 58 6802000000 9d" + EXIT)
    assert other.exit_port.status == 1
    assert other.injected["#DB"] == other.processor.registers["ESI"] == 7


def test_a_local_table_has_a_copy_too() -> None:
    code = f"66b83000 0f00d0 66b80c00 8ed8 a110000000 0f00c1 c605{le(0)} 07"
    other = both(code + "66b81000 8ed8 31c0 0f00d0 0f00c5 66b80c00 8ed8" + EXIT)
    registers = other.processor.registers
    assert (registers["ECX"], registers["EBP"]) == (0x30, 0)
    assert other.memory.read(0x5000, 1) == b"\x07"
    assert other.injected["#GP"] == 1  # without the table the selector names nothing


def test_a_write_to_the_local_table_is_followed() -> None:
    small = f"c605{le(LOCAL + 8)} 0f c605{le(LOCAL + 9)} 00"  # its limit becomes 15
    code = f"66b83000 0f00d0 {small} 66b80c00 8ec0 26a00e000000 b9ffffffff 90 26880d10000000"
    other = both(code + "f4", patch=True)
    assert other.entries["trace"] == 2
    assert other.injected["#GP"] >= 1


def test_a_call_gate_from_ring_3_goes_through_the_monitor() -> None:
    other = both(to_ring_3(0x202), f"31f6 9a{le(0)}3b00 46 ebfe", "8cc8 46 cb")
    assert other.processor.registers["ESI"] == 2
    assert other.processor.registers["EAX"] == 0x8
    assert other.entries["CALLF (patched)"] == 1


@pytest.mark.parametrize("code", ["0f01e0", "360f0105 00d00600", "360f010d 00d00600", "0f00c8"])
def test_a_program_at_ring_3_is_lied_to_as_well(code: str) -> None:
    other = both(to_ring_3(2), f"{code} ebfe", patch=False)
    (wrong,) = (one for one in other.wrongs if one.routine != "IRET")
    assert wrong.ring == 3
    assert both(to_ring_3(2), f"{code} ebfe").wrongs == []


def test_a_return_to_the_kernels_own_ring_traps_and_is_done() -> None:
    back = f"68{le(2)} 6808000000 68{le(GATE)} cf"
    other = both(f"fb {back}", handler=f"9c 58 {EXIT}")
    assert other.exit_port.status == 1
    assert other.processor.registers["EAX"] & 0x200 == 0
    plain = both(f"fb {back}", handler=EXIT, patch=False)
    assert plain.entries["IRETD"] == 1  # its selector says ring 0: that is refused at ring 1
    assert plain.wrongs == []


def test_the_step_says_what_the_vmm_did_and_what_it_did_not_see() -> None:
    monitor = monitored("fa 9c")
    steps = [monitor.step() for _ in range(40) if not monitor.wrongs]
    trapped = next(step for step in steps if step.what == "CLI")
    assert trapped.why == "#GP(0): CLI at ring 1 with IOPL 0; the vmm does it for the guest"
    assert trapped.ring == 1
    assert steps[-1].what == "PUSHFD"
    assert steps[-1].why.startswith("no trap, and memory at")


# --- random kernels with rings, pages and a timer -------------------------------------------------

# What faults has two bytes, as the handlers count on: else a jump into the middle would follow.
RING_3 = ["01d8", "40", "cd80", "cc", "fa90", "fb90", "e460", "f490", "0f06", "9c58", "0f01e0"]
RING_3 += ["8cc8", "6a029d", "0f00c8", "1e07", "0f02c3", "cd33", "0f0b", "f7f7", "8cd3"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(RING_3), max_size=14), st.sampled_from([0x2, 0x202, 0x3202]))
def test_a_patched_guests_program_runs_as_at_ring_3(parts: list[str], flags: int) -> None:
    both("31ff 31f6" + to_ring_3(flags), "".join(parts) + "ebfe")


def timer(count: int) -> str:
    pic = [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 2), (0x21, 0xFE)]
    pit = [(0x43, 0x34), (0x40, count), (0x40, 0)]
    return "".join(out(port, value) for port, value in pic + pit)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([*PLAIN, "fa", "fb", "9c9d", "9c58", "8cc8", "fbf4"]), max_size=20),
    st.integers(2, 20),
)
def test_interrupts_come_at_the_same_instruction(parts: list[str], count: int) -> None:
    """The handler counts in ESI, and the controller ends each by itself."""
    code = program(parts).removesuffix(EXIT)
    one, other = made_of(timer(count) + code + "fa" + EXIT)
    first, second = one.run(4000), other.run(4000)
    assert other.wrongs == []
    assert (first.ended, first.why) == (second.ended, second.why)
    assert_same(one, other)


def made_of(code: str) -> tuple[Computer, Monitor]:
    return native(code), monitored(code, patch=True)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([*PLAIN, "0f20d8 0f22d8", "a1{}", "a3{}", "9c58"]), max_size=12),
       st.lists(st.sampled_from([0x84000, 0x1FF000, 0x1FEFFE, 0x300000]), min_size=1))  # fmt: skip
def test_page_faults_are_the_guests_own(parts: list[str], places: list[int]) -> None:
    """The handler of #PF maps nothing: it goes on after the instruction, which has five bytes."""
    code = "".join(part.format(le(places[k % len(places)])) for k, part in enumerate(parts))
    one, other = made_of(PAGING_ON + program([code]))
    for computer in (one, other):
        map_pages(computer)
        computer.memory.write(0x110000 + 16 * 14, bytes.fromhex("83c404 46 83042405 cf"))
    first, second = one.run(2000), other.run(2000)
    assert other.wrongs == []
    assert (first.ended, first.why) == (second.ended, second.why)
    assert_same(one, other)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(PLAIN + TRAPPING + LYING), max_size=12))
def test_to_look_on_changes_nothing(parts: list[str]) -> None:
    """With the judge or without: the guest is lied to in the same way."""
    one = monitored(program(parts), judged=False)
    other = monitored(program(parts))
    first, second = one.run(2000), other.run(2000)
    assert one.wrongs == []
    assert (first.ended, first.why) == (second.ended, second.why)
    assert save_processor(one.processor) == save_processor(other.processor)
    assert_same(one, other)
    assert one.entries == other.entries


def test_the_kernel_under_the_monitor_is_taken_back_exactly() -> None:
    monitor = Monitor(2, history=3000, patch=True)
    monitor.load(load(kernel(), 2 << 20))
    while monitor.clock.now < 9600:
        monitor.step()
    before = save_processor(monitor.processor), bytes(monitor.memory.data), dict(monitor.entries)
    steps = 0
    while monitor.guest_ring == 0:
        monitor.step()
        steps += 1
    assert monitor.entries["IRETD (patched)"] == 1
    assert monitor.patcher is not None
    patches = dict(monitor.patcher.patches)
    for _ in range(steps):
        monitor.step_back()
    now = save_processor(monitor.processor), bytes(monitor.memory.data), dict(monitor.entries)
    assert now == before
    for _ in range(steps):
        monitor.step()
    assert monitor.guest_ring == 3
    assert monitor.patcher.patches == patches
