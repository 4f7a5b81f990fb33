"""Each operation of p-code as an expression of Python, as one would write it by hand (S18).

Numbers are never negative and never longer than their size says: what may leave more is followed by
a mask, what needs the sign is written without one where it can be (to compare two signed numbers,
turn both their signs round and compare). Truth is True or False, which Python counts as 1 and 0.

Where a value comes from is the caller's: it names what has a name, and gives the rest as
operations, so that `cmp` and `jl` become one comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.pcode import COMPUTED, CONST, signed
from virtlab.machine.translation.python_memory import NotDoneError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.pcode import Op, Var

    Words = Callable[[Var], str]
    Inner = Callable[[Var], Op | None]

__all__ = ["HELPERS", "REPEATS", "added", "expression", "number", "within"]

_PLAIN = {
    "INT_AND": "&",
    "INT_OR": "|",
    "INT_XOR": "^",
    "BOOL_AND": "&",
    "BOOL_OR": "|",
    "BOOL_XOR": "^",
    "INT_DIV": "//",
    "INT_REM": "%",
    "INT_EQUAL": "==",
    "INT_NOTEQUAL": "!=",
    "INT_LESS": "<",
    "INT_LESSEQUAL": "<=",
}
_MASKED = {"INT_ADD": "+", "INT_SUB": "-", "INT_MULT": "*"}
_SIGNED = {"INT_SLESS": "<", "INT_SLESSEQUAL": "<="}
_BINARY = frozenset({*_PLAIN, *_MASKED, *_SIGNED})
_OPPOSITE = {"INT_EQUAL": "INT_NOTEQUAL", "INT_NOTEQUAL": "INT_EQUAL"}
REPEATS = frozenset({"INT_SCARRY", "INT_SBORROW"})  # whose words name an operand more than once


def number(value: int) -> str:
    """Write a number: short ones as people count, long ones as addresses are written.

    Parameters
    ----------
    value
        The number.

    Returns
    -------
    str
        Python.

    Examples
    --------
    >>> number(9), number(255)
    ('9', '0xff')
    """
    return str(value) if value < 10 else f"{value:#x}"


def within(words: str) -> str:
    """Put an expression into brackets, if it is more than a name or a number.

    Parameters
    ----------
    words
        Python.

    Returns
    -------
    str
        Python.

    Examples
    --------
    >>> within("eax"), within("eax + 1"), within("(eax + 1) & (ebx + 1)")
    ('eax', '(eax + 1)', '((eax + 1) & (ebx + 1))')
    """
    depth = 0
    for letter in words:
        depth += (letter in "([") - (letter in ")]")
        if letter == " " and depth == 0:
            return f"({words})"
    return words


def added(one: str, var: Var, other: str) -> str:
    """Write a sum that is cut afterwards, or the difference that it is.

    Parameters
    ----------
    one
        The first part.
    var, other
        The second, and its words.

    Returns
    -------
    str
        Python.

    Examples
    --------
    >>> from virtlab.machine.pcode import Var
    >>> added("esp", Var(CONST, 0xFFFFFFFC, 4), "0xfffffffc")
    'esp - 4'
    """
    known = _constant(var)
    if known is None or known < 1 << 8 * var.size - 1:
        return f"{one} + {other}"
    return f"{one} - {number((1 << 8 * var.size) - known)}"


def _mask(size: int) -> str:
    return f"{(1 << 8 * size) - 1:#x}"


def _constant(var: Var) -> int | None:
    return var.offset & (1 << 8 * var.size) - 1 if var.space == CONST else None


def expression(op: Op, words: Words, inner: Inner) -> str:
    """Write what an operation computes.

    Parameters
    ----------
    op
        One of `virtlab.machine.pcode.COMPUTED`.
    words
        Writes a value.
    inner
        Gives the operation that a value comes from, if the value has no name.

    Returns
    -------
    str
        Python.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> name = lambda var: number(var.offset) if var.space == CONST else "eax"
    >>> eax, one = Var(1, 0, 4), Var(CONST, 1, 4)
    >>> expression(Op("INT_ADD", eax, (eax, one)), name, lambda var: None)
    '(eax + 1) & 0xffffffff'
    >>> expression(Op("INT_SLESS", Var(2, -1, 1), (eax, one)), name, lambda var: None)
    '(eax ^ 0x80000000) < 0x80000001'
    """
    known = [_constant(var) for var in op.ins]
    if op.code in COMPUTED and all(value is not None for value in known):
        ins = tuple(value for value in known if value is not None)
        found = int(COMPUTED[op.code](ins, op.ins[0].size, op.result.size))
        return number(found & (1 << 8 * op.result.size) - 1)
    special = _simpler(op, words) or _compares(op, words, inner)
    if special:
        return special
    if op.code == "SUBPIECE":
        return _piece(op, words, inner)
    return _binary(op, words) if op.code in _BINARY else _OTHERS[op.code](op, words)


def _binary(op: Op, words: Words) -> str:
    if op.code in _SIGNED:
        one, other = (_turned(var, words) for var in op.ins)
        return f"{one} {_SIGNED[op.code]} {other}"
    one, other = (within(words(var)) for var in op.ins)
    if op.code in _PLAIN:
        return f"{one} {_PLAIN[op.code]} {other}"
    made = f"{one} {_MASKED[op.code]} {other}"
    if op.code == "INT_ADD":
        first, last = op.ins
        made = added(other, first, one) if first.space == CONST else added(one, last, other)
    return f"({made}) & {_mask(op.result.size)}"


def _turned(var: Var, words: Words) -> str:
    """Write a number with its sign turned round: then the lesser of two is the lesser signed."""
    half, known = 1 << 8 * var.size - 1, _constant(var)
    return f"({within(words(var))} ^ {half:#x})" if known is None else number(known ^ half)


def _simpler(op: Op, words: Words) -> str:
    """Write what some numbers make simpler."""
    first, last = op.ins[0], op.ins[-1]
    known = _constant(last)
    if op.code in ("INT_XOR", "INT_SUB") and first == last:
        return "0"
    if op.code in ("INT_AND", "INT_OR"):  # each part is written once: parts have parts
        one, other = words(first), words(last)
        return one if one == other else f"{within(one)} {_PLAIN[op.code]} {within(other)}"
    if op.code == "INT_MULT" and known == 1:
        return words(first)
    if op.code == "INT_SLESS" and known == 0:
        return f"{within(words(first))} >> {8 * first.size - 1}"
    return ""


def _compares(op: Op, words: Words, inner: Inner) -> str:
    """Write the opposite of a comparison as a comparison."""
    made = inner(op.ins[0])
    if op.code == "BOOL_NEGATE" and made is not None and made.code in _OPPOSITE:
        return expression(made._replace(code=_OPPOSITE[made.code]), words, inner)
    return ""


def _copy(op: Op, words: Words) -> str:
    return words(op.ins[0])


def _sign_extended(op: Op, words: Words) -> str:
    half = 1 << 8 * op.ins[0].size - 1
    signed = f"({within(words(op.ins[0]))} ^ {half:#x}) - {half:#x}"
    return f"({signed}) & {_mask(op.result.size)}" if op.result.size > op.ins[0].size else signed


def _signed(var: Var, words: Words) -> str:
    half = 1 << 8 * var.size - 1
    return f"(({within(words(var))} ^ {half:#x}) - {half:#x})"


def _negated(op: Op, words: Words) -> str:
    return f"{within(words(op.ins[0]))} ^ {_mask(op.result.size)}"


def _minus(op: Op, words: Words) -> str:
    return f"-{within(words(op.ins[0]))} & {_mask(op.result.size)}"


def _not(op: Op, words: Words) -> str:
    return f"not {within(words(op.ins[0]))}"


def _carry(op: Op, words: Words) -> str:
    one, other = (within(words(var)) for var in op.ins)
    return f"{one} + {other} > {_mask(op.ins[0].size)}"


def _overflow(op: Op, words: Words) -> str:
    """Compare signs: the result's, with those of both parts of a sum, or of a difference."""
    one, other = (within(words(var)) for var in op.ins)
    top = 8 * op.ins[0].size - 1
    if op.code == "INT_SBORROW":
        return f"(({one} ^ {other}) & ({one} ^ ({one} - {other}))) >> {top}"
    return f"((({one} ^ ({one} + {other})) & ({other} ^ ({one} + {other}))) >> {top}) & 1"


def _piece(op: Op, words: Words, inner: Inner) -> str:
    whole, skipped = op.ins[0], op.ins[1].offset
    made = inner(whole)
    if made is not None and made.code == "INT_AND" and not skipped:
        known = _constant(made.ins[1])
        if known is not None and known < 1 << 8 * op.result.size:
            return words(whole)
    if made is not None and made.code == "INT_SEXT" and skipped == made.ins[0].size:
        sign = f"{within(words(made.ins[0]))} >> {8 * skipped - 1}"  # all bits are the sign's
        return f"-({sign}) & {_mask(op.result.size)}"
    moved = f"{within(words(whole))} >> {8 * skipped}" if skipped else words(whole)
    if skipped + op.result.size >= whole.size:
        return moved
    return f"{within(moved)} & {_mask(op.result.size)}"


def _left(op: Op, words: Words) -> str:
    value, amount = within(words(op.ins[0])), within(words(op.ins[1]))
    known = _constant(op.ins[1])
    if known is not None and known >= 8 * op.result.size:
        return "0"
    by = amount if known is not None else f"min({amount}, 64)"  # Python would shift by any number
    return f"({value} << {by}) & {_mask(op.result.size)}"


def _right(op: Op, words: Words) -> str:
    return f"{within(words(op.ins[0]))} >> {within(words(op.ins[1]))}"


def _signed_right(op: Op, words: Words) -> str:
    by = within(words(op.ins[1]))
    return f"({_signed(op.ins[0], words)} >> {by}) & {_mask(op.result.size)}"


def _divided(op: Op, words: Words) -> str:
    one, other = (_signed(var, words) for var in op.ins)
    name = "quotient" if op.code == "INT_SDIV" else "remainder"
    return f"{name}({one}, {other}) & {_mask(op.result.size)}"


def _ones(op: Op, words: Words) -> str:
    return f"{within(words(op.ins[0]))}.bit_count()"


def _leading_zeros(op: Op, words: Words) -> str:
    return f"{8 * op.ins[0].size} - {within(words(op.ins[0]))}.bit_length()"


_OTHERS: dict[str, Callable[[Op, Words], str]] = {
    "COPY": _copy,
    "INT_ZEXT": _copy,
    "INT_SEXT": _sign_extended,
    "INT_NEGATE": _negated,
    "INT_2COMP": _minus,
    "BOOL_NEGATE": _not,
    "INT_CARRY": _carry,
    "INT_SCARRY": _overflow,
    "INT_SBORROW": _overflow,
    "INT_LEFT": _left,
    "INT_RIGHT": _right,
    "INT_SRIGHT": _signed_right,
    "INT_SDIV": _divided,
    "INT_SREM": _divided,
    "POPCOUNT": _ones,
    "LZCOUNT": _leading_zeros,
}


def _quotient(one: int, other: int) -> int:
    """Divide towards zero, as processors do and Python does not."""
    found = abs(one) // abs(other)
    return found if (one < 0) == (other < 0) else -found


def _remainder(one: int, other: int) -> int:
    return one - other * _quotient(one, other)


def _check_quotient(dividend: int, divisor: int, _bits: int, of: int) -> None:
    """Stop if there is no quotient, or it has too many bits."""
    if divisor == 0 or dividend // divisor >> of:
        raise NotDoneError


def _both_of(dividend: int, divisor: int, bits: int, of: int) -> tuple[int, int]:
    """Return quotient and remainder of signed numbers, or stop as above."""
    one, other = signed(dividend, bits // 8), signed(divisor, bits // 8)
    if other == 0:
        raise NotDoneError
    quotient = _quotient(one, other)
    if not -(1 << of - 1) <= quotient < 1 << of - 1:
        raise NotDoneError
    mask = (1 << bits) - 1
    return quotient & mask, one - other * quotient & mask


HELPERS: dict[str, Callable[..., object]] = {
    "quotient": _quotient,
    "remainder": _remainder,
    "check_quotient": _check_quotient,
    "divided": _both_of,
}
