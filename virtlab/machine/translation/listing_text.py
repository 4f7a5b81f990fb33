"""A listing as plain text: side by side, or one column (S18)."""

from __future__ import annotations

import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING

from virtlab.validate import integer

if TYPE_CHECKING:
    from virtlab.machine.translation.listing_rows import Listing, Row

__all__ = ["STATES", "one_column", "side_by_side"]

STATES = {"done": " ", "put off": "~", "dead": "x"}  # what stands before an operation
_SIGNS = "= IDENT   > control   + in the cache   ! callout"
_LEGEND = "~ not done: a recipe is left   x not done at all"
_FIXED = (8, 1, 17, 22)  # address, class, bytes, instruction
_GAP = "  "


def one_column(listing: Listing) -> str:
    """Write the guest's code only, as any disassembler does, with the class of each instruction.

    Parameters
    ----------
    listing
        Any.

    Returns
    -------
    str
        A line for each instruction and each name.

    Examples
    --------
    >>> from virtlab.machine.translation.listing import listing
    >>> from virtlab.machine.translation.listing_rows import program_of
    >>> print(one_column(listing(program_of(bytes.fromhex("01d8 f4 ebfe")))))
        1000  =  01 d8  ADD EAX,EBX
        1002  !  f4     HLT
        1003  >  eb fe  JMP 0x1003
    <BLANKLINE>
    = IDENT   > control   + in the cache   ! callout
    """
    lines: list[str] = []
    wide = max((3 * len(row.code) - 1 for row in listing.rows), default=0)
    for row in listing.rows:
        lines += [f"{row.name}:"] if row.name else []
        code = row.code.hex(" ")
        lines.append(f"{row.address:8x}  {row.sign}  {code:{wide}}  {row.text}")
    return "\n".join([*lines, "", _SIGNS])


def side_by_side(listing: Listing, width: int = 120) -> str:
    """Write four columns: bytes, instructions, p-code, translated code.

    Parameters
    ----------
    listing
        Any.
    width
        Characters of a line, from 100.

    Returns
    -------
    str
        Long lines go on below themselves, a little to the right.

    Examples
    --------
    >>> from virtlab.machine.translation.listing import listing
    >>> from virtlab.machine.translation.listing_rows import program_of
    >>> text = side_by_side(listing(program_of(bytes.fromhex("b807000000 ebfe"))), 100)
    >>> print(*text.splitlines()[2:4], sep=chr(10))  # doctest: +ELLIPSIS
    0x1000:
        1000 = b8 07 00 00 00     MOV EAX,0x7             EAX = COPY 0x7           enter: ...
    >>> max(map(len, text.splitlines())) <= 100
    True
    """
    integer("width", width, minimum=100)
    fixed = sum(_FIXED) + len(_GAP) * len(_FIXED)
    code = (width - fixed) * 9 // 20
    widths = (*_FIXED, code, width - fixed - code - len(_GAP))
    heads = ("address", "", "bytes", "i386", "p-code", listing.tier)
    lines = [_joined(heads, widths), "-" * width]
    unit = -1
    for row in listing.rows:
        if row.unit not in (0, unit):
            lines += [f"{listing.title}:"] if unit < 0 and not row.name else []
            lines += [f"-- unit {row.unit} {'-' * 20}"] if unit >= 0 else []
            unit = row.unit
        lines += [f"{row.name}:"] if row.name else []
        lines += _row(row, widths)
    return "\n".join([*lines, "", _SIGNS, _LEGEND])


def _row(row: Row, widths: tuple[int, ...]) -> list[str]:
    code = [f"{STATES[one.state]} {one.text}" for one in row.operations]
    columns = [
        [f"{row.address:8x}"],
        [row.sign],
        textwrap.wrap(row.code.hex(" "), widths[2]),
        _wrapped([row.text], widths[3]),
        _wrapped(code, widths[4]),
        _wrapped(list(row.lines), widths[5]),
    ]
    return [_joined(cells, widths) for cells in zip_longest(*columns, fillvalue="")]


def _wrapped(lines: list[str], width: int) -> list[str]:
    found: list[str] = []
    for line in lines:
        pad = " " * (len(line) - len(line.lstrip()) + 3)
        found += textwrap.wrap(line, width, subsequent_indent=pad, drop_whitespace=True) or [""]
    return found


def _joined(cells: tuple[str, ...], widths: tuple[int, ...]) -> str:
    first = f"{cells[0]:>{widths[0]}} {cells[1]:1} {cells[2]:{widths[2]}}"
    rest = _GAP.join(f"{cell:{width}}" for cell, width in zip(cells[3:], widths[3:], strict=True))
    return f"{first}{_GAP}{rest}".rstrip()
