"""When code may run directly: the published rule, line by line, and in a kernel with users."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.machine.small_guests import DECODER, DIRECTORY, GDT, map_pages, set_up
from tests.machine.translated import interpreted, needs_wasmtime, seen
from virtlab.machine.computer import Computer
from virtlab.machine.guests import kernel
from virtlab.machine.image import load
from virtlab.machine.segments import descriptor_bytes, flat
from virtlab.machine.translation.modes import Modes, decide, direct_execution, segments_shadowed
from virtlab.machine.translation.passes import Passes
from virtlab.validate import InvalidInputError

MIB = 1 << 20
USER: dict[str, Any] = {
    "cr0_pe": True,
    "v8086": False,
    "iopl": 0,
    "cpl": 3,
    "interrupts_on": True,
    "segments_shadowed": True,
}


def published(
    *,
    cr0_pe: bool,
    v8086: bool,
    iopl: int,
    cpl: int,
    interrupts_on: bool,
    segments_shadowed: bool,
) -> bool:
    """Figure 3.1, as a single condition: whether code runs directly."""
    protected = iopl < cpl and interrupts_on and segments_shadowed
    return cr0_pe and (v8086 or protected)


def test_all_states_are_decided_as_published() -> None:
    for pe, v8086, iopl, cpl, on, shadowed in product(
        (True, False), (True, False), range(4), range(4), (True, False), (True, False)
    ):
        state: dict[str, Any] = {
            "cr0_pe": pe,
            "v8086": v8086,
            "iopl": iopl,
            "cpl": cpl,
            "interrupts_on": on,
            "segments_shadowed": shadowed,
        }
        assert direct_execution(**state).direct == published(**state), state


@pytest.mark.parametrize(
    ("change", "direct", "why"),
    [
        ({}, True, "nothing that the guest could see"),
        ({"cr0_pe": False}, False, "protected mode"),
        ({"cr0_pe": False, "v8086": True}, False, "protected mode"),
        ({"v8086": True, "interrupts_on": False}, True, "virtual-8086"),
        ({"cpl": 0}, False, "IOPL 0 >= CPL 0"),
        ({"iopl": 3}, False, "IOPL 3 >= CPL 3"),
        ({"interrupts_on": False}, False, "IF is off"),
        ({"segments_shadowed": False}, False, "a segment"),
    ],
)
def test_the_line_that_decides_is_told(change: dict[str, Any], direct: bool, why: str) -> None:  # noqa: FBT001 - pytest passes by name
    found = direct_execution(**{**USER, **change})
    assert found.direct == direct
    assert why in found.why


@pytest.mark.parametrize(("field", "value"), [("iopl", 4), ("cpl", -1), ("cpl", 1.5)])
def test_there_are_four_rings(field: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=f"{field} = "):
        direct_execution(**{**USER, field: value})


def user_computer() -> Computer:
    """Return a computer at ring 3 whose segments are what the table says."""
    computer = set_up()
    processor = computer.processor
    for number in range(6):
        selector = 0x1B if number == 1 else 0x23
        processor.set_segment(number, flat(selector, 0xFB if number == 1 else 0xF3))
    processor.registers["CR0"] |= 1
    processor.registers.set_flag("IF", 1)
    return computer


def test_a_segment_that_is_no_longer_in_its_table() -> None:
    """The register keeps what was loaded: it may be used, but not loaded again."""
    computer = user_computer()
    processor = computer.processor
    assert decide(processor).direct
    computer.memory.write(GDT + 0x20, descriptor_bytes(0x1000, 0xFFF, 0xF3))
    assert not segments_shadowed(processor)
    assert "a segment" in decide(processor).why
    computer.memory.write(GDT + 0x20, descriptor_bytes(0, 0xFFFFFFFF, 0xF2))  # not yet accessed
    assert decide(processor).direct
    processor.set_table("gdtr", GDT, 0x1F)  # a table that ends before it
    assert not segments_shadowed(processor)


def test_looking_leaves_no_trace() -> None:
    """Neither in the page tables nor in the TLB."""
    computer = user_computer()
    map_pages(computer)
    registers, paging = computer.processor.registers, computer.processor.paging
    registers["CR3"] = DIRECTORY
    registers["CR0"] |= 1 << 31
    before = bytes(computer.memory.data)
    assert decide(computer.processor).direct
    assert bytes(computer.memory.data) == before
    assert (paging.tlb, paging.walks) == ({}, 0)


def test_what_is_done_is_counted_under_the_mode_it_began_in() -> None:
    computer, modes = user_computer(), Modes()
    for on, done in ((True, 3), (True, 4), (False, 5), (True, 6)):
        computer.processor.registers.set_flag("IF", int(on))
        with modes.of(computer.processor):
            computer.processor.instructions += done
    assert modes.instructions == {"direct": 13, "translated": 5}
    assert modes.switches == 2
    assert sum(modes.why.values()) == 18


def kernel_run(tier: str, passes: Passes | None = None) -> tuple[dict[str, Any], Computer]:
    computer = Computer(4, history=0, tier=tier, decoder=DECODER, passes=passes)
    computer.load(load(kernel(), 4 * MIB))
    return seen(computer, computer.run()), computer


@needs_wasmtime
def test_the_small_kernel_is_translated_and_its_users_run_directly() -> None:
    wanted = interpreted(kernel())
    found, computer = kernel_run("wasm", Passes(direct=True))
    assert found == wanted
    assert computer.translator is not None
    modes = computer.translator.modes
    assert modes is not None
    assert sum(modes.instructions.values()) == computer.processor.instructions
    assert modes.instructions["direct"] > 0.8 * computer.processor.instructions
    # Into the kernel and back for each trap but the last, which does not come back; and at first.
    traps = sum(found["counts"][2].values())
    assert 2 * traps - 8 <= modes.switches <= 2 * traps + 1
    assert {why for mode, why in modes.why if mode == "translated"} == {
        "IOPL 0 >= CPL 0: cli and popf would not trap"
    }


@needs_wasmtime
def test_it_is_off_unless_asked_for() -> None:
    _, computer = kernel_run("wasm")
    assert computer.translator is not None
    assert computer.translator.modes is None
