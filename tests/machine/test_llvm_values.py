"""Each operation of p-code as LLVM has it, beside the table that the interpreter works by."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings

from tests.machine.test_translation_values import CASES, NUMBERS, ONE_INPUT, SHIFTS
from tests.machine.translated import needs_llvmlite
from virtlab.machine.pcode import COMPUTED, CONST, UNIQUE, Op, Var
from virtlab.machine.translation.llvm_code import llvm
from virtlab.machine.translation.llvm_memory import Flat, Paged
from virtlab.machine.translation.llvm_values import Lines, cannot_divide, computed, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.translation.llvm_code import Code

pytestmark = needs_llvmlite
DIVISIONS = {"INT_DIV", "INT_REM", "INT_SDIV", "INT_SREM"}
ONE, TWO = -1, -2  # numbers of the places of the inputs


def value(var: Var) -> str:
    return number(var.offset, var.size) if var.space == CONST else f"%in{-var.offset}"


def function(
    sizes: tuple[int, int], make: Callable[[Lines], tuple[str, int]]
) -> tuple[Callable[[int, int], int], Code]:
    """Return what computes something from two numbers, and what has its code."""
    lines = Lines()
    for at, size in enumerate(sizes, 1):
        cut = "bitcast i64" if size == 8 else "trunc i64"
        lines.add(f"%in{at} = {cut} %wide{at} to i{8 * size}")
    name, bits = make(lines)
    name = lines.value(f"{'bitcast' if bits == 64 else 'zext'} i{bits} {name} to i64")
    body = "\n".join([*lines.text, f"  ret i64 {name}"])
    code = llvm().code(f"define i64 @it(i64 %wide1, i64 %wide2) {{\n{body}\n}}\n", "it")
    u64 = ctypes.c_uint64
    return ctypes.CFUNCTYPE(u64, u64, u64)(code.address["it"]), code


def place(at: int, size: int) -> Var:
    return Var(UNIQUE, at, size)


@pytest.mark.parametrize(
    ("code", "shape"), [case for case in CASES if case[0] != "SUBPIECE"], ids=str
)
def test_an_operation_is_what_the_table_says(code: str, shape: tuple[int, int, int]) -> None:
    first, second, out = shape
    places = [place(ONE, first)] + ([] if code in ONE_INPUT else [place(TWO, second)])
    op = Op(code, place(-3, out), tuple(places))
    run, _kept = function((first, second), lambda lines: (computed(op, value, lines), 8 * out))

    @settings(max_examples=200, deadline=None)
    @given(one=NUMBERS, two=NUMBERS)
    @example(one=0x80, two=0xFF)
    @example(one=1 << 63, two=40)
    @example(one=(1 << 64) - 1, two=64)
    def check(one: int, two: int) -> None:
        ins = one & (1 << 8 * first) - 1, two & (1 << 8 * second) - 1
        if code.startswith("BOOL"):
            ins = ins[0] & 1, ins[1] & 1
        least = 1 << 8 * first - 1
        if code in DIVISIONS and (ins[1] == 0 or ins == (least, 2 * least - 1)):
            return
        assert run(*ins) == COMPUTED[code](ins, first, out) & (1 << 8 * out) - 1

    check()


@pytest.mark.parametrize(("size", "out"), [(4, 1), (4, 2), (8, 4), (8, 2), (2, 1), (4, 4)])
@pytest.mark.parametrize("skipped", range(8))
def test_pieces(size: int, out: int, skipped: int) -> None:
    if skipped + out > size:
        return
    op = Op("SUBPIECE", place(-3, out), (place(ONE, size), Var(CONST, skipped, 4)))
    run, _kept = function((size, 1), lambda lines: (computed(op, value, lines), 8 * out))
    for whole in (0x0123456789ABCDEF, 0xFEDCBA9876543210):
        ins = whole & (1 << 8 * size) - 1, skipped
        assert run(ins[0], 0) == COMPUTED["SUBPIECE"](ins, size, out) & (1 << 8 * out) - 1


@pytest.mark.parametrize("amount", [0, 1, 7, 8, 31, 32, 33, 63, 64, 200])
@pytest.mark.parametrize("code", sorted(SHIFTS))
@pytest.mark.parametrize("size", [1, 4, 8])
def test_shifts_by_a_known_amount(size: int, code: str, amount: int) -> None:
    op = Op(code, place(-3, size), (place(ONE, size), Var(CONST, amount, 1)))
    run, _kept = function((size, 1), lambda lines: (computed(op, value, lines), 8 * size))
    for one in (1, 0x80 << 8 * (size - 1), (1 << 8 * size) - 1):
        table = COMPUTED[code]((one, amount), size, size) & (1 << 8 * size) - 1
        assert run(one, 0) == table


@pytest.mark.parametrize("name", ["CHECK_DIVIDE", "CHECK_SIGNED_DIVIDE"])
@pytest.mark.parametrize(("size", "of"), [(8, 4), (4, 2), (2, 1)])
def test_whether_there_is_a_quotient(name: str, size: int, of: int) -> None:
    """All dividends and divisors near what just fits; and the quotient, where there is one."""
    is_signed, top, half = name == "CHECK_SIGNED_DIVIDE", 1 << 8 * size, 1 << 8 * of - 1
    dividends = {0, 1, top - 1, top >> 1, (top >> 1) - 1, 2 * half - 1, 2 * half}
    dividends |= {half * k + d for k in (1, 2, 3, 4, 5, 6) for d in (-1, 0, 1)}
    dividends |= {top - half * k + d for k in (1, 2, 3) for d in (-1, 0, 1)}
    op = Op(name, None, (place(ONE, size), place(TWO, size), Var(CONST, of, 1)))
    has_none, _kept = function((size, size), lambda lines: (cannot_divide(op, value, lines)[0], 1))
    quotient, _too = (
        function((size, size), lambda lines: (cannot_divide(op, value, lines)[1], 8 * size))
        if is_signed
        else (None, None)
    )
    low, high = (-half, half - 1) if is_signed else (0, 2 * half - 1)
    for dividend in dividends:
        for divisor in (0, 1, 2, 3, top - 1, top - 2):
            a, b = (
                n - top if is_signed and n >= top // 2 else n for n in (dividend % top, divisor)
            )
            exact = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if b else high + 1
            assert has_none(dividend % top, divisor) == (not low <= exact <= high)
            if quotient is not None and low <= exact <= high:
                assert quotient(dividend % top, divisor) == exact % top


@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.parametrize("way", [Paged(), Flat(1 << 20)], ids=["paged", "flat"])
def test_a_look_costs_one_branch_that_is_marked_as_rare(way: Paged | Flat, size: int) -> None:
    lines = Lines()
    way.look(lines, "%a", size, "hit", "miss", 0x10000)
    branches = [line for line in lines.text if " br " in line]
    assert len(branches) == 1
    assert branches[0].endswith("!prof !0")
