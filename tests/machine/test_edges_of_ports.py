"""Edges of IN and OUT that a small mistake would move, as in `test_edges`: who may use which port.

By the manual: Intel SDM, volume 1, section 19.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.machine.test_transfers import at, fault_of
from virtlab.machine.encoding import ES
from virtlab.machine.segments import Segment
from virtlab.machine.stage import CODE, DATA, TSS

if TYPE_CHECKING:
    from virtlab.machine.processor import Processor


class Bus:
    """Devices that note what they are asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def read(self, port: int, size: int) -> int:
        self.seen.append(("in", port, size))
        return 0x41

    def write(self, port: int, size: int, value: int) -> None:
        self.seen.append(("out", port, value))


def with_map(code: str, limit: int, bits: dict[int, int]) -> tuple[Processor, Bus]:
    """Give ring 3 a map of ports right behind the task's state: all allowed but some bytes."""
    processor, bus = at(code, 3), Bus()
    processor.bus = bus
    processor.memory.write(TSS + 0x66, (0x68).to_bytes(2, "little") + bytes(0x30))
    for byte, value in bits.items():
        processor.memory.write(TSS + 0x68 + byte, bytes([value]))
    processor.tr = Segment(0x48, TSS, limit, 0x8B, big=False)
    return processor, bus


@pytest.mark.parametrize(
    ("code", "limit", "bits", "works"),
    [
        ("e460", 0x68 + 13, {}, True),  # port 0x60: byte 12 of the map, and the one behind it
        ("e460", 0x68 + 12, {}, False),
        ("e460", 0x66, {}, False),
        ("e460", 0xFF, {12: 2}, True),  # the port beside it
        ("66e560", 0xFF, {12: 2}, False),  # two ports, one is forbidden
        ("e560", 0xFF, {12: 8}, False),  # four ports
        ("66e567", 0xFF, {13: 1}, False),  # over two bytes of the map
    ],
)
def test_the_map_of_ports(*, code: str, limit: int, bits: dict[int, int], works: bool) -> None:
    processor, bus = with_map(code, limit, bits)
    if works:
        processor.step()
    else:
        assert (fault_of(processor).vector, fault_of(processor).code) == (13, 0)
    assert bool(bus.seen) == works


def test_a_task_state_of_16_bits_has_no_map() -> None:
    processor, bus = with_map("e400", 0x66, {})
    processor.memory.write(TSS + 0x66, bytes(2))  # a map that would lie within its limit
    assert fault_of(processor).vector == 13
    assert not bus.seen


def strings(code: str, **registers: int) -> tuple[Processor, Bus]:
    processor, bus = at(code), Bus()
    processor.bus = bus
    values = {"EDX": 0x60, "EDI": DATA, "ESI": DATA, "ECX": 3, **registers}
    for name, value in values.items():
        processor.registers[name] = value
    return processor, bus


def test_a_port_is_not_read_for_memory_that_cannot_be_written() -> None:
    processor, bus = strings("6c")
    processor.set_segment(ES, Segment(0x10, 0, 0xFFFF, 0x91))
    assert fault_of(processor).vector == 13
    assert bus.seen == []


@pytest.mark.parametrize("prefix", ["f3", "f2"])
@pytest.mark.parametrize(("code", "index"), [("6c", "EDI"), ("6e", "ESI")])
def test_strings_of_ports(prefix: str, code: str, index: str) -> None:
    for direction, end in ((0, DATA + 3), (1, DATA - 3)):
        processor, bus = strings(prefix + code)
        processor.registers.set_flag("DF", direction)
        while processor.registers["EIP"] == CODE:
            processor.step()
        assert (processor.registers[index], processor.registers["ECX"]) == (end, 0)
        assert len(bus.seen) == 3
    nothing, bus = strings(prefix + code, ECX=0)
    nothing.step()
    assert (nothing.registers[index], bus.seen) == (DATA, [])
    assert nothing.registers["EIP"] == CODE + 2
