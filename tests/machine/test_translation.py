"""Translated code does what the interpreter does: all of it, to the instruction."""

from __future__ import annotations

import gc
import re
import sys
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.oracle import expected
from tests.machine.small_guests import DECODER, EXIT, handle, out, set_up, with_timer
from tests.machine.translated import (
    RandomBlocks,
    eager,
    interpreted,
    needs_wasmtime,
    random_state,
    seen,
)
from virtlab.machine.computer import Computer
from virtlab.machine.devices.pit import INSTRUCTIONS_PER_TICK
from virtlab.machine.guests import GUESTS, Guest, guest, kernel, mirror
from virtlab.machine.image import load
from virtlab.machine.translation.speed import can_run
from virtlab.machine.translation.tiers import TIERS
from virtlab.machine.translation.translator import Translator
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


@cache
def ran(path: Path, tier: str, tick: int = INSTRUCTIONS_PER_TICK) -> dict[str, Any]:
    computer = Computer(4, history=0, tier=tier, decoder=DECODER, instructions_per_tick=tick)
    computer.load(load(path, 4 * MIB))
    run = computer.run()
    if computer.translator is not None:
        translated = computer.translator.counts["instructions"]
        assert translated > 0.9 * run.instructions  # or nothing would have been tried
    return seen(computer, run)


@pytest.mark.parametrize("name", ["fibonacci", "isprime", "sieve"])
def test_programs_end_as_they_do_in_the_interpreter(name: str, tier: str) -> None:
    assert ran(guest(name).path(), tier) == interpreted(guest(name).path())


@pytest.mark.parametrize("one", GUESTS, ids=lambda one: one.name)
@pytest.mark.parametrize("name", TIERS[2:])
def test_all_programs_end_alike_in_all_tiers(one: Guest, name: str) -> None:
    """Those that would take the interpreter too long are held against another tier."""
    if can_run(name):
        pytest.skip(can_run(name))
    assert ran(one.path(), name) == ran(one.path(), "python")


@pytest.mark.parametrize("one", GUESTS, ids=lambda one: one.name)
def test_a_hundred_million_instructions_are_counted_exactly(one: Guest, tier: str) -> None:
    """As Unicorn counted them; it counts the last one too, with which the machine ends."""
    sizes = ((False, one.instructions), (True, one.large_instructions))
    for large, count in sizes if tier != "python" else sizes[:1]:
        computer = Computer(16, history=0, tier=tier, decoder=DECODER)
        computer.load(load(one.path(large=large), 16 * MIB))
        run = computer.run(10**9)
        assert run.text == expected(one, large=large)
        assert run.instructions == count - 1


@pytest.mark.parametrize("tick", [INSTRUCTIONS_PER_TICK, 7])
def test_the_small_kernel_and_its_processes(tick: int, tier: str) -> None:
    assert ran(kernel(), tier, tick) == interpreted(kernel(), tick)


def test_the_kernel_that_looks_at_itself(tier: str) -> None:
    computer, other = (
        Computer(4, history=0, tier=one, decoder=DECODER) for one in (tier, "interpreter")
    )
    for one in (computer, other):
        one.load(load(mirror(), 4 * MIB))
    assert seen(eager(computer), computer.run()) == seen(other, other.run())


# A loop with a branch, a call, memory, a string and flags that nobody reads.
MIXED = (
    "b928000000 bf00001800 be10001800"  # mov ecx, 40; mov edi, 0x180000; mov esi, 0x180010
    "01c8 1507000000 a5 d1e0 51 e807000000 59"  # add; adc; movsd; shl; push; call; pop
    "49 75ec f4 ebfd"  # dec ecx; jnz; hlt, again and again
    "0fafc1 0f44c2 c3"  # imul eax, ecx; cmovz eax, edx; ret
)


def hand_made(count: int, tier: str) -> dict[str, Any]:
    """Run it with a timer that comes each `count` instructions."""
    computer = with_timer(count, MIXED, history=0, tier=tier)
    if tier != "interpreter":
        eager(computer)
    return seen(computer, computer.run(4000))


@pytest.mark.parametrize("count", range(31, 95, 3))
def test_an_interrupt_at_every_instruction_of_a_loop(count: int, tier: str) -> None:
    assert hand_made(count, tier) == hand_made(count, "interpreter")


@pytest.mark.parametrize("limit", range(1, 80, 3))
def test_a_run_may_end_anywhere(limit: int, tier: str) -> None:
    ends = []
    for one in (tier, "interpreter"):
        computer = set_up(history=0, tier=one)
        computer.load_code(bytes.fromhex(MIXED))
        if one != "interpreter":
            eager(computer)
        ends.append(seen(computer, computer.run(limit)))
    assert ends[0] == ends[1]
    assert ends[0]["counts"][0] == limit


@pytest.mark.parametrize("limit", range(40, 60))
def test_flags_that_a_later_block_leaves_alone_are_the_earlier_ones(limit: int, tier: str) -> None:
    """`inc` keeps the carry of the addition before it, though neither's flags are ever read."""
    ends = []
    for one in (tier, "interpreter"):
        computer = set_up(history=0, tier=one)
        # mov eax, 0x70000000; mov ebx, eax; (there) add eax, ebx; jmp on; inc ecx; jmp there
        computer.load_code(bytes.fromhex("b800000070 89c3 01d8 eb00 41 ebf9"))
        if one != "interpreter":
            eager(computer)
        ends.append(seen(computer, computer.run(limit)))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("code", ["d3e0", "f5", "0fa3c8 11c3", "d3d8", "0f44c3", "d3c0 11d8"])
def test_flags_that_are_made_of_flags_hundreds_of_times(code: str, tier: str) -> None:
    """Shifts by CL, which may be by none, and others: then a fault, for which all are made."""
    ends = []
    for one in (tier, "interpreter"):
        computer = set_up(history=0, tier=one)
        handle(computer, 0, "f4")  # #DE: halt
        count = 250 // len(code.split())
        computer.load_code(bytes.fromhex("bcf0ff0800 b905000000" + code * count + "31d2 f7f2 ebfe"))
        if one != "interpreter":
            eager(computer)
        ends.append(seen(computer, computer.run(600)))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("seed", range(3))
def test_random_blocks(seed: int, tier: str) -> None:
    """Whatever comes: faults, jumps to nowhere, strings, blocks that write on themselves."""
    blocks = RandomBlocks(seed, tier=tier)
    for _ in range(40):
        start, code = blocks.block(24)
        for _ in range(4):
            different = blocks.compare(start, random_state(blocks.rng), 200)
            assert not different, (code.hex(), different)
    assert blocks.same_memory()
    translator = blocks.translating.translator
    assert isinstance(translator, Translator)
    assert translator.counts["instructions"] > 0.5 * blocks.instructions


@pytest.fixture(scope="module")
def blocks(tier: str) -> RandomBlocks:
    return RandomBlocks(99, tier=tier)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 40), limit=st.integers(1, 300))
def test_random_blocks_of_any_length_end_alike(
    blocks: RandomBlocks, seed: int, length: int, limit: int
) -> None:
    blocks.rng = np.random.default_rng(seed)
    start, code = blocks.block(length)
    different = blocks.compare(start, random_state(blocks.rng), limit)
    assert not different, (code.hex(), different)


# --- code that changes -------------------------------------------------------------------------

# mov ecx, 9; (there) add eax, 1; inc byte [there + 2]; dec ecx; jnz there; hlt
CHANGES_ITSELF = "b909000000 83c001 fe0509001000 49 75f4 f4"


def test_a_program_that_changes_itself(tier: str) -> None:
    computer = eager(set_up(history=0, tier=tier))
    computer.load_code(bytes.fromhex("31c0" + CHANGES_ITSELF))
    run = computer.run()
    assert computer.processor.registers["EAX"] == sum(range(1, 10))
    assert run.instructions == 1 + 1 + 9 * 4 + 1
    assert computer.translator is not None
    assert computer.translator.cache.counts["invalidations"] >= 8


def test_data_beside_code_costs_no_translation(tier: str) -> None:
    """A page may hold both: only bytes that were translated count."""
    computer = eager(set_up(history=0, tier=tier))
    # mov ecx, 50; mov [0x100800], ecx; dec ecx; jnz; hlt
    computer.load_code(bytes.fromhex("b932000000 890d00081000 49 75f7 f4"))
    computer.run()
    assert computer.memory.read(0x100800, 4) == (1).to_bytes(4, "little")
    assert computer.translator is not None
    assert computer.translator.cache.counts["invalidations"] == 0


def test_what_a_device_or_a_debugger_writes_is_seen(tier: str) -> None:
    computer = eager(set_up(history=0, tier=tier))
    computer.load_code(bytes.fromhex("b801000000 ebf9"))  # mov eax, 1; again
    computer.run(100)
    computer.memory.write(0x100001, b"\x02")
    computer.run(100)
    assert computer.processor.registers["EAX"] == 2


def test_another_page_at_the_same_address(tier: str) -> None:
    """What is translated is the page that was there, not the address."""
    ends = []
    for one in (tier, "interpreter"):
        computer = set_up(history=0, tier=one)
        directory, table = 0x120000, 0x121000
        computer.memory.write(directory, (table | 7).to_bytes(4, "little"))
        entries = b"".join((at << 12 | 7).to_bytes(4, "little") for at in range(512))
        computer.memory.write(table, entries)
        for at, number in ((0x140000, 5), (0x141000, 9)):  # mov ebx, number; ret
            computer.memory.write(at, bytes([0xBB, number, 0, 0, 0, 0xC3]))
        second = table + 4 * 0x140
        code = (
            "b800001200 0f22d8 0f20c0 0d00000080 0f22c0"  # paging on
            "b914000000 e8 {there} 01da"  # mov ecx, 20; call 0x140000; add edx, ebx
            f"8135{second.to_bytes(4, 'little').hex()}00100000"  # the other page
            "0f20d8 0f22d8 49 75e6 f4"  # mov eax, cr3; mov cr3, eax; dec ecx; jnz; hlt
        )
        start = 0x100000
        computer.load_code(bytes.fromhex("31d2" + code.format(there="00000000").replace(" ", "")))
        call = 2 + len(bytes.fromhex(code.partition("{")[0]))
        fixed = (0x140000 - (start + call + 4) & 0xFFFFFFFF).to_bytes(4, "little")
        computer.memory.data[start + call : start + call + 4] = fixed
        if one != "interpreter":
            eager(computer)
        run = computer.run(1000)
        assert computer.processor.registers["EDX"] == 10 * (5 + 9)
        ends.append(seen(computer, run))
    assert ends[0] == ends[1]


def test_a_guest_cannot_touch_what_is_not_its_memory(tier: str) -> None:
    """It asks for all addresses beside and beyond its RAM; the buffer around it stays as it was."""
    computer = eager(set_up(history=0, tier=tier, ram_mib=2))
    # mov eax, 0x1fffc0; (there) mov [eax], 0xdeadbeef; add eax, 0x411001; jnc there; hlt
    computer.load_code(bytes.fromhex("b8c0ff1f00 c700efbeadde 0501104100 73f3 f4"))
    assert computer.translator is not None
    view = computer.translator.host.view
    tables = bytes(view[0x8000:0x20000])
    run = computer.run(20_000_000)
    assert run.ended in ("halted", "shutdown")
    assert b"\xef\xbe\xad\xde" not in bytes(view[:0x1000])
    assert b"\xef\xbe\xad\xde" not in tables
    assert bytes(computer.memory.data).count(b"\xef\xbe\xad\xde") <= 2


# --- what has to be said ------------------------------------------------------------------------


@needs_wasmtime
def test_steps_cannot_be_taken_back_there() -> None:
    with pytest.raises(InvalidInputError, match="history = 10: must be 0"):
        Computer(2, history=10, tier="wasm")
    with pytest.raises(InvalidInputError, match="tier = 'warp'"):
        Computer(2, tier="warp")


def test_without_wasmtime_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    with pytest.raises(InvalidInputError, match=re.escape("virtlab[machine]")):
        Computer(2, history=0, tier="wasm")


def test_breakpoints_and_watches_still_stop(tier: str) -> None:
    computer = eager(set_up(history=0, tier=tier))
    computer.load_code(bytes.fromhex("40 40 40 ebfb"))
    computer.run(40)
    computer.breakpoints.add(0x100002)
    assert computer.run(100).ended == "breakpoint"
    assert computer.address == 0x100002


def test_a_fault_goes_to_the_guest_with_all_flags(tier: str) -> None:
    """The flags of an addition nobody reads are there when the next instruction faults."""
    pushed = []
    for one in (tier, "interpreter"):
        computer = set_up(history=0, tier=one)
        handle(computer, 0, "f4")  # #DE: halt
        computer.load_code(bytes.fromhex("bcf0ff0800 31d2 31c9 b8ffffffff 83c001 f7f1" + EXIT))
        if one != "interpreter":
            eager(computer)
        computer.run(100)
        stack = computer.processor.registers["ESP"]
        pushed.append(computer.memory.read(stack, 12).hex())
    assert pushed[0] == pushed[1]
    assert int.from_bytes(bytes.fromhex(pushed[0])[8:12], "little") & 0x55 == 0x55  # CF PF AF ZF


def test_a_port_in_a_loop_is_seen_by_its_device_in_order(tier: str) -> None:
    computer = eager(set_up(history=0, tier=tier))
    # mov dx, 0x3f8; mov al, 'a'; (there) out dx, al; inc al; cmp al, 'k'; jnz there; exit
    computer.load_code(bytes.fromhex("66baf803 b061 ee fec0 3c6b 75f9" + out(0xF4, 0)))
    assert computer.run().text == "abcdefghij"


def test_a_computer_is_freed_with_all_that_it_holds(tier: str) -> None:
    """And its memory stays for as long as somebody looks at it."""
    computer = Computer(2, history=0, tier=tier, decoder=DECODER)
    computer.load_code(bytes.fromhex("b9a0860100 49 75fd f4"))
    computer.run()
    translator, data = weakref.ref(computer.translator), computer.memory.data
    del computer
    gc.collect()
    assert translator() is None
    assert bytes(data[0x100000:0x100005]).hex() == "b9a0860100"
