"""How the llvm tier reaches RAM: through the TLB of translated code, or directly (S18).

What is to be found out is the same as in `virtlab.machine.translation.wasm_memory`. What is new is
what LLVM is told: that writing to RAM changes no table (`!tbaa`), and which way is hardly ever
taken (`!prof`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from virtlab.machine.translation import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.pcode import Op, Var
    from virtlab.machine.translation.llvm_values import Lines

__all__ = ["IN_RAM", "RARELY", "TYPES", "Flat", "Paged", "Way", "port"]

RARELY, _IN_TABLE, IN_RAM = ", !prof !0", ", !tbaa !4", ", !tbaa !5"
TYPES = """
!0 = !{!"branch_weights", i32 1, i32 4000}
!1 = !{!"buffer"}
!2 = !{!"table", !1, i64 0}
!3 = !{!"ram", !1, i64 0}
!4 = !{!2, !2, i64 0}
!5 = !{!3, !3, i64 0}
"""


class Way(Protocol):
    """How code gets from a linear address to a byte of the buffer.

    Attributes
    ----------
    asks
        Whether what cannot be reached so is asked for; if not, the code is left.
    """

    asks: bool

    def begin(self, lines: Lines) -> None:
        """Add what a function does first."""

    def look(self, lines: Lines, address: str, size: int, hit: str, miss: str, table: int) -> str:
        """Add lines that go to the block `hit`, and begin it, or to `miss`; return the place."""


class Paged:
    """Through the TLB: a table for reads, one for writes.

    The last byte's address differs from the page's by less than a page only if the first byte's
    slot holds this page, and all bytes are in it.

    Examples
    --------
    >>> from virtlab.machine.translation.llvm_values import Lines
    >>> lines = Lines()
    >>> Paged().look(lines, "%a", 4, "hit", "miss", layout.READ_TLB)
    '%v14'
    >>> lines.text[9:11]
    ['  br i1 %v9, label %miss, label %hit, !prof !0', 'hit:']
    """

    asks = True

    def begin(self, lines: Lines) -> None:
        """Add nothing."""

    def look(self, lines: Lines, address: str, size: int, hit: str, miss: str, table: int) -> str:
        """Look a page up.

        Parameters
        ----------
        lines
            Where lines are added.
        address, size
            Name of the linear address, and bytes.
        hit, miss
            Labels: of the block that is begun, and of where else to go.
        table
            `layout.READ_TLB` or `layout.WRITE_TLB`.

        Returns
        -------
        str
            Name of the place.

        Examples
        --------
        See the class.
        """
        value = lines.value
        shifted = value(f"lshr i32 {address}, {12 - 3}")
        slot = value(f"zext i32 {value(f'and i32 {shifted}, {(layout.SLOTS - 1) << 3}')} to i64")
        entry = value(f"getelementptr i8, ptr %base, i64 {slot}")
        place = value(f"getelementptr i8, ptr {entry}, i64 {table}")
        page = value(f"load i32, ptr {place}, align 8{_IN_TABLE}")
        last = address if size == 1 else value(f"add i32 {address}, {size - 1}")
        apart = value(f"xor i32 {last}, {page}")
        is_elsewhere = value(f"icmp uge i32 {apart}, 4096")
        lines.add(f"br i1 {is_elsewhere}, label %{miss}, label %{hit}{RARELY}")
        lines.text.append(f"{hit}:")
        place = value(f"getelementptr i8, ptr {entry}, i64 {table + 4}")
        offset = value(f"load i32, ptr {place}, align 4{_IN_TABLE}")
        at = value(f"zext i32 {value(f'add i32 {offset}, {address}')} to i64")
        return value(f"getelementptr i8, ptr %base, i64 {at}")


class Flat:
    """While paging is off: one comparison.

    Parameters
    ----------
    ram_bytes
        The guest's memory.
    asks
        Whether addresses that are no RAM, or that must not be written on, are often met. If not,
        the code is left there, and LLVM knows of all that follows that they are RAM: of several
        looks at the same address one remains.

    Examples
    --------
    >>> from virtlab.machine.translation.llvm_values import Lines
    >>> lines = Lines()
    >>> Flat(1 << 20).look(lines, "%a", 4, "hit", "miss", layout.READ_TLB)
    '%v4'
    >>> lines.text[0]
    '  %v1 = icmp uge i32 %a, 1048573'
    """

    def __init__(self, ram_bytes: int, *, asks: bool = False) -> None:
        self.ram_bytes, self.asks = ram_bytes, asks

    def begin(self, lines: Lines) -> None:
        """Add nothing."""

    def look(self, lines: Lines, address: str, size: int, hit: str, miss: str, table: int) -> str:
        """Compare an address.

        Parameters
        ----------
        lines, address, size, hit, miss, table
            As `Paged.look` takes them.

        Returns
        -------
        str
            Name of the place.

        Examples
        --------
        See the class.
        """
        if table == layout.READ_TLB:
            is_amiss = self.is_beyond(lines, address, size)
        else:
            is_amiss = self.is_guarded(lines, address)
        lines.add(f"br i1 {is_amiss}, label %{miss}, label %{hit}{RARELY}")
        lines.text.append(f"{hit}:")
        return self.at(lines, address)

    def is_beyond(self, lines: Lines, address: str, size: int) -> str:
        """Add the comparison for reads; return the name of the truth that it is not all RAM.

        Parameters
        ----------
        lines, address, size
            As `look` takes them.

        Returns
        -------
        str
            An `i1`.

        Examples
        --------
        See `look`.
        """
        return lines.value(f"icmp uge i32 {address}, {self.ram_bytes - (size - 1)}")

    def is_guarded(self, lines: Lines, address: str, last: int = 0) -> str:
        """Add the same for writes, of what begins at an address.

        Parameters
        ----------
        lines, address
            As `look` takes them.
        last
            So far from there begins the last of several; if it is in the page's last bytes or in
            another page, the answer may be yes though it is not guarded.

        Returns
        -------
        str
            An `i1`.

        Examples
        --------
        >>> from virtlab.machine.translation.llvm_values import Lines
        >>> lines = Lines()
        >>> Flat(1 << 20).is_guarded(lines, "%a"), lines.text[0]
        ('%v6', '  %v1 = lshr i32 %a, 12')
        """
        value = lines.value
        page = value(f"zext i32 {value(f'lshr i32 {address}, 12')} to i64")
        limits = value(f"getelementptr i8, ptr %base, i64 {layout.LIMITS}")
        entry = value(f"getelementptr i32, ptr {limits}, i64 {page}")
        limit = value(f"load i32, ptr {entry}, align 4{_IN_TABLE}")
        end = value(f"add i32 {address}, {last}") if last else address
        return value(f"icmp uge i32 {end}, {limit}")

    def at(self, lines: Lines, address: str, distance: int = 0) -> str:
        """Add what finds the place of an address that is RAM, or of one not far from it.

        Parameters
        ----------
        lines, address
            As `look` takes them.
        distance
            From there, in bytes.

        Returns
        -------
        str
            Name of the place.

        Examples
        --------
        See `look`.
        """
        wide = lines.value(f"zext i32 {address} to i64")
        place = lines.value(f"getelementptr i8, ptr %base, i64 {wide}")
        return lines.value(f"getelementptr i8, ptr {place}, i64 {layout.RAM + distance}")


def port(op: Op, of: Callable[[Var], str], lines: Lines) -> dict[Var, str]:
    """Reach a table of ports: an index is never beyond its end.

    Parameters
    ----------
    op
        LOAD, of what a port answers; or STORE, into the ring of writes that wait.
    of
        Gives a value's name.
    lines
        Where lines are added.

    Returns
    -------
    dict
        The name of what was read.

    Examples
    --------
    >>> from virtlab.machine.pcode import PORTS, Op, Var
    >>> from virtlab.machine.translation.llvm_values import Lines
    >>> lines, where, what = Lines(), Var(2, -1, 2), Var(2, -2, 2)
    >>> port(Op("LOAD", what, (where,), segment=PORTS), lambda var: "%port", lines)
    {Var(space=2, offset=-2, size=2): '%v4'}
    >>> lines.text[-1]
    '  %v4 = load i16, ptr %v3'
    """
    value, index, is_read = lines.value, of(op.ins[0]), op.code == "LOAD"
    if is_read:
        table, kind, wide = layout.PORT_MAP, "i16", value(f"zext i16 {index} to i64")
    else:
        last = value(f"and i32 {index}, {layout.RING_SIZE - 1}")
        table, kind, wide = layout.RING, "i32", value(f"zext i32 {last} to i64")
    first = value(f"getelementptr i8, ptr %base, i64 {table}")
    place = value(f"getelementptr {kind}, ptr {first}, i64 {wide}")
    if is_read:
        return {op.result: value(f"load i16, ptr {place}")}
    lines.add(f"store i32 {of(op.ins[1])}, ptr {place}")
    return {}
