"""WebAssembly, as bytes: what a module is made of (S18).

WebAssembly is a stack machine: an instruction takes its operands from the stack and leaves its
result there. So code for an expression is the code of its parts, one after another, and then the
operator. Numbers are written in LEB128, seven bits a byte.

Only what the translator needs is here. Source: WebAssembly Core Specification 2.0, chapter 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "I32",
    "I64",
    "OPERATORS",
    "block_of",
    "constant",
    "local_get",
    "local_set",
    "local_tee",
    "module",
    "signed_leb",
    "unsigned_leb",
]

I32, I64 = 0x7F, 0x7E
_EMPTY = 0x40

# By name: for 32 bits, for 64 bits.
OPERATORS: dict[str, tuple[int, int]] = {
    "eqz": (0x45, 0x50),
    "eq": (0x46, 0x51),
    "ne": (0x47, 0x52),
    "lt_s": (0x48, 0x53),
    "lt_u": (0x49, 0x54),
    "le_s": (0x4C, 0x57),
    "le_u": (0x4D, 0x58),
    "ge_u": (0x4F, 0x5A),
    "clz": (0x67, 0x79),
    "popcnt": (0x69, 0x7B),
    "add": (0x6A, 0x7C),
    "sub": (0x6B, 0x7D),
    "mul": (0x6C, 0x7E),
    "div_s": (0x6D, 0x7F),
    "div_u": (0x6E, 0x80),
    "rem_s": (0x6F, 0x81),
    "rem_u": (0x70, 0x82),
    "and": (0x71, 0x83),
    "or": (0x72, 0x84),
    "xor": (0x73, 0x85),
    "shl": (0x74, 0x86),
    "shr_s": (0x75, 0x87),
    "shr_u": (0x76, 0x88),
}


def unsigned_leb(number: int) -> bytes:
    """Write a number that is not negative.

    Parameters
    ----------
    number
        From 0.

    Returns
    -------
    bytes
        LEB128.

    Examples
    --------
    >>> unsigned_leb(624485).hex()
    'e58e26'
    """
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def signed_leb(number: int) -> bytes:
    """Write a number that may be negative.

    Parameters
    ----------
    number
        Any.

    Returns
    -------
    bytes
        LEB128, its sign in bit 6 of the last byte.

    Examples
    --------
    >>> signed_leb(-123456).hex(), signed_leb(64).hex()
    ('c0bb78', 'c000')
    """
    out = bytearray()
    while not -64 <= number < 64:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number & 0x7F)
    return bytes(out)


def constant(number: int, size: int = 4) -> bytes:
    """Push a number.

    Parameters
    ----------
    number
        Its bits.
    size
        8 for 64 bits, less for 32.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> constant(0xFFFFFFFF).hex(), constant(5, 8).hex()
    ('417f', '4205')
    """
    bits = 64 if size == 8 else 32
    number &= (1 << bits) - 1
    if number >> bits - 1:
        number -= 1 << bits
    return (b"\x42" if size == 8 else b"\x41") + signed_leb(number)


def local_get(number: int) -> bytes:
    """Push a local.

    Parameters
    ----------
    number
        Which.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> local_get(3).hex()
    '2003'
    """
    return b"\x20" + unsigned_leb(number)


def local_set(number: int) -> bytes:
    """Pop into a local.

    Parameters
    ----------
    number
        Which.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> local_set(300).hex()
    '21ac02'
    """
    return b"\x21" + unsigned_leb(number)


def local_tee(number: int) -> bytes:
    """Pop into a local, and push it again.

    Parameters
    ----------
    number
        Which.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> local_tee(3).hex()
    '2203'
    """
    return b"\x22" + unsigned_leb(number)


def block_of(kind: str, result: int = _EMPTY) -> bytes:
    """Open a block, a loop or an if; code 0x0b closes it.

    Parameters
    ----------
    kind
        'block', 'loop' or 'if'.
    result
        Type that it leaves on the stack; nothing if not given.

    Returns
    -------
    bytes
        Code.

    Examples
    --------
    >>> block_of("loop").hex(), block_of("if", I32).hex()
    ('0340', '047f')
    """
    return bytes([{"block": 2, "loop": 3, "if": 4}[kind], result])


def _vector(items: Sequence[bytes]) -> bytes:
    return unsigned_leb(len(items)) + b"".join(items)


def _section(number: int, body: bytes) -> bytes:
    return bytes([number]) + unsigned_leb(len(body)) + body


def _name(text: str) -> bytes:
    return unsigned_leb(len(text)) + text.encode()


def module(
    types: Sequence[tuple[Sequence[int], Sequence[int]]],
    imports: Sequence[tuple[str, bytes]],
    bodies: Iterable[tuple[Sequence[int], bytes]],
    *,
    of_type: int,
    first: int,
) -> bytes:
    """Put a module together.

    Parameters
    ----------
    types
        Of functions: (parameters, results).
    imports
        (name, kind and type as bytes), all from 'vmm'.
    bodies
        Of functions: (types of its locals, code).
    of_type
        Number of the type that all functions have.
    first
        How many functions are imported: the number of our first one.

    Returns
    -------
    bytes
        A module that exports its functions as 'f0', 'f1' and so on.

    Examples
    --------
    >>> seven = module([((), (I32,))], [], [((), constant(7) + bytes([0x0B]))], of_type=0, first=0)
    >>> len(seven), seven[:8].hex()
    (38, '0061736d01000000')
    """
    signatures = [
        b"\x60" + _vector([bytes([p]) for p in takes]) + _vector([bytes([r]) for r in gives])
        for takes, gives in types
    ]
    codes = []
    for local_types, code in bodies:
        body = _vector([b"\x01" + bytes([kind]) for kind in local_types]) + code
        codes.append(unsigned_leb(len(body)) + body)
    names = [_name(f"f{k}") + b"\x00" + unsigned_leb(first + k) for k in range(len(codes))]
    brought = [_name("vmm") + _name(name) + what for name, what in imports]
    return (
        b"\0asm\1\0\0\0"
        + _section(1, _vector(signatures))
        + _section(2, _vector(brought))
        + _section(3, _vector([unsigned_leb(of_type)] * len(codes)))
        + _section(7, _vector(names))
        + _section(10, _vector(codes))
    )
