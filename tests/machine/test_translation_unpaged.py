"""Code translated without MMU, for programs that never turn paging on, does what others do."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.small_guests import CODE, DECODER, PAGING_ON, map_pages
from tests.machine.translated import RandomBlocks, eager, needs_wasmtime, random_state, seen
from virtlab.machine.computer import Computer
from virtlab.machine.guests import GUESTS, Guest
from virtlab.machine.image import load
from virtlab.machine.memory import PAGE, Memory
from virtlab.machine.processor import Processor
from virtlab.machine.translation.layout import LIMITS, RAM, READ_TLB
from virtlab.machine.translation.tlb import SoftTlb
from virtlab.validate import InvalidInputError

pytestmark = needs_wasmtime
MIB = 1 << 20


def made(code: str, *, ram_mib: int = 2, tier: str = "wasm", address: int = CODE) -> Computer:
    computer = Computer(ram_mib, history=0, tier=tier, decoder=DECODER, mmu=False)
    computer.load_code(bytes.fromhex(code), address)
    return computer if tier == "interpreter" else eager(computer)


def same(code: str, limit: int = 10_000, address: int = CODE) -> Computer:
    """Run on both; see that they end alike; return the one that translated."""
    computer, other = (made(code, tier=tier, address=address) for tier in ("wasm", "interpreter"))
    assert seen(computer, computer.run(limit)) == seen(other, other.run(limit))
    assert computer.translator is not None
    assert computer.translator.counts["instructions"] > 0
    return computer


@pytest.mark.parametrize("one", GUESTS, ids=lambda one: one.name)
def test_a_hundred_million_instructions_are_counted_exactly(one: Guest) -> None:
    computer = Computer(16, history=0, tier="wasm", decoder=DECODER, mmu=False)
    computer.load(load(one.path(large=True), 16 * MIB))
    run = computer.run(10**9)
    assert (run.ended, run.instructions) == ("exit", one.large_instructions - 1)
    assert computer.translator is not None
    assert computer.translator.tlb.asked < 100  # the fast way is the one that is taken


@pytest.mark.parametrize("seed", range(2))
def test_random_blocks(seed: int, tier: str) -> None:
    blocks = RandomBlocks(seed, mmu=False, tier=tier)
    for _ in range(40):
        start, code = blocks.block(24)
        for _ in range(4):
            different = blocks.compare(start, random_state(blocks.rng), 200)
            assert not different, (code.hex(), different)
    assert blocks.same_memory()


# mov eax, ADDRESS; mov ecx, 5; (there) mov [eax], ecx; mov ebx, [eax]; add eax, STEP; dec; jnz; hlt
WALK = "b8{} b905000000 8908 8b18 05{} 49 75f4 f4"


@pytest.mark.parametrize("step", [1, 2, 3, 4, 0x1000, 0x7FFFFFFF])
@pytest.mark.parametrize("begin", [0x1FFFF4, 0x1FFFFD, 0x200000, 0xFFFFFFF0, 0xFFFFFFFD, 0xFFFFC])
def test_the_end_of_memory_is_where_the_interpreter_has_it(begin: int, step: int) -> None:
    """And beside it nothing is written, whatever the address."""
    code = WALK.format(*(struct.pack("<I", number).hex() for number in (begin, step)))
    computer, other = (made(code, tier=tier) for tier in ("wasm", "interpreter"))
    assert computer.translator is not None
    tables = computer.translator.host.view[READ_TLB:LIMITS]
    before = bytes(tables)
    assert seen(computer, computer.run()) == seen(other, other.run())
    assert computer.translator.counts["instructions"] > 0
    assert bytes(tables) == before


def test_a_program_that_changes_itself() -> None:
    # mov ecx, 9; (there) add eax, 1; inc byte [there + 2]; dec ecx; jnz there; hlt
    computer = same("31c0 b909000000 83c001 fe0509001000 49 75f4 f4")
    assert computer.processor.registers["EAX"] == sum(range(1, 10))


@pytest.mark.parametrize("address", [0, 0x1000, 0x1F0000])
def test_code_may_lie_anywhere(address: int) -> None:
    """Below its data, above it, or on both sides of the code that was translated first."""
    # mov edi, 0x80000; mov ecx, 9; (there) mov [edi], ecx; add edi, 0x10ff1; dec ecx; jnz; hlt
    same("bf00000800 b909000000 890f 81c7f10f0100 49 75f5 f4", address=address)


@given(st.lists(st.sets(st.integers(0, 20)), max_size=5), st.integers(1, 16))
def test_limits_let_no_byte_of_code_be_written(steps: list[set[int]], ram_pages: int) -> None:
    """Nor one beyond RAM; and all others, but near the end of a page before these."""
    view = memoryview(bytearray(RAM + ram_pages * PAGE))
    tlb = SoftTlb(view, Processor(Memory(ram_pages * PAGE, view[RAM:]), decoder=DECODER))
    for pages in [set[int](), *steps]:
        tlb.guard(pages)
        limits = view[LIMITS:RAM].cast("I")
        good = {page for page in range(ram_pages) if page not in pages}
        for page in range(ram_pages + 3):
            end = (page + 1) * PAGE if page + 1 in good else (page + 1) * PAGE - 7
            assert limits[page] == (end if page in good else 0)


def test_limits_follow_the_code() -> None:
    computer = made("b814000000 48 75fd f4")
    assert computer.translator is not None
    limits = computer.translator.host.view[LIMITS:RAM].cast("I")
    before = list(limits[0xFF:0x102])
    computer.run()
    assert before == [0x100000, 0x101000, 0x102000]
    assert list(limits[0xFF:0x102]) == [0x100000 - 7, 0, 0x102000]


def test_data_beside_code_that_is_often_written_is_asked_for() -> None:
    """At first code leaves each time; then it is made anew, and calls the host."""
    # mov ecx, 500; mov [0x100800], ecx; dec ecx; jnz; hlt
    computer = same("b9f4010000 890d00081000 49 75f7 f4")
    assert computer.translator is not None
    assert computer.translator.counts["steps"] < 300
    assert computer.translator.cache.counts["made anew"] > 0


@pytest.mark.parametrize("tier", ["wasm", "interpreter"])
def test_a_guest_that_turns_paging_on_is_refused(tier: str) -> None:
    computer = made(PAGING_ON + "f4", tier=tier)
    map_pages(computer)
    message = "mmu = False: must be True: this guest turns paging on"
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        computer.run()


def test_what_a_program_may_see_is_the_same_with_and_without() -> None:
    """At random, over memory that is read and written in all sizes."""
    rng = np.random.default_rng(5)
    for _ in range(10):
        code = "".join(
            f"{op}{int(rng.integers(0x180000, 0x1FFFFF)):08x}"
            for op in rng.choice(["a1", "a3", "a2", "a0"], 12)
        )
        swapped = "".join(
            code[k : k + 2] + bytes.fromhex(code[k + 2 : k + 10])[::-1].hex()
            for k in range(0, len(code), 10)
        )
        same("b909000000" + swapped + f"49 75{(256 - 63) % 256:02x} f4")
