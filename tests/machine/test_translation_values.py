"""Each operation of p-code as WebAssembly, beside the table that the interpreter works by."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.machine.translated import needs_wasmtime
from virtlab.machine.pcode import COMPUTED, CONST, UNIQUE, Op, Var
from virtlab.machine.translation.wasm_code import (
    I32,
    I64,
    block_of,
    constant,
    local_get,
    module,
    signed_leb,
    unsigned_leb,
)
from virtlab.machine.translation.wasm_values import END, computed, from_quotient, quotient

pytestmark = needs_wasmtime
SAME = {"COPY", "INT_NEGATE", "INT_2COMP", "INT_AND", "INT_OR", "INT_XOR", "INT_ADD", "INT_SUB"}
SAME |= {"INT_MULT", "INT_DIV", "INT_REM", "INT_SDIV", "INT_SREM"}
SHIFTS = {"INT_LEFT", "INT_RIGHT", "INT_SRIGHT"}
ONE_INPUT = {"COPY", "INT_NEGATE", "INT_2COMP", "INT_ZEXT", "INT_SEXT", "BOOL_NEGATE"}
ONE_INPUT |= {"POPCOUNT", "LZCOUNT"}
EDGES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
NUMBERS = st.one_of(
    st.sampled_from([*EDGES, 1 << 63, (1 << 63) - 1, (1 << 64) - 1]), st.integers(0, (1 << 64) - 1)
)


class Bench:
    """Runs one function of two parameters that was made from bytes."""

    def __init__(self) -> None:
        import wasmtime

        self.wasmtime = wasmtime
        self.engine = wasmtime.Engine()

    def run(
        self,
        sizes: tuple[int, int],
        out: int,
        code: bytes,
        ins: tuple[int, int],
        locals_: tuple[int, ...] = (),
    ) -> int:
        kinds = tuple(I64 if size == 8 else I32 for size in (*sizes, out))
        built = module([(kinds[:2], kinds[2:])], [], [(locals_, code + END)], of_type=0, first=0)
        store = self.wasmtime.Store(self.engine)
        instance = self.wasmtime.Instance(store, self.wasmtime.Module(self.engine, built), [])
        signed = [
            value - (1 << bits) if value >> bits - 1 else value
            for value, bits in zip(ins, (64 if s == 8 else 32 for s in sizes), strict=True)
        ]
        function: Any = instance.exports(store)["f0"]
        return int(function(store, *signed)) & ((1 << 64) - 1 if out == 8 else 0xFFFFFFFF)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


EACH = [1, 2, 4, 8]
SHAPES = {
    "SUBPIECE": [(4, 4, 1), (4, 4, 2), (8, 4, 4), (8, 4, 2), (2, 4, 1)],
    **{code: [(1, 1, 2), (1, 1, 4), (2, 2, 4), (4, 4, 8)] for code in ("INT_ZEXT", "INT_SEXT")},
    **{code: [(size, size, size) for size in EACH] for code in SAME},
    **{code: [(size, by, size) for size in EACH for by in (1, 4)] for code in SHIFTS},
}


def shapes(code: str) -> list[tuple[int, int, int]]:
    """Return sizes of both inputs and of the result that SLEIGH gives an operation."""
    if code.startswith("BOOL"):
        return [(1, 1, 1)]
    return SHAPES.get(code, [(size, size, 1) for size in EACH])  # compared, or counted


CASES = [(code, shape) for code in COMPUTED for shape in shapes(code)]


@pytest.mark.parametrize(("code", "shape"), CASES, ids=str)
def test_an_operation_is_what_the_table_says(
    bench: Bench, code: str, shape: tuple[int, int, int]
) -> None:
    @settings(max_examples=12, deadline=None)
    @given(one=NUMBERS, two=NUMBERS)
    @example(one=0x80, two=0xFF)
    @example(one=1 << 63, two=40)
    def check(one: int, two: int) -> None:
        first, second, out = shape
        ins = one & (1 << 8 * first) - 1, two & (1 << 8 * second) - 1
        if code.startswith("BOOL"):
            ins = ins[0] & 1, ins[1] & 1
        last = Var(UNIQUE, -2, second)
        if code == "SUBPIECE":
            ins = ins[0], two % (first - out + 1)
            last = Var(CONST, ins[1], 4)
        if code in ("INT_DIV", "INT_REM", "INT_SDIV", "INT_SREM") and not _divides(ins, first):
            return
        places = [Var(UNIQUE, -1, first)] + ([] if code in ONE_INPUT else [last])
        op = Op(code, Var(UNIQUE, -3, out), tuple(places))

        def push(var: Var) -> bytes:
            return constant(var.offset) if var.space == CONST else local_get(-var.offset - 1)

        table = COMPUTED[code](ins, first, out) & (1 << 8 * out) - 1
        assert bench.run((first, second), out, computed(op, push), ins) == table

    check()


def _divides(ins: tuple[int, int], size: int) -> bool:
    least = 1 << 8 * size - 1
    return ins[1] != 0 and ins != (least, (1 << 8 * size) - 1)


@pytest.mark.parametrize("amount", [0, 1, 31, 32, 33, 63, 64, 200])
@pytest.mark.parametrize("code", sorted(SHIFTS))
@pytest.mark.parametrize("size", [1, 4, 8])
def test_shifts_by_a_known_amount(bench: Bench, size: int, code: str, amount: int) -> None:
    for value in (1, 0x80 << 8 * (size - 1), (1 << 8 * size) - 1):
        ins = value & (1 << 8 * size) - 1, 0
        by = Var(CONST, amount, 1)
        op = Op(code, Var(UNIQUE, -3, size), (Var(UNIQUE, -1, size), by))

        def push(var: Var) -> bytes:
            return constant(var.offset) if var.space == CONST else local_get(-var.offset - 1)

        table = COMPUTED[code]((ins[0], amount), size, size) & (1 << 8 * size) - 1
        assert bench.run((size, 1), size, computed(op, push), ins) == table


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("size", "of"), [(8, 4), (4, 2), (2, 1)])
def test_whether_there_is_a_quotient(bench: Bench, signed: bool, size: int, of: int) -> None:  # noqa: FBT001
    """All dividends and divisors near what just fits."""
    top = 1 << 8 * size
    dividends = {0, 1, top - 1, top >> 1, (top >> 1) - 1, (1 << 8 * of) - 1, 1 << 8 * of}
    dividends |= {(1 << 8 * of - 1) * k + d for k in (1, 2, 3) for d in (-1, 0, 1)}
    dividends |= {top - (1 << 8 * of - 1) + d for d in (-1, 0, 1)}
    name = "CHECK_SIGNED_DIVIDE" if signed else "CHECK_DIVIDE"
    places = Var(UNIQUE, -1, size), Var(UNIQUE, -2, size)
    op = Op(name, None, (*places, Var(CONST, of, 1)))
    kind = I64 if size == 8 else I32
    for part in ("DIV", "REM"):
        code = f"INT_S{part}" if signed else f"INT_{part}"
        result = from_quotient(Op(code, Var(UNIQUE, -3, size), places), _push, 2)
        # block: the quotient, and 1 in the top bit if there is none
        inner = quotient(op, _push, 2) + result + b"\x0f"
        body = block_of("block") + inner + END + constant(0xDEAD, size)
        for dividend in dividends:
            for divisor in (0, 1, 2, 3, top - 1, top - 2):
                ins = dividend % top, divisor
                found = bench.run((size, size), size, body, ins, locals_=(kind,))
                none = _has_none(*ins, size, of, signed=signed)
                assert found == (0xDEAD if none else _known(code, ins, size))


def _push(var: Var) -> bytes:
    return local_get(-var.offset - 1)


def _known(code: str, ins: tuple[int, int], size: int) -> int:
    return int(COMPUTED[code](ins, size, size)) & (1 << 8 * size) - 1


def _has_none(dividend: int, divisor: int, size: int, of: int, *, signed: bool) -> bool:
    if divisor == 0:
        return True
    low, high = (-(1 << 8 * of - 1), (1 << 8 * of - 1) - 1) if signed else (0, (1 << 8 * of) - 1)
    if signed:
        half = 1 << 8 * size - 1
        dividend, divisor = (n - 2 * half if n >= half else n for n in (dividend, divisor))
    quotient = abs(dividend) // abs(divisor) * (1 if (dividend < 0) == (divisor < 0) else -1)
    return not low <= quotient <= high


@given(st.integers(0, 1 << 70))
def test_numbers_in_leb128(number: int) -> None:
    code = unsigned_leb(number)
    assert sum((byte & 0x7F) << 7 * k for k, byte in enumerate(code)) == number
    assert [byte >> 7 for byte in code] == [1] * (len(code) - 1) + [0]


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_numbers_with_a_sign_in_leb128(number: int) -> None:
    code = signed_leb(number)
    value = sum((byte & 0x7F) << 7 * k for k, byte in enumerate(code))
    if code[-1] & 0x40:
        value -= 1 << 7 * len(code)
    assert value == number
    assert len(code) == 1 or code[-1] not in (0, 0x7F) or (code[-2] ^ code[-1]) & 0x40
