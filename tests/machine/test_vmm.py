"""The monitor: it does for its guest what traps, and shows what does not; held against ring 0."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pypcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import CODE, GDT, IDT, KERNEL_STACK, TSS, out
from virtlab.machine.computer import Computer
from virtlab.machine.faults import Fault
from virtlab.machine.history import save_processor
from virtlab.machine.segments import descriptor_bytes
from virtlab.machine.vmm import LAYERS, Monitor
from virtlab.machine.vmm.host import GDT as HOST_GDT
from virtlab.machine.vmm.judge import guest_view
from virtlab.machine.vmm.worlds import VMM_BASE

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT = out(0xF4, 0)


@pytest.fixture(autouse=True, scope="module")
def one_decoder() -> Iterator[None]:
    """Make pypcode's tables once: that takes longer than most runs here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pypcode, "Context", cache(pypcode.Context))
        yield


def le(value: int, size: int = 4) -> str:
    return value.to_bytes(size, "little").hex()


def tables() -> str:
    """Return the code with which a guest loads its own tables, as a kernel does."""
    far = CODE + len(bytes.fromhex(_LOAD)) + 7
    segments = "66b81000 8ed0 8ed8 8ec0 66b82800 0f00d8"
    return f"{_LOAD} ea {le(far)} 0800 {segments}"


_POINTERS = 0x83000
_LOAD = f"0f0115{le(_POINTERS)} 0f011d{le(_POINTERS + 8)}"


def furnish(computer: Computer) -> None:
    """Put tables into a guest's memory: rings 0 and 3, a task state, gates that lead to iret."""
    kinds = (0x9A, 0x92, 0xFA, 0xF2)
    gdt = bytes(8) + b"".join(descriptor_bytes(0, 0xFFFFFFFF, kind) for kind in kinds)
    gdt += descriptor_bytes(TSS, 0x67, 0x89, big=False)
    memory = computer.memory
    memory.write(GDT, gdt)
    memory.write(TSS + 4, bytes.fromhex(le(KERNEL_STACK) + "1000"))
    memory.write(TSS + 0x66, bytes.fromhex("6800"))
    for vector in range(256):
        at = 0x110000 + 16 * vector
        errors = "83c404" if vector in (8, 10, 11, 12, 13, 14, 17) else ""
        # A handler counts in ESI, and goes on after the instruction: all that fault have two bytes.
        skip = "83042402" if vector in (0, 6, 13) else ""
        memory.write(at, bytes.fromhex(f"{errors} 46 {skip} cf"))
        access = 0xEE if vector in (3, 0x80) else 0x8E
        gate = f"{le(at & 0xFFFF, 2)} 0800 00 {access:02x} {le(at >> 16, 2)}"
        memory.write(IDT + 8 * vector, bytes.fromhex(gate))
    memory.write(_POINTERS, bytes.fromhex(f"{le(len(gdt) - 1, 2)}{le(GDT)}"))
    memory.write(_POINTERS + 8, bytes.fromhex(f"ff07{le(IDT)}"))


def native(code: str) -> Computer:
    computer = Computer(2, history=0)
    furnish(computer)
    computer.load_code(bytes.fromhex(tables() + code), CODE)
    return computer


def monitored(code: str, **more: Any) -> Monitor:
    monitor = Monitor(2, **more)
    furnish(monitor)
    monitor.load_code(bytes.fromhex(tables() + code), CODE)
    return monitor


def state(computer: Computer) -> dict[str, object]:
    """Return what a guest's machine is at the end, as the guest would see it."""
    processor = computer.processor
    return {
        **guest_view(processor),
        "output": bytes(computer.uart.output),
        "devices": computer.bus.save(),
    }


def memory(computer: Computer) -> bytes:
    """Return the guest's memory without the monitor's patches."""
    data = bytearray(computer.memory.data)
    if isinstance(computer, Monitor) and computer.patcher is not None:
        for patch in computer.patcher.patches.values():
            if data[patch.place] == 0xCC:
                data[patch.place] = patch.byte
    return bytes(data)


def assert_same(one: Computer, other: Computer) -> None:
    first, second = state(one), state(other)
    assert {key: (first[key], second[key]) for key in first if first[key] != second[key]} == {}
    assert memory(one) == memory(other)
    assert one.clock.now == other.clock.now
    assert one.traps == other.traps


# --- one instruction at a time --------------------------------------------------------------------


def test_a_guest_kernel_runs_at_ring_1_and_believes_in_ring_0() -> None:
    monitor = monitored("f4")
    assert monitor.run(100).ended == "halted"
    processor = monitor.processor
    assert (processor.cpl, monitor.guest_ring, monitor.layer) == (1, 0, "guest kernel")
    assert processor.virtual.gdtr.base == GDT
    assert processor.gdtr.base == VMM_BASE + HOST_GDT
    assert monitor.wrongs == []


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("fa", "CLI"),
        ("fb", "STI"),
        ("f4", "HLT"),
        ("0f20c0", "MOV CR"),
        ("0f20d8 0f22d8", "MOV CR"),
        ("0f06", "CLTS"),
        ("0f01f0", "LMSW"),
        (f"0f0115{le(_POINTERS)}", "LGDT"),
        (f"0f011d{le(_POINTERS + 8)}", "LIDT"),
        ("0f013d00100000", "INVLPG"),
        ("e460", "IN"),
        ("cd80", "INT"),
        ("cc", "INT3"),
        ("8ed0", "MOV to segment"),
        ("9c 0e 68 50000000 c3", ""),
    ],
)
def test_what_traps_is_done_as_at_ring_0(code: str, name: str) -> None:
    one, other = native(code), monitored(code)
    first = one.run(60)
    second = other.run(60)
    assert first.ended == second.ended
    if name:
        assert name in other.entries
        assert_same(one, other)
    else:
        assert other.wrongs  # pushf and push cs


@pytest.mark.parametrize(
    ("code", "routine", "what"),
    [
        ("fb 6a02 9d", "POPF", "IF"),
        ("9c", "PUSHF", "memory"),
        ("fa 9c", "PUSHF", "memory"),
        ("0f0105 00400800", "SGDT", "memory"),
        ("0f010d 00400800", "SIDT", "memory"),
        ("0f00c0", "SLDT", "EAX"),
        ("0f00c8", "STR", "EAX"),
        ("0f01e0", "SMSW", "EAX"),
        ("bb10000000 0f02c3", "LAR", "EAX"),
        ("bb10000000 0f03c3", "LSL", "EAX"),
        ("8cc8", "MOVFROMSEG", "EAX"),
        ("8cd0", "MOVFROMSEG", "EAX"),
        ("0e", "PUSHSEG", "memory"),
        ("16", "PUSHSEG", "memory"),
        ("9a 00001100 0800", "CALLF", "memory"),
        ("6823000000 6800000700 6802020000 681b000000 6800001100 cf", "IRET", "IF"),
    ],
)
def test_what_does_not_trap_lies_and_is_found(code: str, routine: str, what: str) -> None:
    monitor = monitored(code)
    start = CODE + len(bytes.fromhex(tables()))
    while monitor.address != start + len(bytes.fromhex(code)) and monitor.clock.now < 40:
        monitor.step()
        if monitor.wrongs:
            break
    (wrong,) = monitor.wrongs
    assert wrong.routine == routine
    assert wrong.ring == 1
    assert any(one.what.startswith(what) for one in wrong.differences)
    assert wrong.instruction in wrong.explain()
    assert monitor.log[-1].what == "silent"


HARMLESS = ["8cd8", "1e", "06", "07", "1f", "8ed8", "8ec0", "0f00e3", "0f00eb", "0f31", "0fa2"]


@pytest.mark.parametrize("code", HARMLESS)
def test_what_touches_the_machine_and_is_right_is_not_accused(code: str) -> None:
    code = f"66b81000 bb10000000 6a10 {code}"
    one, other = native(code + EXIT), monitored(code + EXIT)
    one.run(60)
    other.run(60)
    assert other.wrongs == []
    assert_same(one, other)


def test_the_first_lie_is_where_a_real_ring_0_goes_another_way() -> None:
    """The judge does both on one machine; here two machines run side by side."""
    code = "b905000000 01c8 fb 90 9c 58 fa 31d2 8cc8" + EXIT
    one, other = native(code), monitored(code)
    differs: tuple[int, int] | None = None
    while not one.ended and differs is None:
        when, place = one.clock.now, one.address
        one.step()
        other.step()
        if guest_view(one.processor) != guest_view(other.processor) or memory(one) != memory(other):
            differs = when, place
    (wrong, *_) = other.wrongs
    assert differs is not None
    # sti; nop; pushf: the guest's IF is the host's, so that is right; then comes mov eax,cs
    assert (wrong.step, wrong.address, wrong.routine) == (*differs, "MOVFROMSEG")


# --- faults and interrupts ------------------------------------------------------------------------


def test_a_fault_of_the_guests_own_goes_to_its_own_handler() -> None:
    code = "31f6 31c9 f7f1 0f0b" + EXIT  # div by 0, ud2
    one, other = native(code), monitored(code, patch=True)
    assert one.run(200).exit_status == other.run(200).exit_status == 1
    assert other.processor.registers["ESI"] == 2
    assert other.injected == {"#DE": 1, "#UD": 1}
    assert_same(one, other)


def test_a_guest_without_handlers_shuts_down_as_at_ring_0() -> None:
    one, other = Computer(2, history=0), Monitor(2)
    for computer in (one, other):
        computer.load_code(bytes.fromhex("0f0b"))
    first, second = one.run(10), other.run(10)
    assert first.ended == second.ended == "shutdown"
    assert first.why == second.why


def test_an_int_that_ring_3_may_not_use_is_refused_with_the_guests_error_code() -> None:
    ring_3 = f"6823000000 68 {le(0x70000)} 6802020000 681b000000 68 {le(0x120000)} cf"
    one, other = native(ring_3), monitored(ring_3, patch=True)
    for computer in (one, other):
        computer.memory.write(0x120000, bytes.fromhex("cd21 cd80 fa90 ebfe"))
        while computer.processor.registers["ESI"] != 3:
            computer.step()
    assert other.injected == {"#GP": 2}
    assert "INT" in other.entries
    assert_same(one, other)


def timer(count: int) -> str:
    pic = [(0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xFE)]
    pit = [(0x43, 0x34), (0x40, count & 0xFF), (0x40, count >> 8)]
    return "".join(out(port, value) for port, value in pic + pit)


@pytest.mark.parametrize("patch", [False, True])
def test_interrupts_come_when_the_guest_wants_them(*, patch: bool) -> None:
    """The guest waits with sti; hlt three times; the host's IF was on all the time."""
    code = "31f6" + timer(100) + "".join("fb f4 fa" + out(0x20, 0x20) for _ in range(3)) + EXIT
    one, other = native(code), monitored(code, patch=patch)
    assert one.run(100_000).exit_status == other.run(100_000).exit_status == 1
    assert other.injected == {"int 0x20": 3}
    if patch:
        assert other.wrongs == []
        assert_same(one, other)


def test_cli_keeps_interrupts_away_though_the_host_has_them_on() -> None:
    code = "31f6" + timer(2) + "fa" + "90" * 200 + EXIT
    other = monitored(code)
    assert other.run(10_000).exit_status == 1
    assert other.processor.registers["ESI"] == 0
    assert other.processor.registers.flag("IF") == 1
    assert other.pic.pending()


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


# --- the monitor's memory, ports and log ----------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    st.integers(VMM_BASE - 8, 2**32 - 1),
    st.sampled_from(["a1{}", "a3{}", "ff05{}", "0f0105{}", "a2{}"]),
)
def test_no_guest_touches_the_monitors_memory(address: int, form: str) -> None:
    code = form.format(le(address)) + "90" * 8 + EXIT
    one, other = native(code), monitored(code)
    start = CODE + len(bytes.fromhex(tables()))
    while other.address != start:
        one.step()
        other.step()
    before = bytes(other.processor.own.data)
    other.step()
    one.step()
    assert bytes(other.processor.own.data) == before
    if not other.wrongs:
        assert_same(one, other)


def test_a_write_to_the_guests_table_is_followed() -> None:
    # The guest makes its data segment small: b8 limit... then loads it again and reads beyond.
    code = f"c605 {le(GDT + 0x12 - 2)} 00 c605 {le(GDT + 0x16)} 40 66b81000 8ed8 {EXIT}"
    one, other = native(code), monitored(code)
    assert one.run(100).exit_status == other.run(100).exit_status == 1
    assert other.entries["trace"] == 2
    assert [event.what for event in other.log].count("trace") == 2
    assert_same(one, other)


class Echo:
    """Ports of a caller's own."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int | None]] = []

    def read(self, port: int, size: int) -> int:
        self.asked.append((port, size, None))
        return 0x5A & (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        self.asked.append((port, size, value))


def test_ports_may_be_anothers() -> None:
    monitor = monitored("e460 e761 f4")
    ports = Echo()
    monitor.ports = ports
    assert monitor.run(100).ended == "halted"
    assert ports.asked[0] == (0x60, 1, None)
    assert ports.asked[1][:2] == (0x61, 4)
    assert monitor.processor.registers["AL"] == 0x5A


def test_the_log_tells_one_request_layer_by_layer() -> None:
    monitor = monitored("b041 66baf803 ee f4")
    monitor.run(100)
    places = [
        event for event in monitor.log if event.address == CODE + len(bytes.fromhex(tables())) + 6
    ]
    assert [(event.layer, event.what) for event in places[:3]] == [
        ("guest kernel", "trap"),
        ("device", "out"),
        ("vmm", "emulate"),
    ]
    assert "#GP(0): OUT at ring 1 with IOPL 0" in places[0].words
    assert all(event.layer in LAYERS for event in monitor.log)
    assert [event.step for event in monitor.log] == sorted(event.step for event in monitor.log)


def test_the_log_is_bounded() -> None:
    monitor = monitored("e460" * 50 + "f4", log_events=10)
    monitor.run(200)
    assert len(monitor.log) <= 10
    assert monitor.log[-1].words.startswith("HLT")
    assert monitored("f4", log_events=0).log == []


def test_an_interrupted_step_leaves_the_monitor_as_it_was() -> None:
    monitor = monitored("e460 f4", history=100)
    while monitor.address != CODE + len(bytes.fromhex(tables())):
        monitor.step()
    before = save_processor(monitor.processor), monitor.processor.virtual, len(monitor.log)

    class Rude(Echo):
        def read(self, port: int, size: int) -> int:
            raise KeyboardInterrupt

    monitor.ports = Rude()
    with pytest.raises(KeyboardInterrupt):
        monitor.step()
    assert (
        save_processor(monitor.processor),
        monitor.processor.virtual,
        len(monitor.log),
    ) == before
    monitor.ports = monitor.bus
    assert monitor.run(100).ended == "halted"


def test_a_guest_that_reads_its_code_sees_the_patch() -> None:
    start = CODE + len(bytes.fromhex(tables()))
    code = f"a0 {le(start + 5)} 9c" + EXIT
    clean, patched = monitored(code), monitored(code, patch=True)
    for monitor in (clean, patched):
        while monitor.address != start + 5:
            monitor.step()
    assert clean.processor.registers["AL"] == 0x9C
    assert patched.processor.registers["AL"] == 0xCC


def test_a_patch_that_the_guest_overwrites_is_gone() -> None:
    start = CODE + len(bytes.fromhex(tables()))
    code = f"c605 {le(start + 7)} 40 9c" + EXIT  # inc eax in place of pushf
    one, other = native(code), monitored(code, patch=True)
    one.run(100)
    other.run(100)
    assert other.patcher is not None
    assert len(other.patcher.patches) == 1
    first, second = state(one), state(other)
    assert first == second
    assert one.memory.data == other.memory.data


def test_a_bad_number_of_events_is_refused() -> None:
    with pytest.raises(ValueError, match="log_events"):
        Monitor(log_events=-1)


def test_a_fault_outside_the_guests_world_leaves_the_host_in_its_own() -> None:
    monitor = monitored("f7f7")  # a division
    while monitor.address != CODE + len(bytes.fromhex(tables())):
        monitor.step()
    with pytest.raises(Fault, match="#DE"):
        monitor.processor.step()
    assert not monitor.processor.in_guest_world
    assert monitor.processor.cpl == 1
