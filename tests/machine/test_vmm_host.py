"""The host around a guest: its tables are ring 0's alone, and every port of a guest traps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import GDT, IDT
from tests.machine.vmm_guests import monitored, native, one_decoder
from virtlab.machine.faults import Fault
from virtlab.machine.segments import Segment, Table
from virtlab.machine.vmm import Monitor
from virtlab.machine.vmm.host import GDT as HOST_GDT
from virtlab.machine.vmm.host import IDT as HOST_IDT
from virtlab.machine.vmm.host import LDT as HOST_LDT
from virtlab.machine.vmm.host import TSS as HOST_TSS
from virtlab.machine.vmm.host import Deprivileged
from virtlab.machine.vmm.worlds import VMM_BASE

__all__ = ["one_decoder"]  # pytest finds it here


def test_each_gate_of_the_host_is_ring_0s_and_leads_into_the_vmm() -> None:
    own = Deprivileged().own
    for vector in range(256):
        gate = int.from_bytes(own.read(HOST_IDT + 8 * vector, 8), "little")
        assert gate >> 40 & 0xFF == 0x8E  # present, ring 0, an interrupt gate
        assert gate & 0xFFFF | gate >> 32 & 0xFFFF0000 == VMM_BASE + 4 * vector
        code = int.from_bytes(own.read(HOST_GDT + (gate >> 16 & 0xFFFF), 8), "little")
        assert Segment.from_descriptor(0, code).is_code
        assert Segment.from_descriptor(0, code).dpl == 0


def test_the_hosts_last_selectors_are_where_its_registers_say() -> None:
    processor = Deprivileged()
    for register, base in ((processor.tr, HOST_TSS), (processor.ldtr, HOST_LDT)):
        entry = int.from_bytes(processor.own.read(HOST_GDT + register.selector, 8), "little")
        segment = Segment.from_descriptor(register.selector, entry)
        assert segment.base == register.base == VMM_BASE + base
        assert segment.access == register.access
    assert processor.gdtr == Table(VMM_BASE + HOST_GDT, 0xFFFF)
    assert processor.idtr == Table(VMM_BASE + HOST_IDT, 0x7FF)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 0xFFFF), st.sampled_from(["ec", "ed", "66ed", "ee", "ef", "66ef"]))
def test_no_port_is_reached_but_through_the_monitor(port: int, form: str) -> None:
    """Whatever the port: not even by a map of ports, for the host's task has none."""

    class Ports:
        asked: list[int]

        def __init__(self) -> None:
            self.asked = []

        def read(self, port: int, size: int) -> int:
            self.asked.append(port)
            return size

        def write(self, port: int, size: int, value: int) -> None:
            del size, value
            self.asked.append(port)

    monitor, ports = Monitor(2), Ports()
    monitor.ports = ports
    monitor.load_code(bytes.fromhex(f"66ba{port.to_bytes(2, 'little').hex()} {form} f4"))
    assert monitor.run(20).ended == "halted"
    assert ports.asked == [port]
    name = "IN" if form.endswith(("ec", "ed")) else "OUT"
    assert monitor.entries == {name: 1, "HLT": 1}
    assert monitor.entered == 2


def test_the_guests_registers_of_tables_are_in_the_notes_alone() -> None:
    one, other = native("f4"), monitored("f4")
    one.run(100)
    other.run(100)
    virtual = other.processor.virtual
    assert virtual.gdtr == one.processor.gdtr == Table(GDT, 0x2F)
    assert virtual.idtr == one.processor.idtr == Table(IDT, 0x7FF)
    assert virtual.tr == one.processor.tr
    assert virtual.cr0 == one.processor.registers["CR0"]
    assert other.processor.tr.selector != virtual.tr.selector


@pytest.mark.parametrize("write", [False, True])
def test_the_vmms_pages_are_the_supervisors(*, write: bool) -> None:
    processor = Deprivileged()
    at = VMM_BASE + 0x100

    def touch() -> None:
        if write:
            processor.write(at, b"x", user=True)
        else:
            processor.read(at, 1, user=True)

    with pytest.raises(Fault, match="its page is the VMM's") as raised:
        touch()
    assert (raised.value.vector, raised.value.address) == (14, at)
    processor.write(at, b"x")  # the supervisor may: rings 0 to 2
    assert processor.read(at, 1) == b"x"
    processor.enter()
    assert processor.read(at, 1) == b"\xff"  # in the guest's world no memory is there
