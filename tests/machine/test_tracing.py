"""What is told of a traced instruction: a trap after it, and of a repeated one after each round."""

from __future__ import annotations

import pytest

from tests.machine.test_edges import entry, gate
from tests.machine.test_transfers import words
from virtlab.machine.computer import Computer
from virtlab.machine.segments import Table
from virtlab.machine.stage import CODE, DATA, GDT, HANDLER, IDT, STACK


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        ("f3a4", [2, 1, 0]),  # rep movsb
        ("67f3a4", [0x10002, 0x10001, 0x10000]),  # CX counts
        ("f2ae", [2, 1, 0]),  # repne scasb, which does not find it
        ("f3a6", [2, 1, 0]),  # repe cmpsb, alike to the end
        ("f3ae", [2]),  # repe scasb, which ends by what it finds
    ],
)
def test_a_traced_string_instruction_traps_once_for_each_round(
    code: str, counts: list[int]
) -> None:
    """The last one after it, as QEMU and the manual have it: nothing is left to be done there."""
    computer = Computer(1, history=0)
    processor = computer.processor
    computer.load_code(bytes.fromhex(code + "f4"), CODE)
    processor.idtr, processor.gdtr = Table(IDT, 0x7FF), Table(GDT, 0xFF)
    entry(processor, 8, 0x9B)
    gate(processor, 1, 8)
    registers = processor.registers
    registers["ECX"] = counts[0] + 1
    registers["ESP"], registers["ESI"], registers["EDI"] = STACK, DATA, DATA + 16
    registers["EAX"], registers.eflags = 1, 0x102
    for count in counts:
        computer.step()
        assert registers["ECX"] == count
        assert registers["EIP"] == HANDLER
        is_over = count == counts[-1]
        assert words(processor, 1) == [CODE + (len(code) // 2 if is_over else 0)]
        registers["EIP"], registers.eflags = CODE, 0x102
