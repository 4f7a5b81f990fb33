"""Each operation of p-code as WebAssembly (S18).

Numbers of one, two and four bytes are kept in 32 bits with zeros above them, numbers of eight in
64. What may leave something above is followed by a mask; what needs the sign is preceded by a sign
extension. So every operation finds its operands as the interpreter has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.pcode import CONST
from virtlab.machine.translation.wasm_code import (
    OPERATORS,
    constant,
    local_get,
    local_set,
    local_tee,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.pcode import Op, Var

    Code = Callable[[Var], bytes]

__all__ = ["END", "computed", "from_quotient", "operator", "quotient", "signed", "times_used"]

END, ELSE, SELECT = b"\x0b", b"\x05", b"\x1b"
_OUT = b"\x0d\x00"  # br_if 0
WRAP, _WIDEN_SIGNED, WIDEN = b"\xa7", b"\xac", b"\xad"  # between 32 and 64 bits
_SIMPLE = {
    "INT_ADD": "add",
    "INT_SUB": "sub",
    "INT_MULT": "mul",
    "INT_AND": "and",
    "INT_OR": "or",
    "INT_XOR": "xor",
    "BOOL_AND": "and",
    "BOOL_OR": "or",
    "BOOL_XOR": "xor",
    "INT_DIV": "div_u",
    "INT_REM": "rem_u",
}
_COMPARED = {"INT_EQUAL": "eq", "INT_NOTEQUAL": "ne", "INT_LESS": "lt_u", "INT_LESSEQUAL": "le_u"}
_SIGNED = {"INT_SLESS": "lt_s", "INT_SLESSEQUAL": "le_s", "INT_SDIV": "div_s", "INT_SREM": "rem_s"}
_COMPARED_SIGNED = {"INT_SLESS", "INT_SLESSEQUAL"}
_SHIFTS = {"INT_LEFT": "shl", "INT_RIGHT": "shr_u", "INT_SRIGHT": "shr_s"}
# Whose code names an operand more than once.
_REPEATS = {"INT_CARRY", "INT_SCARRY", "INT_SBORROW", *_SHIFTS}


def operator(name: str, size: int) -> bytes:
    """Return an operator's code.

    Parameters
    ----------
    name
        Such as 'add'.
    size
        Bytes of its operands.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> operator("add", 4).hex(), operator("add", 8).hex()
    ('6a', '7c')
    """
    return bytes([OPERATORS[name][size == 8]])


def times_used(op: Op) -> int:
    """Return how often the code of an operation names an operand, at most.

    Parameters
    ----------
    op
        Operation.

    Returns
    -------
    int
        1, or more where a value should be kept in a local.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op
    >>> times_used(Op("INT_ADD", None, ())), times_used(Op("INT_CARRY", None, ()))
    (1, 3)
    """
    return 3 if op.code in _REPEATS or op.code.startswith("CHECK") else 1


def signed(var: Var, code: Code) -> bytes:
    """Push a value with its sign.

    Parameters
    ----------
    var
        The value.
    code
        Pushes a value.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> from virtlab.machine.pcode import Var
    >>> signed(Var(CONST, 200, 1), lambda var: constant(var.offset)).hex()
    '41c801c0'
    """
    return code(var) + {1: b"\xc0", 2: b"\xc1"}.get(var.size, b"")


def computed(op: Op, code: Code) -> bytes:
    """Push what an operation computes.

    Parameters
    ----------
    op
        One of `virtlab.machine.pcode.COMPUTED`.
    code
        Pushes a value.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> add = Op("INT_ADD", Var(2, -1, 1), (Var(CONST, 1, 1), Var(CONST, 2, 1)))
    >>> computed(add, lambda var: constant(var.offset)).hex()  # 1, 2, add, and cut to a byte
    '410141026a41ff0171'
    """
    name = op.code
    size = op.ins[0].size
    if name in _SHIFTS:
        return _shift(op, code)
    if name in _SIMPLE or name in _COMPARED:
        both = code(op.ins[0]) + code(op.ins[1])
        made = both + operator(_SIMPLE.get(name) or _COMPARED[name], size)
        return made if name in _COMPARED else made + _mask(op.result.size)
    if name in _SIGNED:
        both = signed(op.ins[0], code) + signed(op.ins[1], code)
        made = both + operator(_SIGNED[name], size)
        return made if name in _COMPARED_SIGNED else made + _mask(op.result.size)
    return _OTHERS[name](op, code)


def _mask(size: int) -> bytes:
    return constant((1 << 8 * size) - 1) + operator("and", 4) if size < 4 else b""


def _copy(op: Op, code: Code) -> bytes:
    return code(op.ins[0])


def _zero_extend(op: Op, code: Code) -> bytes:
    widens = op.result.size == 8 and op.ins[0].size < 8
    return code(op.ins[0]) + (WIDEN if widens else b"")


def _sign_extend(op: Op, code: Code) -> bytes:
    widens = op.result.size == 8 and op.ins[0].size < 8
    return signed(op.ins[0], code) + (_WIDEN_SIGNED if widens else _mask(op.result.size))


def _negate(op: Op, code: Code) -> bytes:
    size = op.result.size
    return code(op.ins[0]) + constant(-1, size) + operator("xor", size) + _mask(size)


def _minus(op: Op, code: Code) -> bytes:
    size = op.result.size
    return constant(0, size) + code(op.ins[0]) + operator("sub", size) + _mask(size)


def _not(op: Op, code: Code) -> bytes:
    return code(op.ins[0]) + operator("eqz", 4)


def _carry(op: Op, code: Code) -> bytes:
    """Compare: a sum that is less than one of its parts has lost a carry."""
    a, b = op.ins
    total = code(a) + code(b) + operator("add", a.size) + _mask(a.size)
    return total + code(a) + operator("lt_u", a.size)


def _overflow(op: Op, code: Code) -> bytes:
    """Compare signs: the result's, with those of both parts of a sum, or of a difference."""
    a, b = op.ins
    size, is_sum = a.size, op.code == "INT_SCARRY"
    xor = operator("xor", size)
    result = code(a) + code(b) + operator("add" if is_sum else "sub", size)
    first = code(a) + result + xor
    second = code(b) + result + xor if is_sum else code(a) + code(b) + xor
    both = first + second + operator("and", size)
    if size == 8:
        return both + constant(63, 8) + operator("shr_u", 8) + WRAP
    top = both + constant(8 * size - 1) + operator("shr_u", 4)
    return top + constant(1) + operator("and", 4)


def _piece(op: Op, code: Code) -> bytes:
    whole, skipped = op.ins
    bits = 8 * skipped.offset
    moved = constant(bits, whole.size) + operator("shr_u", whole.size) if bits else b""
    wrapped = WRAP if whole.size == 8 and op.result.size < 8 else b""
    return (
        code(whole)
        + moved
        + wrapped
        + (_mask(op.result.size) if op.result.size < whole.size else b"")
    )


def _ones(op: Op, code: Code) -> bytes:
    size = op.ins[0].size
    return code(op.ins[0]) + operator("popcnt", size) + (WRAP if size == 8 else b"")


def _leading_zeros(op: Op, code: Code) -> bytes:
    size = op.ins[0].size
    found = code(op.ins[0]) + operator("clz", size)
    if size == 8:
        return found + WRAP
    return found + (constant(32 - 8 * size) + operator("sub", 4) if size < 4 else b"")


_OTHERS: dict[str, Callable[[Op, Code], bytes]] = {
    "COPY": _copy,
    "INT_ZEXT": _zero_extend,
    "INT_SEXT": _sign_extend,
    "INT_NEGATE": _negate,
    "INT_2COMP": _minus,
    "BOOL_NEGATE": _not,
    "INT_CARRY": _carry,
    "INT_SCARRY": _overflow,
    "INT_SBORROW": _overflow,
    "SUBPIECE": _piece,
    "POPCOUNT": _ones,
    "LZCOUNT": _leading_zeros,
}


def _shift(op: Op, code: Code) -> bytes:
    """WebAssembly takes the amount modulo 32 or 64, p-code does not."""
    value, amount = op.ins
    size, last = value.size, 63 if value.size == 8 else 31
    shift, cut = operator(_SHIFTS[op.code], size), _mask(op.result.size)
    push = (signed if op.code == "INT_SRIGHT" else lambda var, code: code(var))(value, code)
    if amount.space == CONST:
        by = amount.offset & (1 << 8 * amount.size) - 1
        if by <= last:
            return push + constant(by, size) + shift + cut
        gone = push + constant(last, size) + shift + cut
        return gone if op.code == "INT_SRIGHT" else constant(0, size)
    by_code = code(amount) + (WIDEN if size == 8 and amount.size < 8 else b"")
    by_code += WRAP if size < 8 and amount.size == 8 else b""
    is_small = by_code + constant(last, size) + operator("le_u", size)
    if op.code == "INT_SRIGHT":
        return push + by_code + constant(last, size) + is_small + SELECT + shift + cut
    return push + by_code + shift + cut + constant(0, size) + is_small + SELECT


def quotient(op: Op, code: Code, kept: int) -> bytes:
    """Keep a quotient in a local; branch out of the block around if there is none.

    Parameters
    ----------
    op
        CHECK_DIVIDE or CHECK_SIGNED_DIVIDE: dividend, divisor, bytes that the quotient may have.
    code
        Pushes a value.
    kept
        The local.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> one = Var(CONST, 1, 4)
    >>> code = quotient(Op("CHECK_DIVIDE", None, (one, one, one)), lambda _: b"", 2)
    >>> code.hex()  # out if 0; divide, keep, out if over 255
    '450d006e22024180024f0d00'
    """
    dividend, divisor, bytes_of_it = op.ins
    if dividend == (CONST, 0, dividend.size):
        none = constant(0, dividend.size) + local_set(kept)
        return none + code(divisor) + operator("eqz", dividend.size) + _OUT
    size, room = dividend.size, 1 << 8 * bytes_of_it.offset
    begin = code(divisor) + operator("eqz", size) + _OUT
    if op.code == "CHECK_DIVIDE":
        found = code(dividend) + code(divisor) + operator("div_u", size) + local_tee(kept)
        return begin + found + constant(room, size) + operator("ge_u", size) + _OUT
    # The least number divided by -1 is too large too, and WebAssembly would trap.
    least = signed(dividend, code) + constant(-(1 << 8 * size - 1), size) + operator("eq", size)
    by_minus_one = signed(divisor, code) + constant(-1, size) + operator("eq", size)
    begin += least + by_minus_one + operator("and", 4) + _OUT
    found = signed(dividend, code) + signed(divisor, code) + operator("div_s", size)
    moved = local_tee(kept) + constant(room // 2, size) + operator("add", size)
    return begin + found + moved + constant(room, size) + operator("ge_u", size) + _OUT


def from_quotient(op: Op, code: Code, kept: int) -> bytes:
    r"""Push a quotient or a remainder, where the quotient is kept in a local.

    Parameters
    ----------
    op
        INT_DIV, INT_SDIV, INT_REM or INT_SREM.
    code
        Pushes a value.
    kept
        The local.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> a, b = Var(2, -1, 4), Var(2, -2, 4)
    >>> rest = Op("INT_REM", Var(2, -3, 4), (a, b))
    >>> from_quotient(rest, lambda var: b"a" if var == a else b"b", 2)  # a - kept * b
    b'a \x02blk'
    """
    a, b = op.ins
    size = a.size
    if op.code in ("INT_DIV", "INT_SDIV"):
        return local_get(kept) + _mask(size)
    push = signed if op.code == "INT_SREM" else lambda var, code: code(var)
    product = local_get(kept) + push(b, code) + operator("mul", size)
    return push(a, code) + product + operator("sub", size) + _mask(size)
