"""Physical memory: one buffer, and what lies beyond it (S16).

Outside RAM reads give ones and writes are lost, as on an empty bus, unless the processor itself
asks: then devices may answer there (`virtlab.machine.mapped`). With a journal, each write leaves
what it overwrote, so that steps can be undone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

__all__ = ["PAGE", "Beyond", "Memory"]

PAGE = 4096


class Beyond(Protocol):
    """What answers the processor beyond RAM."""

    def holds(self, address: int) -> bool:
        """Return whether a device is there."""

    def steady(self, address: int, size: int) -> bool:
        """Return whether what is there may be read at any time."""

    def load(self, address: int, size: int) -> bytes:
        """Return what is there."""

    def store(self, address: int, value: bytes) -> None:
        """Take what is written."""


class Nobody:
    r"""An empty bus.

    Examples
    --------
    >>> Nobody().load(0xFEC00000, 2)
    b'\xff\xff'
    """

    def holds(self, address: int) -> bool:
        """Return that there is none."""
        del address
        return False

    def steady(self, address: int, size: int) -> bool:
        """Return that ones are always there."""
        del address, size
        return True

    def load(self, address: int, size: int) -> bytes:
        """Return ones."""
        del address
        return b"\xff" * size

    def store(self, address: int, value: bytes) -> None:
        """Lose it."""


class Memory:
    r"""The machine's RAM.

    Parameters
    ----------
    size
        Bytes; a whole number of pages.
    data
        A buffer to use, if it is to lie in one that others use too.

    Attributes
    ----------
    data
        The bytes.
    journal
        Where writes leave (address, what was there); None while nothing is kept.
    guarded
        Pages of which `on_guarded` is told, with address and size, when something is written.
    end
        The first address that is no RAM.
    beyond
        What answers the processor from there on.

    Examples
    --------
    >>> memory = Memory(8192)
    >>> memory.write(4094, b"abcd")
    >>> memory.read(4095, 2), memory.read(8190, 4)
    (b'bc', b'\x00\x00\xff\xff')
    """

    def __init__(self, size: int, data: memoryview | None = None) -> None:
        integer("size", size, minimum=PAGE)
        self.data: bytearray | memoryview = bytearray(size) if data is None else data
        self.end = len(self.data)
        self.beyond: Beyond = Nobody()
        self.guarded: AbstractSet[int] = frozenset()
        self.on_guarded: Callable[[int, int], None] = lambda _address, _size: None
        self.journal: list[tuple[int, bytes]] | None = None

    def read(self, address: int, size: int) -> bytes:
        r"""Return some bytes.

        Parameters
        ----------
        address
            Physical address of the first.
        size
            How many.

        Returns
        -------
        bytes
            All ones where there is no memory.

        Examples
        --------
        >>> Memory(4096).read(5000, 2)
        b'\xff\xff'
        """
        found = bytes(self.data[address : address + size])
        return found if len(found) == size else found + b"\xff" * (size - len(found))

    def write(self, address: int, value: bytes) -> None:
        r"""Change some bytes.

        Parameters
        ----------
        address
            Physical address of the first.
        value
            What to write; lost where there is no memory.

        Examples
        --------
        >>> memory = Memory(4096)
        >>> memory.journal = []
        >>> memory.write(8, b"x")
        >>> memory.journal
        [(8, b'\x00')]
        """
        room = len(self.data) - address
        if room < len(value):
            value = value[: max(room, 0)]
            if not value:
                return
        end = address + len(value)
        if self.journal is not None:
            self.journal.append((address, bytes(self.data[address:end])))
        self.data[address:end] = value
        if self.guarded:
            first, last = address // PAGE, (end - 1) // PAGE
            is_long = last > first + 1 and not self.guarded.isdisjoint(range(first, last))
            if is_long or first in self.guarded or last in self.guarded:
                self.on_guarded(address, len(value))
