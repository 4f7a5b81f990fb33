"""The llvm tier does what the interpreter does, whichever of its parts runs at the moment."""

from __future__ import annotations

import gc
import re
import sys
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.machine.llvm_pool import LOOP, at_once, short
from tests.machine.oracle import expected
from tests.machine.small_guests import DECODER, EXIT, handle, set_up, with_timer
from tests.machine.test_interrupts_everywhere import back, note
from tests.machine.test_translation import CHANGES_ITSELF, MIXED
from tests.machine.translated import (
    RandomBlocks,
    interpreted,
    needs_llvmlite,
    random_state,
    seen,
)
from virtlab.machine.computer import Computer
from virtlab.machine.devices.pit import INSTRUCTIONS_PER_TICK
from virtlab.machine.guests import GUESTS, Guest, guest, kernel
from virtlab.machine.image import load
from virtlab.machine.pcode import CONST, UNIQUE, Op, Var
from virtlab.machine.translation import llvm_code
from virtlab.machine.translation.lifting import FLAG_CELLS, Node, lift
from virtlab.machine.translation.liveness import Needs, Recipe
from virtlab.machine.translation.llvm import LlvmFunction
from virtlab.machine.translation.llvm_node import Recipes
from virtlab.machine.translation.regions import find_region
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_llvmlite
MIB = 1 << 20


def loaded(path: Path, tick: int = INSTRUCTIONS_PER_TICK) -> Computer:
    computer = Computer(4, history=0, tier="llvm", decoder=DECODER, instructions_per_tick=tick)
    computer.load(load(path, 4 * MIB))
    return computer


def ran(path: Path, *, now: bool) -> dict[str, Any]:
    computer = loaded(path)
    if now:
        at_once(computer)
    return seen(computer, computer.run())


# --- the same as in the interpreter ---------------------------------------------------------------


@pytest.mark.parametrize("now", [True, False])
@pytest.mark.parametrize("name", ["fibonacci", "isprime", "sieve"])
def test_programs_end_as_they_do_in_the_interpreter(
    name: str,
    now: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short(monkeypatch, 20_000)
    path = guest(name).path()
    assert ran(path, now=now) == interpreted(path)


@pytest.mark.parametrize("one", GUESTS, ids=lambda one: one.name)
def test_a_hundred_million_instructions_are_counted_exactly(one: Guest) -> None:
    mmu = GUESTS.index(one) % 2 == 0
    computer = Computer(16, history=0, tier="llvm", decoder=DECODER, mmu=mmu)
    computer.load(load(one.path(large=True), 16 * MIB))
    run = computer.run(10**9)
    assert run.text == expected(one, large=True)
    assert run.instructions == one.large_instructions - 1


def test_the_small_kernel_and_its_processes() -> None:
    """All by LLVM at once; and again with another timer, by the code that is there by then."""
    computer = at_once(loaded(kernel()))
    begin = note(computer)
    for tick in (INSTRUCTIONS_PER_TICK, 7):
        back(computer, begin)
        computer.pit.period = tick
        assert seen(computer, computer.run()) == interpreted(kernel(), tick)
    assert computer.translator is not None
    translated = computer.translator.counts["instructions"]
    assert translated > 0.9 * 2 * computer.processor.instructions


def test_the_small_kernel_while_llvm_works_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    short(monkeypatch, 2000)
    computer = loaded(kernel(), 7)
    assert seen(computer, computer.run()) == interpreted(kernel(), 7)


@pytest.mark.parametrize("seed", range(2))
def test_random_blocks(seed: int) -> None:
    """Whatever comes: faults, jumps to nowhere, strings, blocks that write on themselves."""
    blocks = RandomBlocks(seed, tier="llvm")
    at_once(blocks.translating)
    for _ in range(15):
        start, code = blocks.block(16)
        for _ in range(4):
            different = blocks.compare(start, random_state(blocks.rng), 200)
            assert not different, (code.hex(), different)
    assert blocks.same_memory()
    assert blocks.translating.translator is not None
    assert blocks.translating.translator.counts["instructions"] > 0.4 * blocks.instructions


def test_random_blocks_of_the_same_code_with_many_states() -> None:
    """Compiled once, entered with all kinds of registers: comparisons and overflow above all."""
    blocks = RandomBlocks(7, tier="llvm")
    at_once(blocks.translating)
    # cmp; jl; cmp; jle; cmp; jg; sub; jge; add; jo; imul; sbb; each with its own way on
    code = "39d8 7c01 41 39f7 7e01 42 38d4 7f01 45 29d8 7d01 46 01fb 7001 47 0fafc3 19c2 f4"
    start = blocks.CODE
    for computer in (blocks.interpreting, blocks.translating):
        computer.memory.write(start, bytes.fromhex(code))
    for _ in range(300):
        state = random_state(blocks.rng)
        if blocks.rng.random() < 0.3:
            state["EBX"] = state["EAX"] + int(blocks.rng.integers(-1, 2)) & 0xFFFFFFFF
        different = blocks.compare(start, state, int(blocks.rng.integers(1, 25)))
        assert not different, different


# --- exact counts ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def states() -> list[dict[str, Any]]:
    """The machine after each number of instructions of a loop, by the interpreter."""
    computer = set_up(history=0)
    computer.load_code(bytes.fromhex(MIXED))
    found: list[dict[str, Any]] = []
    for _ in range(120):
        run = computer.run(1)
        found.append({**seen(computer, run), "counts": None})
    return found


def test_a_run_may_end_after_any_instruction(states: list[dict[str, Any]]) -> None:
    """All from the same code, compiled once; the machine is put back to where it began."""
    computer = at_once(set_up(history=0, tier="llvm"))
    computer.load_code(bytes.fromhex(MIXED))
    memory, registers = bytes(computer.memory.data), bytes(computer.processor.registers.data)
    for limit, state in enumerate(states, 1):
        computer.memory.data[:], computer.processor.registers.data[:] = memory, registers
        computer.processor.instructions, computer.processor.halted = 0, False
        run = computer.run(limit)
        assert run.instructions == limit
        assert {**seen(computer, run), "counts": None} == state
    assert computer.translator is not None
    assert computer.translator.counts["instructions"] > 0.5 * sum(range(len(states)))


def test_a_run_in_pieces_is_the_same_run(states: list[dict[str, Any]]) -> None:
    computer = at_once(set_up(history=0, tier="llvm"))
    computer.load_code(bytes.fromhex(MIXED))
    done, dice = 0, np.random.default_rng(5)
    while done < len(states):
        piece = min(int(dice.integers(1, 12)), len(states) - done)
        run = computer.run(piece)
        done += piece
        assert {**seen(computer, run), "counts": None} == states[done - 1]


def timed(count: int, tier: str) -> dict[str, Any]:
    computer = with_timer(count, MIXED, history=0, tier=tier)
    if tier == "llvm":
        at_once(computer)
    return seen(computer, computer.run(3000))


@pytest.mark.parametrize("count", range(31, 95, 7))
def test_an_interrupt_at_every_instruction_of_a_loop(count: int) -> None:
    assert timed(count, "llvm") == timed(count, "interpreter")


def test_a_fault_goes_to_the_guest_with_all_flags() -> None:
    """The flags of an addition nobody reads are there when the next instruction faults."""
    pushed = []
    for tier in ("llvm", "interpreter"):
        computer = set_up(history=0, tier=tier)
        handle(computer, 0, "f4")  # #DE: halt
        computer.load_code(bytes.fromhex("bcf0ff0800 31d2 31c9 b8ffffffff 83c001 f7f1" + EXIT))
        if tier == "llvm":
            at_once(computer)
        computer.run(100)
        stack = computer.processor.registers["ESP"]
        pushed.append(computer.memory.read(stack, 12).hex())
    assert pushed[0] == pushed[1]


def recipes_of(code: str) -> tuple[LlvmFunction, dict[int, Any]]:
    """Return a function, and the recipes that may hold where it is left for good."""
    raw = bytes.fromhex(code)
    region = find_region(0, lambda address: DECODER.decode(address, raw[address:] + bytes(15)))
    function = LlvmFunction(lift(region), (0, 0), (0, 0), first_recipe=100)
    return function, function.recipes.at_exits(function.shape.graph, function.entries)


def test_code_makes_flags_only_where_it_is_left_for_good() -> None:
    """Of an addition, a difference and a count down only the last is there when the loop ends."""
    function, at_exits = recipes_of("01d8 7100 29c8 7100 49 75f5 f4")
    assert set(function.recipes.by_number) == {100, 101, 102}
    assert list(at_exits) == [function.recipes.of[8, 0]]
    assert len(re.findall(r"^recipe\d+:", function.text, re.MULTILINE)) == 1


def test_where_code_is_left_by_two_ways_it_makes_the_flags_of_both() -> None:
    _, at_exits = recipes_of("01d8 7502 29d8 f4")  # add; jnz to hlt; sub; hlt
    assert len(at_exits) == 2


def test_what_is_kept_is_as_long_as_it_has_to_be() -> None:
    assert set(recipes_of("01d8 49 75fb f4")[0].recipes.keeps) == {4}
    nodes, needs = [], {}
    for at, size in enumerate((1, 8, 4)):
        leaf, flag = Var(UNIQUE, -1, size), Var(UNIQUE, -2, 1)
        zero = Op("INT_EQUAL", flag, (leaf, Var(CONST, 0, size)))
        nodes.append(Node((at, 0), sets={FLAG_CELLS[3]: flag}))
        needs[at, 0] = Needs(frozenset(), {}, Recipe({FLAG_CELLS[3]: flag}, (leaf,), (zero,)))
    assert Recipes(nodes[:1], needs).keeps == [1]
    assert Recipes(nodes, needs).keeps == [8]


@pytest.mark.parametrize("code", ["01d8", "11d8", "28d8", "c1e003", "f7e3", "0fafc3", "f7d8"])
@pytest.mark.parametrize("limit", [2, 5, 301, 302, 303])
def test_flags_that_were_put_off_are_there_wherever_a_run_ends(code: str, limit: int) -> None:
    found = []
    for tier in ("llvm", "interpreter"):
        computer = set_up(history=0, tier=tier)
        computer.load_code(
            bytes.fromhex(f"b9d0070000 {code} 49 90 75{0xFC - len(code) // 2:02x} f4")
        )
        if tier == "llvm":
            at_once(computer)
        for name, value in (("EAX", 0x7FFFFFF3), ("EBX", 0x80000011)):
            computer.processor.registers[name] = value
        found.append([seen(computer, computer.run(limit)) for _ in range(4)])
    assert found[0] == found[1]


@pytest.mark.parametrize("tier", ["interpreter", "llvm"])
def test_a_fault_after_a_store_does_not_store_twice(tier: str) -> None:
    """What is done again after a fault may have been done already only if that changes nothing."""
    computer = set_up(history=0, tier=tier, ram_mib=2)
    handle(computer, 14, "f4")
    # mov ebx, 0x180000; mov eax, [ebx]; inc dword [ebx]; mov edx, [ebx]; inc dword [ebx];
    # mov ecx, [ebx]; div of 5 by zero
    handle(computer, 0, "f4")
    code = "bcf0ff0800 bb00001800 8b03 ff03 8b13 ff03 8b0b 31f6 b805000000 31d2 f7f6"
    computer.load_code(bytes.fromhex(code.replace(" ", "") + EXIT))
    if tier == "llvm":
        at_once(computer)
    computer.run(100)
    names = ("EAX", "ECX", "EDX")
    assert [computer.processor.registers[name] for name in names] == [5, 2, 0]
    assert computer.memory.read(0x180000, 4) == (2).to_bytes(4, "little")


# --- code that changes, and memory that is not there ----------------------------------------------


@pytest.mark.parametrize("mmu", [True, False])
def test_a_program_that_changes_itself(mmu: bool) -> None:  # noqa: FBT001
    computer = at_once(set_up(history=0, tier="llvm", mmu=mmu))
    computer.load_code(bytes.fromhex("31c0" + CHANGES_ITSELF))
    run = computer.run()
    assert computer.processor.registers["EAX"] == sum(range(1, 10))
    assert run.instructions == 1 + 1 + 9 * 4 + 1


def test_a_guest_cannot_touch_what_is_not_its_memory() -> None:
    for mmu in (True, False):
        computer = at_once(set_up(history=0, tier="llvm", ram_mib=2, mmu=mmu))
        # mov eax, 0x1fffc0; (there) mov [eax], 0xdeadbeef; add eax, 0x411001; jnc there; hlt
        code = "b8c0ff1f00 c700efbeadde 0501104100 73f3 f4"
        computer.load_code(bytes.fromhex(code))
        assert computer.translator is not None
        view = computer.translator.host.view
        run = computer.run(20_000_000)
        assert run.ended in ("halted", "shutdown")
        assert b"\xef\xbe\xad\xde" not in bytes(view[:0x20000])
        assert bytes(computer.memory.data).count(b"\xef\xbe\xad\xde") <= 2


# --- what has to be said --------------------------------------------------------------------------


def test_without_llvmlite_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    llvm_code.llvm.cache_clear()
    with pytest.raises(InvalidInputError, match=re.escape("virtlab[llvm]")):
        Computer(2, history=0, tier="llvm")
    llvm_code.llvm.cache_clear()


def test_an_error_in_the_vmm_comes_out_of_machine_code(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = at_once(set_up(history=0, tier="llvm"))
    computer.load_code(bytes.fromhex("a100003000 ebf9"))  # mov eax, [0x300000]; again
    assert computer.translator is not None

    def load(_address: int, _size: int) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(computer.translator.tlb, "load", load)
    with pytest.raises(ZeroDivisionError):
        computer.run(100)


def at_and_flags(computer: Computer) -> tuple[int, ...]:
    registers = computer.processor.registers
    flags = (int(registers.flag(name)) for name in ("CF", "PF", "AF", "ZF", "SF", "OF"))
    return registers["EIP"], registers["EAX"], *flags


def test_after_an_error_in_the_vmm_all_flags_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The branch needs one flag of the addition; the read fails in the node behind it."""
    code = bytes.fromhex("01c0 7400 a100003000 ebf5")  # add; jz to what follows; mov; again
    computer = at_once(set_up(history=0, tier="llvm"))
    computer.load_code(code)
    assert computer.translator is not None
    monkeypatch.setattr(computer.translator.tlb, "load", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        computer.run(100)
    beside = set_up(history=0)
    beside.load_code(code)
    beside.run(6)
    states = set()
    for _ in range(4):
        beside.run(1)
        states.add(at_and_flags(beside))
    assert at_and_flags(computer) in states


def test_a_computer_is_freed_with_all_that_it_holds() -> None:
    computer = Computer(2, history=0, tier="llvm", decoder=DECODER)
    computer.load_code(bytes.fromhex(LOOP))
    at_once(computer)
    computer.run()
    translator, data = weakref.ref(computer.translator), computer.memory.data
    del computer
    gc.collect()
    assert translator() is None
    assert bytes(data[0x100000:0x100005]).hex() == LOOP[:10]
