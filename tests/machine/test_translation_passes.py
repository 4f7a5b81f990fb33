"""Each pass can be switched off, and nothing but the time changes."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.small_guests import DECODER, set_up, with_timer
from tests.machine.translated import (
    RandomBlocks,
    eager,
    interpreted,
    needs_wasmtime,
    random_state,
    seen,
)
from virtlab.machine.computer import Computer
from virtlab.machine.encoding import encoding
from virtlab.machine.guests import kernel
from virtlab.machine.image import load
from virtlab.machine.translation.lifting import lift
from virtlab.machine.translation.passes import ESX, Passes
from virtlab.machine.translation.regions import class_of, find_block, find_region
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction

EVERY = [
    Passes(dead_flags=one, regions=two, chaining=three, in_cache=four, most=most)
    for one, two, three, four in product((True, False), repeat=4)
    for most in (256, 3)
]


def name(passes: Passes) -> str:
    on = ("dead_flags", "regions", "chaining", "in_cache")
    return "+".join([switch for switch in on if getattr(passes, switch)] + [str(passes.most)])


# A loop with a repeated string, a conditional move, a call, and flags that nobody reads; interrupts
# are switched off and on, and flags are pushed and popped.
MIXED = (
    "bd14000000"  # mov ebp, 20
    "bf00001800 be10001800 b903000000 f3a5"  # mov edi, esi, ecx; rep movsd
    "fa 9c 01c8 0f44c2 e80b000000 9d fb 4d 75de f4 ebfd"  # cli; pushf; add; cmovz; call; popf; sti
    "90 90 90 1507000000 9c 58 0fafc1 c3"  # adc; pushf; pop eax; imul; ret
)


@cache
def mixed(tier: str, passes: Passes | None = None) -> dict[str, Any]:
    computer = with_timer(37, MIXED, history=0, tier=tier, passes=passes)
    if tier != "interpreter":
        eager(computer)
    return seen(computer, computer.run(1500))


def kernel_run(tier: str, passes: Passes) -> dict[str, Any]:
    computer = Computer(4, history=0, tier=tier, decoder=DECODER, passes=passes)
    computer.load(load(kernel(), 4 << 20))
    return seen(computer, computer.run())


@pytest.mark.parametrize("passes", EVERY, ids=name)
def test_every_combination_ends_as_the_interpreter_does(passes: Passes, tier: str) -> None:
    assert mixed(tier, passes) == mixed("interpreter")


@pytest.mark.parametrize("passes", [ESX, Passes(dead_flags=False), Passes(most=1)], ids=name)
def test_the_small_kernel(passes: Passes, tier: str) -> None:
    assert kernel_run(tier, passes) == interpreted(kernel())


@pytest.mark.parametrize("passes", [ESX, Passes(dead_flags=False)], ids=name)
def test_random_blocks(passes: Passes, tier: str) -> None:
    blocks = RandomBlocks(7, passes=passes, tier=tier)
    for _ in range(25):
        start, code = blocks.block(24)
        different = blocks.compare(start, random_state(blocks.rng), 200)
        assert not different, (code.hex(), different)
    assert blocks.same_memory()


@needs_wasmtime
def test_a_unit_has_so_many_instructions_at_most() -> None:
    for most in (1, 5, 12):
        computer = eager(set_up(history=0, tier="wasm", passes=Passes(most=most)))
        computer.load_code(bytes.fromhex("40" * 30 + "ebe0"))  # inc eax, thirty times; again
        computer.run(2000)
        assert computer.processor.registers["EAX"] == 0x2BADB002 + 2000 - 2000 // 31
        assert computer.translator is not None
        sizes = {len(unit.places) for unit in computer.translator.cache.units}
        assert max(sizes) == most


@pytest.mark.parametrize("field", ["dead_flags", "regions", "chaining", "in_cache", "direct"])
def test_a_switch_is_on_or_off(field: str) -> None:
    wrong: dict[str, Any] = {field: 1}
    with pytest.raises(InvalidInputError, match=f"{field} = 1: must be True or False"):
        Passes(**wrong)


@pytest.mark.parametrize("most", [0, 4097, 1.5, True, "12"])
def test_a_unit_has_at_least_one_instruction(most: Any) -> None:
    with pytest.raises(InvalidInputError, match="most = "):
        Passes(most=most)


# --- one block at a time --------------------------------------------------------------------------


def fetcher(code: str) -> Any:
    data = bytes.fromhex(code)

    def fetch(address: int) -> Instruction | None:
        if not 0 <= address < len(data):
            return None
        return DECODER.decode(address, data[address:] + bytes(15))

    return fetch


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("01d8 ebfc", ["ADD EAX,EBX", "JMP 0x0"]),
        ("01d8 7402 01d8 01d8", ["ADD EAX,EBX", "JZ 0x6"]),
        ("01d8 e801000000 01d8", ["ADD EAX,EBX", "CALL 0x8"]),
        ("01d8 c3 01d8", ["ADD EAX,EBX", "RET"]),
        ("01d8 ffe0 01d8", ["ADD EAX,EBX", "JMP EAX"]),
        ("01d8 f4 01d8", ["ADD EAX,EBX"]),  # for the VMM: it ends before
        ("f3a4 0f44c2 c3", ["MOVSB.REP ES:EDI,ESI", "CMOVZ EAX,EDX", "RET"]),
        ("40 40 40", ["INC EAX", "INC EAX", "INC EAX"]),  # what follows cannot be read
        ("f4", []),
    ],
)
def test_a_block_ends_where_the_code_may_lead_elsewhere(code: str, words: list[str]) -> None:
    assert [str(i) for i in find_block(0, fetcher(code)).code.values()] == words


def test_a_jump_into_the_middle_of_a_block_leaves_it() -> None:
    """There another unit begins; a region has both."""
    fetch = fetcher("40 41 75fd f4")  # inc eax; (there) inc ecx; jnz there; hlt
    block, region = lift(find_block(0, fetch)), lift(find_region(0, fetch))
    assert [len(node.ops) > 0 for node in block.values()] == [True, False, False]
    assert sum(len(node.ops) > 0 for node in region.values()) == 2


@given(code=st.binary(min_size=1, max_size=60), most=st.integers(1, 20))
def test_a_block_is_a_straight_line(code: bytes, most: int) -> None:
    def fetch(address: int) -> Instruction | None:
        from virtlab.machine.faults import Fault

        try:
            return DECODER.decode(address, (code + bytes(15))[address : address + 15])
        except Fault:
            return None

    block = find_block(0, fetch, most)
    at = 0
    for address, instruction in block.code.items():
        assert address == at
        assert class_of(instruction) != "callout"
        assert encoding(instruction.code).opcode not in (0xF4, 0xFA)
        at = instruction.next
    assert len(block.code) <= most
