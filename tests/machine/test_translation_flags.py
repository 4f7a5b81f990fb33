"""Flags that were put off and are made where a region is left, of the wasm or python tier."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.machine.translated import needs_wasmtime
from virtlab.machine.computer import Computer
from virtlab.machine.decode import Decoder, Instruction
from virtlab.machine.pcode import CONST, UNIQUE, Op, Var
from virtlab.machine.translation.layout import KEPT, RECIPE
from virtlab.machine.translation.lifting import FLAG_CELLS, Graph, Key, lift
from virtlab.machine.translation.liveness import Needs, Recipe, needs, waiting
from virtlab.machine.translation.passes import Passes
from virtlab.machine.translation.regions import find_region
from virtlab.machine.translation.wasm import WasmFunction

pytestmark = needs_wasmtime
HALT = "f4"
# Each sets flags in its own way; some leave what was there (inc: CF; rol: four, and OF but for one
# step).
SETS = [
    "01d8",
    "29d8",
    "39d8",
    "85d8",
    "31d8",
    "40",
    "4b",
    "11d8",
    "f7d8",
    "c1c003",
    "c1e003",
    "0fafc3",
    "d1e8",
    "3d01",
]
SETS[-1] += "000000"
READS = ["7302", "7402", "7802", "7a02", "7002", "7c02", "7602"]  # jumps over two bytes
KEEPS = ["89c3", "87d8", "8d4301", "9090"]  # changes what a recipe was made from


def graph_of(code: str) -> tuple[Graph, dict[Key, Needs]]:
    words = bytes.fromhex(code)

    def fetch(address: int) -> Instruction | None:
        known = address < len(words)
        return Decoder().decode(address, words[address:] + bytes(15)) if known else None

    graph = lift(find_region(0, fetch))
    return graph, needs(graph, at_exits=False)


def run(code: str, tier: str, limit: int = 10**6, **registers: int) -> list[int]:
    """Run code; return all flags and the registers that it uses."""
    passes = Passes(in_cache=False) if tier == "wasm" else None
    computer = Computer(ram_mib=2, history=0, tier=tier, passes=passes)
    computer.load_code(bytes.fromhex(code))
    for name, value in registers.items():
        computer.processor.registers[name] = value
    computer.run(limit)
    found = computer.processor.registers
    flags = [int(found.flag(name)) for name in ("CF", "PF", "AF", "ZF", "SF", "DF", "OF")]
    return [*flags, *(found[name] for name in ("EAX", "EBX", "ECX", "EDX", "EIP"))]


def test_a_loop_computes_only_what_it_reads_itself() -> None:
    _graph, needed = graph_of("01d8 49 75fb f4")  # add eax, ebx; dec ecx; jnz; hlt
    flags = {cell for cell in needed[0, 0].sets if cell in FLAG_CELLS}
    assert not flags  # CF is add's, all others are dec's; the branch has its own condition


@pytest.mark.parametrize(
    "between",
    [
        "85c9",
        "21c9",
        "09c9",
        "31c9",
        "f6c101",
        "c1e203",
        "d1fa",
        "c1ea02",
        "0fa4c203",
        "69c903000000",
    ],
)
def test_what_leaves_no_flag_undefined_needs_none_of_a_comparison_before(between: str) -> None:
    """Cmp; jz to what sets flags, and back: in each round all flags are made of the last alone."""
    size = len(bytes.fromhex(between))
    graph, needed = graph_of(f"39d8 7402 89d6 {between} 75{0x100 - size - 8:02x} f4")
    flags = {cell for one in needed.values() for cell in one.sets if cell in FLAG_CELLS}
    assert not flags
    assert len(graph) > 2


@pytest.mark.parametrize(("between", "kept"), [("41", "CF"), ("c1c003", "ZF"), ("d3e2", "SF")])
def test_what_leaves_a_flag_as_it_was_needs_that_one(between: str, kept: str) -> None:
    size = len(bytes.fromhex(between))  # inc ecx; rol eax, 3; shl edx, cl
    _graph, needed = graph_of(f"39d8 7402 89d6 {between} 75{0x100 - size - 8:02x} f4")
    flags = {cell for one in needed.values() for cell in one.sets if cell in FLAG_CELLS}
    assert FLAG_CELLS[("CF", "PF", "AF", "ZF", "SF", "DF", "OF").index(kept)] in flags


def test_where_no_flag_is_put_off_nothing_is_made() -> None:
    graph, needed = graph_of("89c3 eb00 f4")
    assert waiting(graph, needed, [(0, 0)]) == {key: {0} for key in graph}
    assert not WasmFunction(graph, needed, (0, 0)).recipes


def test_a_recipe_waits_until_the_next_is_kept() -> None:
    graph, needed = graph_of("01d8 7502 89c3 29d8 f4")  # add; jnz over mov; sub
    found = waiting(graph, needed, [(0, 0)])
    recipes: dict[int, Recipe] = {id(n.recipe): n.recipe for n in needed.values() if n.recipe}
    assert found[4, 0] == {id(needed[0, 0].recipe)}  # mov sets none
    assert found[6, 0] == {id(needed[6, 0].recipe)}
    assert set().union(*found.values()) <= {0, *recipes}


def test_the_host_makes_only_flags_that_code_has_not_made() -> None:
    zero = Op("INT_EQUAL", Var(UNIQUE, -2, 1), (Var(UNIQUE, -1, 4), Var(CONST, 0, 4)))
    zf, sf = FLAG_CELLS[3], FLAG_CELLS[4]
    recipe = Recipe({zf: zero.result, sf: zero.result}, (Var(UNIQUE, -1, 4),), (zero,))
    view = memoryview(bytearray(4096))
    struct.pack_into("<II", view, RECIPE, 7, 1 << FLAG_CELLS.index(sf))
    struct.pack_into("<Q", view, KEPT, 0xDEADBEEF_00000000)  # of what was kept, four bytes count
    recipe.follow(view)
    assert (view[zf.offset], view[sf.offset]) == (1, 0)
    assert view[RECIPE : RECIPE + 4] == bytes(4)


@needs_wasmtime
@settings(deadline=None, max_examples=40)
@example(["01d8"], "7402", ["85d8"], "89c3", 3)
@example(["3d01000000"], "7c02", ["40"], "9090", 0)
@given(
    st.lists(st.sampled_from(SETS), min_size=1, max_size=3),
    st.sampled_from(READS),
    st.lists(st.sampled_from(SETS), max_size=2),
    st.sampled_from(KEEPS[::3] + KEEPS[:2]),
    st.integers(0, 9),
)
def test_flags_are_there_wherever_a_loop_is_left(
    first: list[str], jump: str, second: list[str], over: str, turns: int
) -> None:
    """`first`, a branch that may skip `over`, `second`; so many turns; then out."""
    body = "".join([*first, jump, over, *second])
    size = len(bytes.fromhex(body)) + 3  # and dec cl in two bytes, jnz in two
    loop = body + "fec9" + "75" + bytes([-(size + 1) & 0xFF]).hex()
    code = loop + HALT
    values = {"EAX": 0x7FFFFFF0, "EBX": 0x8000000F, "ECX": turns + 20}
    expected = run(code, "interpreter", **values)
    assert run(code, "wasm", **values) == expected
    assert run(code, "python", **values) == expected


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(SETS), st.sampled_from(SETS), st.integers(100, 160))
def test_so_are_they_when_it_is_stopped_in_the_middle(one: str, other: str, limit: int) -> None:
    body = one + "89c2" + other  # mov edx, eax between
    back = bytes([-(len(bytes.fromhex(body)) + 2) & 0xFF]).hex()
    code = body + "eb" + back
    values = {"EAX": 5, "EBX": 0xFFFFFFFE}
    expected = run(code, "interpreter", limit, **values)
    assert run(code, "wasm", limit, **values) == expected
    assert run(code, "python", limit, **values) == expected
