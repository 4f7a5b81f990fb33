"""The monitor: it does for its guest what traps, and shows what does not; held against ring 0."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import CODE, GDT, out
from tests.machine.vmm_guests import (
    EXIT,
    POINTERS,
    assert_same,
    le,
    memory,
    monitored,
    native,
    one_decoder,
    state,
    tables,
)
from virtlab.machine.computer import Computer
from virtlab.machine.faults import Fault
from virtlab.machine.history import save_processor
from virtlab.machine.vmm import LAYERS, Monitor
from virtlab.machine.vmm.host import GDT as HOST_GDT
from virtlab.machine.vmm.judge import guest_view
from virtlab.machine.vmm.worlds import VMM_BASE

__all__ = ["one_decoder"]  # pytest finds it here


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
        (f"0f0115{le(POINTERS)}", "LGDT"),
        (f"0f011d{le(POINTERS + 8)}", "LIDT"),
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
        ("vmm", "emulate"),
        ("device", "out"),
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
