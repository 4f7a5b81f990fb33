"""Flags that the python tier makes on its way out, and quotients that it computes once."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.machine.small_guests import set_up
from tests.machine.test_translation_flags import SETS as SETS_FLAGS
from tests.machine.test_translation_python import START, graph_of
from tests.machine.translated import eager, seen
from virtlab.machine.pcode import COMPUTED, CONST, UNIQUE, Op, Var
from virtlab.machine.translation.lifting import FLAG_CELLS
from virtlab.machine.translation.liveness import Recipe, needs
from virtlab.machine.translation.python import PythonFunction
from virtlab.machine.translation.python_exits import flag_lines
from virtlab.machine.translation.python_host import PythonHost
from virtlab.machine.translation.python_memory import NotDoneError
from virtlab.machine.translation.python_node import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

SETS = (*SETS_FLAGS, "d3e0")
FLAGS = tuple(name_of(cell) for cell in FLAG_CELLS)


def source_of(code: str) -> str:
    graph = graph_of(code)
    return PythonFunction(graph, needs(graph, at_exits=False), (START, 0)).source


def ends(code: str, limit: int, **registers: int) -> list[object]:
    """Return how the python tier and the interpreter end: registers, flags, count."""
    found: list[object] = []
    for tier in ("python", "interpreter"):
        computer = set_up(history=0, tier=tier)
        computer.load_code(bytes.fromhex(code))
        if tier == "python":
            eager(computer)
        for name, value in registers.items():
            computer.processor.registers[name] = value
        done = computer.run(limit)
        flags = [int(computer.processor.registers.flag(name[:2].upper())) for name in FLAGS]
        found.append((seen(computer, done), flags))
    return found


# --- flags ------------------------------------------------------------------------------------


def test_a_loop_makes_no_flag_and_the_way_out_makes_all() -> None:
    source = source_of("83c001 3d401f0000 75f6 c3")  # add eax, 1; cmp eax, 8000; jnz; ret
    loop, _, out = source.partition("continue")
    assert not re.search(rf"^ +({'|'.join(FLAGS)}) =", loop, re.MULTILINE)
    made = re.findall(rf"^ +({'|'.join(FLAGS)}) =", out, re.MULTILINE)
    assert set(made) == set(FLAGS) - {"df"}


def test_where_a_node_leaves_what_it_has_is_taken_as_it_is() -> None:
    source = source_of("01d8 c3")  # add eax, ebx; ret
    assert "recipe =" not in source.replace("recipe = (0,)", "")
    assert re.search(r"zf = .*eax|zf = made_", source)


def test_if_one_of_two_may_be_the_last_its_number_is_asked() -> None:
    # test ecx, ecx; jz over; add eax, ebx; over: mov edx, 1; ret
    code = "85c9 7402 01d8 ba01000000 c3"
    source = source_of(code)
    assert "if recipe[0] == 1:" in source
    assert "elif recipe[0] == 2:" in source
    for ecx in (0, 1):
        for eax in (0, 0x7FFFFFFF, 0xFFFFFFFF):
            one, other = ends("bc00001700" + code, 6, ECX=ecx, EAX=eax, EBX=1)
            assert one == other


@settings(deadline=None, max_examples=80)
@example(["d3e0", "d3e0"], "7402", ["d3e8"], 3, 0x21)
@given(
    st.lists(st.sampled_from(SETS), min_size=1, max_size=3),
    st.sampled_from(("7302", "7402", "7802", "7a02", "7002", "7c02", "7602")),
    st.lists(st.sampled_from(SETS), max_size=2),
    st.integers(1, 40),
    st.integers(0, 0xFFFFFFFF),
)
def test_whatever_sets_flags_they_are_there_at_the_end(
    first: list[str], jump: str, second: list[str], limit: int, eax: int
) -> None:
    """`first`, a branch over `mov ebx, eax`, `second`, and back; stopped anywhere, or left."""
    body = "".join([*first, jump, "89c3", *second])
    size = len(bytes.fromhex(body)) + 4
    code = f"{body}fec9 75{(256 - size) % 256:02x} f4"
    one, other = ends(code, limit, EAX=eax, EBX=0x8000000F, ECX=4)
    assert one == other


@settings(deadline=None)
@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_what_is_written_is_what_the_recipe_says(one: int, other: int) -> None:
    a, b, wide, low, carry, zero = (
        Var(UNIQUE, -at, size) for at, size in enumerate((4, 4, 4, 1, 1, 1), start=1)
    )
    ops = (
        Op("INT_ADD", wide, (a, b)),
        Op("INT_SCARRY", carry, (wide, b)),
        Op("SUBPIECE", low, (wide, Var(CONST, 0, 4))),
        Op("INT_EQUAL", zero, (wide, Var(CONST, 0, 4))),
        Op("POPCOUNT", Var(UNIQUE, -9, 1), (low,)),
    )
    cells = dict(zip(FLAG_CELLS, (carry, zero, carry), strict=False))
    recipe = Recipe(cells, (a, b), ops)
    assert lines_give(flag_lines(recipe, ("x", "y")), x=one, y=other) == {
        name_of(cell): value for cell, value in recipe.flags([one, other]).items()
    }


def lines_give(lines: Sequence[str], **names: int) -> dict[str, int]:
    exec("\n".join(lines), {}, names)  # noqa: S102 - it is what is tested
    return {name: int(value) for name, value in names.items() if name in FLAGS}


def test_values_that_are_used_twice_are_computed_once() -> None:
    """Each is made of the one before, twice: forty of them written out would take for ever."""
    values = [Var(UNIQUE, -at, 4) for at in range(1, 42)]
    ops = tuple(
        Op("INT_MULT", after, (before, before)) for before, after in itertools.pairwise(values)
    )
    lines = flag_lines(Recipe({FLAG_CELLS[0]: values[-1]}, (values[0],), ops), ["x"])
    assert len("\n".join(lines)) < 60 * len(values)


# --- quotients --------------------------------------------------------------------------------


def test_a_signed_division_is_one_call() -> None:
    source = source_of("99 f7fe 31d2 c3")  # cdq; idiv esi; xor edx, edx; ret
    assert source.count("divided(") == 1
    assert "quotient(" not in source
    assert "remainder(" not in source
    assert "edx = -(eax >> 31) & 0xffffffff" in source


NUMBERS = st.one_of(
    st.sampled_from((0, 1, 2, 7, 0x7F, 0x80, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF80)),
    st.integers(0, 0xFFFFFFFF),
)


@settings(deadline=None, max_examples=60)
@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(("f7fe", "66f7fe", "f6fb", "99f7fe", "6699f7fe")))
@example(0x80000000, 0xFFFFFFFF, 0xFFFFFFFF, "99f7fe")  # the quotient that does not fit
@example(5, 0, 0, "99f7fe")
@example(0x8000, 0xFFFF, 0xFFFF, "66f7fe")
def test_quotient_and_remainder_are_the_interpreter_s(
    eax: int, edx: int, esi: int, divide: str
) -> None:
    """Where there is none, the fault shuts this machine down: with the same registers."""
    code = f"89f3 {divide} 89c1 89d7 f4"  # mov ebx, esi; idiv; mov ecx, eax; mov edi, edx; hlt
    one, other = ends(code, 8, EAX=eax, EDX=edx, ESI=esi)
    assert one == other


@given(st.sampled_from((2, 4, 8)), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_divided_is_what_the_table_says(size: int, one: int, other: int) -> None:
    host = PythonHost(1 << 20, lambda _at, _size: -1, lambda _at, _size, _value: 1)
    mask = (1 << 8 * size) - 1
    one, other = one & mask, other & mask
    divide = host.names["divided"]
    if other == 0:
        with pytest.raises(NotDoneError):
            divide(one, other, 8 * size, 4 * size)
        return
    tables = (COMPUTED["INT_SDIV"], COMPUTED["INT_SREM"])
    expected = tuple(table((one, other), size, size) & mask for table in tables)
    quotient = tables[0]((one, other), size, size)
    half = 1 << 4 * size - 1
    if -half <= quotient < half:
        assert divide(one, other, 8 * size, 4 * size) == expected
    else:
        with pytest.raises(NotDoneError):
            divide(one, other, 8 * size, 4 * size)
