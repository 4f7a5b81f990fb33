"""Each operation of p-code as LLVM's intermediate representation (S18).

LLVM has integers of any size, so a number of one byte is an `i8`: nothing has to be masked. A truth
is an `i8` too, as p-code has it; LLVM sees by itself that only one bit of it counts. Overflow is
asked for by name (`llvm.sadd.with.overflow`), because processors know it and LLVM knows that.

What LLVM calls *poison* must not come out where p-code has a number: a shift by more than there are
bits is chosen away, and a division is done only by what it can be done by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.pcode import CONST

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.pcode import Op, Var

    Value = Callable[[Var], str]

__all__ = ["DECLARATIONS", "Lines", "cannot_divide", "computed", "number"]

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
    "INT_DIV": "udiv",
    "INT_REM": "urem",
    "INT_SDIV": "sdiv",
    "INT_SREM": "srem",
}
_COMPARED = {
    "INT_EQUAL": "eq",
    "INT_NOTEQUAL": "ne",
    "INT_LESS": "ult",
    "INT_LESSEQUAL": "ule",
    "INT_SLESS": "slt",
    "INT_SLESSEQUAL": "sle",
}
_SHIFTS = {"INT_LEFT": "shl", "INT_RIGHT": "lshr", "INT_SRIGHT": "ashr"}
_SIZES = (8, 16, 32, 64)
DECLARATIONS = "".join(
    f"declare {{i{n}, i1}} @llvm.{name}.with.overflow.i{n}(i{n}, i{n})\n"
    for n in _SIZES
    for name in ("sadd", "ssub")
) + "".join(
    f"declare i{n} @llvm.ctpop.i{n}(i{n})\ndeclare i{n} @llvm.ctlz.i{n}(i{n}, i1)\n" for n in _SIZES
)


class Lines:
    """A function's text, as it grows.

    Attributes
    ----------
    text
        Lines so far.
    origin
        Address of the guest's instruction that the next lines are for; -1 if for none, -2 on the
        way out. Only who wants to read the code looks (`llvm_assembly`).

    Examples
    --------
    >>> lines = Lines()
    >>> lines.value("add i8 1, 2"), lines.text
    ('%v1', ['  %v1 = add i8 1, 2'])
    """

    def __init__(self) -> None:
        self.text: list[str] = []
        self.origin = -1
        self._made = 0

    def name(self) -> str:
        """Return a name that is not used yet.

        Returns
        -------
        str
            For a value or a label.

        Examples
        --------
        >>> Lines().name()
        'v1'
        """
        self._made += 1
        return f"v{self._made}"

    def value(self, code: str) -> str:
        """Add a line that makes a value.

        Parameters
        ----------
        code
            What it is.

        Returns
        -------
        str
            Its name.

        Examples
        --------
        See the class.
        """
        name = self.name()
        self.text.append(f"  %{name} = {code}")
        return f"%{name}"

    def add(self, code: str) -> None:
        """Add a line that makes none.

        Parameters
        ----------
        code
            The line.

        Examples
        --------
        >>> lines = Lines()
        >>> lines.add("ret i32 0")
        >>> lines.text
        ['  ret i32 0']
        """
        self.text.append("  " + code)


def number(value: int, size: int) -> str:
    """Write a constant.

    Parameters
    ----------
    value
        Its bits.
    size
        Bytes that it has.

    Returns
    -------
    str
        Cut to its size.

    Examples
    --------
    >>> number(-1, 1)
    '255'
    """
    return str(value & (1 << 8 * size) - 1)


def computed(op: Op, value: Value, lines: Lines) -> str:
    """Add lines for an operation.

    Parameters
    ----------
    op
        One of `virtlab.machine.pcode.COMPUTED`.
    value
        Gives a value's name.
    lines
        Where they are added.

    Returns
    -------
    str
        Name of the result.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> lines, one = Lines(), Var(CONST, 1, 1)
    >>> computed(Op("INT_LESS", Var(2, -1, 1), (one, one)), lambda var: number(1, 1), lines)
    '%v2'
    >>> lines.text
    ['  %v1 = icmp ult i8 1, 1', '  %v2 = zext i1 %v1 to i8']
    """
    name, kind = op.code, _kind(op.ins[0])
    if name in _SIMPLE:
        return lines.value(f"{_SIMPLE[name]} {kind} {value(op.ins[0])}, {value(op.ins[1])}")
    if name in _COMPARED:
        both = f"{value(op.ins[0])}, {value(op.ins[1])}"
        return _truth(lines.value(f"icmp {_COMPARED[name]} {kind} {both}"), lines)
    if name in _SHIFTS:
        return _shift(op, value, lines)
    return _OTHERS[name](op, value, lines)


def _kind(var: Var) -> str:
    return f"i{8 * var.size}"


def _truth(bit: str, lines: Lines) -> str:
    return lines.value(f"zext i1 {bit} to i8")


def _resized(name: str, size: int, to: int, lines: Lines, *, signed: bool = False) -> str:
    if size == to:
        return name
    how = "trunc" if to < size else "sext" if signed else "zext"
    return lines.value(f"{how} i{8 * size} {name} to i{8 * to}")


def _copy(op: Op, value: Value, _lines: Lines) -> str:
    return value(op.ins[0])


def _extended(op: Op, value: Value, lines: Lines) -> str:
    signed = op.code == "INT_SEXT"
    return _resized(value(op.ins[0]), op.ins[0].size, op.result.size, lines, signed=signed)


def _negated(op: Op, value: Value, lines: Lines) -> str:
    return lines.value(f"xor {_kind(op.result)} {value(op.ins[0])}, -1")


def _minus(op: Op, value: Value, lines: Lines) -> str:
    return lines.value(f"sub {_kind(op.result)} 0, {value(op.ins[0])}")


def _not(op: Op, value: Value, lines: Lines) -> str:
    return _truth(lines.value(f"icmp eq i8 {value(op.ins[0])}, 0"), lines)


def _carry(op: Op, value: Value, lines: Lines) -> str:
    a, kind = value(op.ins[0]), _kind(op.ins[0])
    total = lines.value(f"add {kind} {a}, {value(op.ins[1])}")
    return _truth(lines.value(f"icmp ult {kind} {total}, {a}"), lines)


def _overflow(op: Op, value: Value, lines: Lines) -> str:
    kind = _kind(op.ins[0])
    name = "sadd" if op.code == "INT_SCARRY" else "ssub"
    both = f"{kind} {value(op.ins[0])}, {kind} {value(op.ins[1])}"
    made = lines.value(f"call {{{kind}, i1}} @llvm.{name}.with.overflow.{kind}({both})")
    return _truth(lines.value(f"extractvalue {{{kind}, i1}} {made}, 1"), lines)


def _piece(op: Op, value: Value, lines: Lines) -> str:
    whole, skipped = op.ins
    name = value(whole)
    if skipped.offset >= whole.size:
        return "0"
    if skipped.offset:
        name = lines.value(f"lshr {_kind(whole)} {name}, {8 * skipped.offset}")
    return _resized(name, whole.size, op.result.size, lines)


def _counted(op: Op, value: Value, lines: Lines) -> str:
    kind = _kind(op.ins[0])
    what, more = ("ctpop", "") if op.code == "POPCOUNT" else ("ctlz", ", i1 false")
    made = lines.value(f"call {kind} @llvm.{what}.{kind}({kind} {value(op.ins[0])}{more})")
    return _resized(made, op.ins[0].size, op.result.size, lines)


_OTHERS: dict[str, Callable[[Op, Value, Lines], str]] = {
    "COPY": _copy,
    "INT_ZEXT": _extended,
    "INT_SEXT": _extended,
    "INT_NEGATE": _negated,
    "INT_2COMP": _minus,
    "BOOL_NEGATE": _not,
    "INT_CARRY": _carry,
    "INT_SCARRY": _overflow,
    "INT_SBORROW": _overflow,
    "SUBPIECE": _piece,
    "POPCOUNT": _counted,
    "LZCOUNT": _counted,
}


def _shift(op: Op, value: Value, lines: Lines) -> str:
    """P-code shifts by any amount; LLVM by less than there are bits."""
    what, amount = op.ins
    kind, bits, shift = _kind(what), 8 * what.size, _SHIFTS[op.code]
    if amount.space == CONST:
        by = amount.offset & (1 << 8 * amount.size) - 1
        if by >= bits and shift != "ashr":
            return "0"
        return lines.value(f"{shift} {kind} {value(what)}, {min(by, bits - 1)}")
    name = value(amount)
    is_small = lines.value(f"icmp ult {_kind(amount)} {name}, {bits}")
    by_name = _resized(name, amount.size, what.size, lines)
    if shift == "ashr":
        by_name = lines.value(f"select i1 {is_small}, {kind} {by_name}, {kind} {bits - 1}")
        return lines.value(f"ashr {kind} {value(what)}, {by_name}")
    moved = lines.value(f"{shift} {kind} {value(what)}, {by_name}")
    return lines.value(f"select i1 {is_small}, {kind} {moved}, {kind} 0")


def cannot_divide(op: Op, value: Value, lines: Lines) -> tuple[str, str]:
    """Add lines that find whether a quotient is none, or too large.

    Parameters
    ----------
    op
        CHECK_DIVIDE or CHECK_SIGNED_DIVIDE: dividend, divisor, bytes of the quotient.
    value
        Gives a value's name.
    lines
        Where they are added.

    Returns
    -------
    tuple
        Name of the truth, an `i1`; and of a signed quotient, which has been computed for it.

    Examples
    --------
    >>> from virtlab.machine.pcode import Op, Var
    >>> lines, one, half = Lines(), Var(CONST, 1, 8), Var(CONST, 4, 1)
    >>> cannot_divide(Op("CHECK_DIVIDE", None, (one, one, half)), lambda var: "1", lines)
    ('%v2', '')
    >>> lines.text
    ['  %v1 = lshr i64 1, 32', '  %v2 = icmp uge i64 %v1, 1']
    """
    dividend, divisor, bytes_of_it = op.ins
    kind, bits = _kind(dividend), 8 * bytes_of_it.offset
    a, b = value(dividend), value(divisor)
    if op.code == "CHECK_DIVIDE":  # also true of a divisor of 0
        high = lines.value(f"lshr {kind} {a}, {bits}") if bits < 8 * dividend.size else "0"
        return lines.value(f"icmp uge {kind} {high}, {b}"), ""
    is_zero = lines.value(f"icmp eq {kind} {b}, 0")
    by_minus_one = lines.value(f"icmp eq {kind} {b}, -1")
    is_least = lines.value(f"icmp eq {kind} {a}, {-(1 << 8 * dividend.size - 1)}")
    overflows = lines.value(f"and i1 {is_least}, {by_minus_one}")
    undone = lines.value(f"or i1 {is_zero}, {overflows}")
    safe = lines.value(f"select i1 {undone}, {kind} 1, {kind} {b}")
    quotient = lines.value(f"sdiv {kind} {a}, {safe}")
    moved = lines.value(f"add {kind} {quotient}, {1 << bits - 1}")
    too_large = lines.value(f"icmp uge {kind} {moved}, {1 << bits}")
    return lines.value(f"or i1 {undone}, {too_large}"), quotient
