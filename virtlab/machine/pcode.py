"""P-code: the small operations that an instruction is made of, and what each computes.

`add eax, ebx` is ten of them: one adds, the others make the flags. Each takes numbers of known
size and gives one; `COMPUTED` says how, and this table is all the arithmetic there is in the
processor. Reading and writing memory, jumping, and what touches the machine itself are done by
`virtlab.machine.interpreter`.

Source: Ghidra's P-Code Reference Manual, "P-Code Operation Reference". Left out: floating point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMPUTED", "CONST", "PORTS", "RAM", "REGISTER", "UNIQUE", "Op", "Var", "signed"]

CONST, REGISTER, UNIQUE, RAM = range(4)
PORTS = 7  # no segment, but the VMM's own tables of ports, by number of their entry


class Var(NamedTuple):
    """A place or a number: where it is, and how many bytes it has.

    Attributes
    ----------
    space
        `CONST` (the offset is the number itself), `REGISTER`, `UNIQUE` (for the moment), `RAM`.
    offset, size
        Place and bytes.

    Examples
    --------
    >>> Var(REGISTER, 0, 4).size  # EAX
    4
    """

    space: int
    offset: int
    size: int


class Op(NamedTuple):
    """One operation.

    Attributes
    ----------
    code
        Its name, such as 'INT_ADD'.
    out
        Where the result goes.
    ins
        What it takes.
    segment
        Of an operation on memory: the segment, as `virtlab.machine.encoding` numbers them, or
        `PORTS`.
    to_change
        Of one that reads memory: whether what it reads will be written, and so must be writable
        (`virtlab.machine.read_once`).

    Examples
    --------
    >>> eax = Var(REGISTER, 0, 4)
    >>> str(Op("INT_ADD", eax, (eax, Var(CONST, 1, 4))))
    'EAX = INT_ADD EAX, 0x1'
    """

    code: str
    out: Var | None
    ins: tuple[Var, ...]
    segment: int = 3
    to_change: bool = False

    @property
    def result(self) -> Var:
        """Where the result goes, of an operation that has one."""
        if self.out is None:
            raise ValueError(f"{self.code} has no result")
        return self.out

    def __str__(self) -> str:
        """Write it with the names of registers."""
        where = "ports:" if self.segment == PORTS else ""
        words = f"{self.code} {where}{', '.join(map(_word, self.ins))}".strip()
        return words if self.out is None else f"{_word(self.out)} = {words}"


def _word(var: Var) -> str:
    from virtlab.machine.registers import FLAGS, PLACES

    if var.space == CONST:
        return f"{var.offset:#x}"
    if var.space == REGISTER:
        for name, place in PLACES.items():
            if place == (var.offset, var.size):
                return name
        names = [name for name, (byte, _, _) in FLAGS.items() if byte == var.offset]
        return names[0] if names else f"r{var.offset:x}"
    return f"{'t' if var.space == UNIQUE else 'ram:'}{var.offset:x}"


def signed(number: int, size: int) -> int:
    """Return a number of so many bytes as two's complement has it.

    Parameters
    ----------
    number
        From 0.
    size
        Bytes.

    Returns
    -------
    int
        Less than 0 if the highest bit is set.

    Examples
    --------
    >>> signed(0xFE, 1), signed(0x7E, 1)
    (-2, 126)
    """
    half = 1 << (8 * size - 1)
    return number - 2 * half if number >= half else number


def _shift_right(a: int, b: int) -> int:
    return a >> b if b < 64 else 0


def _sdiv(a: int, b: int) -> int:
    """Divide towards zero, as processors do and Python does not."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


# Each takes the inputs, the first input's size and the result's, in bytes; what is too large is
# cut off afterwards.
COMPUTED: dict[str, Callable[[tuple[int, ...], int, int], int]] = {
    "COPY": lambda v, _n, _m: v[0],
    "INT_ADD": lambda v, _n, _m: v[0] + v[1],
    "INT_SUB": lambda v, _n, _m: v[0] - v[1],
    "INT_MULT": lambda v, _n, _m: v[0] * v[1],
    "INT_DIV": lambda v, _n, _m: v[0] // v[1],
    "INT_REM": lambda v, _n, _m: v[0] % v[1],
    "INT_SDIV": lambda v, n, _m: _sdiv(signed(v[0], n), signed(v[1], n)),
    "INT_SREM": lambda v, n, _m: (
        signed(v[0], n) - signed(v[1], n) * _sdiv(signed(v[0], n), signed(v[1], n))
    ),
    "INT_AND": lambda v, _n, _m: v[0] & v[1],
    "INT_OR": lambda v, _n, _m: v[0] | v[1],
    "INT_XOR": lambda v, _n, _m: v[0] ^ v[1],
    "INT_NEGATE": lambda v, _n, _m: ~v[0],
    "INT_2COMP": lambda v, _n, _m: -v[0],
    "INT_LEFT": lambda v, _n, m: v[0] << v[1] if v[1] < 8 * m else 0,
    "INT_RIGHT": lambda v, _n, _m: _shift_right(v[0], v[1]),
    "INT_SRIGHT": lambda v, n, _m: signed(v[0], n) >> min(v[1], 64),
    "INT_ZEXT": lambda v, _n, _m: v[0],
    "INT_SEXT": lambda v, n, _m: signed(v[0], n),
    "INT_EQUAL": lambda v, _n, _m: v[0] == v[1],
    "INT_NOTEQUAL": lambda v, _n, _m: v[0] != v[1],
    "INT_LESS": lambda v, _n, _m: v[0] < v[1],
    "INT_LESSEQUAL": lambda v, _n, _m: v[0] <= v[1],
    "INT_SLESS": lambda v, n, _m: signed(v[0], n) < signed(v[1], n),
    "INT_SLESSEQUAL": lambda v, n, _m: signed(v[0], n) <= signed(v[1], n),
    "INT_CARRY": lambda v, n, _m: v[0] + v[1] >= 1 << 8 * n,
    "INT_SCARRY": lambda v, n, _m: _overflows(signed(v[0], n) + signed(v[1], n), n),
    "INT_SBORROW": lambda v, n, _m: _overflows(signed(v[0], n) - signed(v[1], n), n),
    "BOOL_NEGATE": lambda v, _n, _m: not v[0],
    "BOOL_AND": lambda v, _n, _m: v[0] & v[1] & 1,
    "BOOL_OR": lambda v, _n, _m: (v[0] | v[1]) & 1,
    "BOOL_XOR": lambda v, _n, _m: (v[0] ^ v[1]) & 1,
    "SUBPIECE": lambda v, _n, _m: v[0] >> 8 * v[1],
    "POPCOUNT": lambda v, _n, _m: v[0].bit_count(),
    "LZCOUNT": lambda v, n, _m: 8 * n - v[0].bit_length(),
}


def _overflows(number: int, size: int) -> bool:
    return not -(1 << 8 * size - 1) <= number < 1 << 8 * size - 1
