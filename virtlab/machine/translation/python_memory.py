"""How functions of Python reach memory: dictionaries of pages (S18).

There are six, for reading and for writing 1, 2 and 4 bytes: from a page's address to its bytes, as
numbers of that size. The lowest bits of the address are left in the key:

    write4[to & 0xfffff003][to >> 2 & 0x3ff] = eax

So bytes that do not lie as they should are on no page that is known, as are pages that were not
asked for yet; what a dictionary gives for those asks the VMM for each number by itself
(`Elsewhere`). A page is put in when the TLB has it (`virtlab.machine.translation.tlb`), and is
forgotten when the TLB forgets it. A page lies in RAM whole, so nothing beyond RAM can be reached.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Literal

from virtlab.machine.memory import PAGE
from virtlab.machine.translation.layout import READ_TLB, SLOTS, TO_CHANGE, WRITE_TLB

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Elsewhere", "NotDoneError", "Pages", "PythonMemory"]

_FORMATS: dict[int, Literal["B", "H", "I"]] = {1: "B", 2: "H", 4: "I"}


class NotDoneError(Exception):
    """An instruction cannot be done here."""


class Pages(dict[int, Any]):
    """Pages that code may reach by itself: key to bytes.

    Parameters
    ----------
    memory
        Asked for all others.
    size
        Of what is read or written.
    what
        How the memory is asked for it: a size, to which `TO_CHANGE` is added for writing.
    """

    def __init__(self, memory: PythonMemory, size: int, what: int) -> None:
        super().__init__()
        self.memory, self.size, self.what = memory, size, what

    def __missing__(self, key: int) -> Elsewhere:
        """Give what asks for each number."""
        return Elsewhere(self.memory, key, self.size, self.what)


class Elsewhere:
    """Numbers on no page that is known."""

    __slots__ = ("key", "memory", "size", "what")

    def __init__(self, memory: PythonMemory, key: int, size: int, what: int) -> None:
        self.memory, self.key, self.size, self.what = memory, key, size, what

    def __getitem__(self, at: int) -> int:
        """Read one."""
        return self.memory.load(self.key + self.size * at, self.what)

    def __setitem__(self, at: int, value: int) -> None:
        """Write one."""
        self.memory.store(self.key + self.size * at, self.size, value)


class PythonMemory:
    """The dictionaries, and what is asked beside them.

    Parameters
    ----------
    view
        The buffer of `virtlab.machine.translation.layout`.
    load, store
        Ask the VMM, as `virtlab.machine.translation.tiers.host_for` says.

    Attributes
    ----------
    names
        What functions call it.

    Examples
    --------
    >>> view = memoryview(bytearray(READ_TLB * 4))
    >>> memory = PythonMemory(view, lambda at, size: at, lambda at, size, value: 1)
    >>> memory.names["read4"][0x1000][3] == 0x1000 + 4 * 3
    True
    >>> memory.names["write1"][0x1000][3] = 5
    Traceback (most recent call last):
    virtlab.machine.translation.python_memory.NotDoneError
    """

    def __init__(
        self,
        view: memoryview,
        load: Callable[[int, int], int],
        store: Callable[[int, int, int], int],
    ) -> None:
        self.view, self._load, self._store = view, load, store
        self._read = {size: Pages(self, size, size) for size in _FORMATS}
        self._write = {size: Pages(self, size, size + TO_CHANGE) for size in _FORMATS}
        self.names: dict[str, Any] = {
            **{f"read{size}": pages for size, pages in self._read.items()},
            **{f"write{size}": pages for size, pages in self._write.items()},
            "load": self.load,
            "store": self.store,
        }

    def load(self, address: int, size: int) -> int:
        """Read what is on no page that is known.

        Parameters
        ----------
        address, size
            Where; and `TO_CHANGE` with the size if it will be written.

        Returns
        -------
        int
            The number.

        Raises
        ------
        NotDoneError
            If it cannot be read.

        Examples
        --------
        >>> view = memoryview(bytearray(READ_TLB * 4))
        >>> memory = PythonMemory(view, lambda at, size: 7, lambda at, size, value: 1)
        >>> memory.load(0x1000, 4)
        7
        """
        address &= 0xFFFFFFFF
        page, offset = address & ~(PAGE - 1), address % PAGE
        what, size = size, size % TO_CHANGE
        tables, table = (self._read, READ_TLB) if what == size else (self._write, WRITE_TLB)
        if page in tables[1] and offset + size <= PAGE:
            return int.from_bytes(tables[1][page][offset : offset + size], "little")
        value = self._load(address, what)
        if value < 0:
            raise NotDoneError
        self._remember(tables, table, page)
        return value

    def store(self, address: int, size: int, value: int) -> None:
        """Write what is on no page that is known.

        Parameters
        ----------
        address, size
            Where.
        value
            What.

        Raises
        ------
        NotDoneError
            If it cannot be written.

        Examples
        --------
        >>> view = memoryview(bytearray(READ_TLB * 4))
        >>> memory = PythonMemory(view, lambda at, size: 7, lambda at, size, value: 0)
        >>> memory.store(0x1000, 4, 7)
        """
        address &= 0xFFFFFFFF
        page, offset = address & ~(PAGE - 1), address % PAGE
        if page in self._write[1] and offset + size <= PAGE:
            self._write[1][page][offset : offset + size] = int(value).to_bytes(size, "little")
            return
        if self._store(address, size, int(value)):
            raise NotDoneError
        self._remember(self._write, WRITE_TLB, page)

    def _remember(self, tables: dict[int, Pages], table: int, page: int) -> None:
        """Let code reach a page by itself, if the TLB has it now."""
        known, add = struct.unpack_from("<II", self.view, table + 8 * (page // PAGE % SLOTS))
        if known == page:
            first = page + add & 0xFFFFFFFF
            data = self.view[first : first + PAGE]
            for size, pages in tables.items():
                pages[page] = data.cast(_FORMATS[size])

    def forget(self, linear: int | None) -> None:
        """Forget a page, or all.

        Parameters
        ----------
        linear
            An address in the page; None for all.

        Examples
        --------
        >>> view = memoryview(bytearray(READ_TLB * 4))
        >>> memory = PythonMemory(view, lambda at, size: 7, lambda at, size, value: 0)
        >>> memory.forget(None)
        """
        for pages in (*self._read.values(), *self._write.values()):
            if linear is None:
                pages.clear()
            else:
                pages.pop(linear & ~(PAGE - 1), None)

    def forget_writes(self) -> None:
        """Forget which pages may be written.

        Examples
        --------
        >>> view = memoryview(bytearray(READ_TLB * 4))
        >>> memory = PythonMemory(view, lambda at, size: 7, lambda at, size, value: 0)
        >>> memory.forget_writes()
        """
        for pages in self._write.values():
            pages.clear()
