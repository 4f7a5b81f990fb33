"""The TLB of translated code: two tables that it can read by itself (S18, S17).

The interpreter asks `virtlab.machine.paging` at each access. Translated code looks in a table of
its own, in the shared buffer: for each page, by its number modulo the table's size, the linear
address, and what to add to an address to get to its byte there. What is not in the table it asks
for here; what was looked up is put in, so that the next access to the page needs no question.

A page that code was translated from is never in the table for writes, so each write there comes to
the VMM, which forgets the translations. A slot that is empty holds an address that would belong in
another slot.

To look a page up marks it in the page tables, which may hold code themselves: if translations had
to go for that, what runs may be gone, and the interpreter is to do the access, which has not been
done.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from virtlab.machine.faults import Fault
from virtlab.machine.memory import PAGE
from virtlab.machine.translation.cache import TranslationCache
from virtlab.machine.translation.layout import (
    LIMITS,
    PORT_MAP,
    RAM,
    READ_TLB,
    SLOTS,
    TO_CHANGE,
    WRITE_TLB,
)
from virtlab.machine.translation.tiers import KeepsPages

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from virtlab.machine.processor import Processor
    from virtlab.machine.translation.tiers import Host

__all__ = ["SoftTlb", "tlb_for"]

_END = 1 << 32
_LONGEST = 8  # bytes of an access
_HALF = SLOTS // 2  # and not 1: what begins in a slot's page may end in the next page
_EMPTY = b"".join(struct.pack("<II", (slot + _HALF) % SLOTS << 12, 0) for slot in range(SLOTS))


class SoftTlb:
    """Answers translated code, and fills its tables.

    Parameters
    ----------
    view
        The buffer of `virtlab.machine.translation.layout`.
    processor
        Whose memory it is.
    cache
        Knows which bytes code was translated from; an empty one if not given.

    Attributes
    ----------
    asked
        How often translated code asked.
    on_flush, on_guard
        Told when slots are emptied: of one page or of all (None); all for writes.

    Examples
    --------
    >>> from virtlab.machine.memory import Memory
    >>> from virtlab.machine.processor import Processor
    >>> view = memoryview(bytearray(RAM + 8192))
    >>> tlb = SoftTlb(view, Processor(Memory(8192, view[RAM:])))
    >>> tlb.store(0x1234, 4, 258), tlb.load(0x1235, 1), tlb.asked
    (0, 1, 2)
    >>> tlb.knows(0x1000, write=True), tlb.knows(0, write=False)
    (True, False)
    """

    def __init__(
        self,
        view: memoryview,
        processor: Processor,
        cache: TranslationCache | None = None,
    ) -> None:
        self.view, self.processor, self.asked = view, processor, 0
        self.cache = TranslationCache() if cache is None else cache
        self.on_flush: Callable[[int | None], None] = lambda _linear: None
        self.on_guard: Callable[[], None] = lambda: None
        self._limits = view[LIMITS:PORT_MAP].cast("I")
        self._pages = (len(view) - RAM) // PAGE
        self._guarded: frozenset[int] = frozenset()
        self.flush()
        for page in range(self._pages):
            self._limit(page)

    def load(self, address: int, size: int) -> int:
        """Read for translated code.

        Parameters
        ----------
        address, size
            Linear address, and bytes; and `TO_CHANGE` with it if they will be written.

        Returns
        -------
        int
            The number; -1 if it cannot be read.

        Examples
        --------
        See the class.
        """
        self.asked += 1
        processor, address = self.processor, address & 0xFFFFFFFF
        user, generation = processor.cpl == 3, self.cache.generation
        to_change, size = size >= TO_CHANGE, size % TO_CHANGE
        if address + size > _END:  # it would go on at 0: a segment has something to say about that
            return -1
        try:
            places = self._places(address, size, write=to_change)
            if self.cache.generation != generation:
                return -1
            if self._is_device(places) and (to_change or not self._is_steady(places, size)):
                return -1
            value = processor.read(address, size, user=user)
        except Fault:
            return -1
        if not to_change:
            self._fill(READ_TLB, address, places[0])
        elif places[0] // PAGE not in processor.memory.guarded:
            self._fill(WRITE_TLB, address, places[0])
        return int.from_bytes(value, "little")

    def store(self, address: int, size: int, value: int) -> int:
        """Write for translated code.

        Parameters
        ----------
        address, size
            Linear address, and bytes.
        value
            What to write.

        Returns
        -------
        int
            1 if it was not done: because it cannot be, or because code may lie there.

        Examples
        --------
        See the class.
        """
        self.asked += 1
        processor, address = self.processor, address & 0xFFFFFFFF
        user, generation = processor.cpl == 3, self.cache.generation
        if address + size > _END:
            return 1
        try:
            places = self._places(address, size, write=True)
        except Fault:
            return 1
        if self.cache.generation != generation or self._is_device(places):
            return 1
        is_code = self.cache.has_code
        within = min(size, PAGE - address % PAGE)  # the rest may lie on another page, anywhere
        rest = size - within
        if is_code(places[0], within) or (rest and is_code(places[1] - rest + 1, rest)):
            return 1
        data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        processor.write(address, data, user=user)
        if places[0] // PAGE not in processor.memory.guarded:
            self._fill(WRITE_TLB, address, places[0])
        return 0

    def _places(self, address: int, size: int, *, write: bool) -> tuple[int, int]:
        """Return where the first byte lies and the last."""
        paging, user = self.processor.paging, self.processor.cpl == 3
        first = paging.physical(address, write=write, user=user)
        if address % PAGE + size <= PAGE:
            return first, first + size - 1
        return first, paging.physical(address + size - 1, write=write, user=user)

    def _is_steady(self, places: tuple[int, int], size: int) -> bool:
        """Return whether it may be read now, any number of times; not what lies on two pages."""
        within = places[0] // PAGE == places[1] // PAGE
        return within and self.processor.memory.beyond.steady(places[0], size)

    def _is_device(self, places: tuple[int, int]) -> bool:
        """Return whether a device is to be asked, which has to be on time."""
        memory = self.processor.memory
        return max(places) >= memory.end and any(map(memory.beyond.holds, places))

    def _fill(self, table: int, address: int, physical: int) -> None:
        if physical >= len(self.view) - RAM:
            return
        page = address & ~(PAGE - 1)
        slot = table + 8 * (address // PAGE % SLOTS)
        add = RAM + physical - address & 0xFFFFFFFF
        self.view[slot : slot + 8] = struct.pack("<II", page, add)

    def flush(self, linear: int | None = None) -> None:
        """Empty slots: of one page, or all.

        Parameters
        ----------
        linear
            An address in the page; all pages if not given.

        Examples
        --------
        >>> from virtlab.machine.processor import Processor
        >>> SoftTlb(memoryview(bytearray(RAM)), Processor()).flush(0x1000)
        """
        first, last = 0, SLOTS
        if linear is not None:
            first = linear // PAGE % SLOTS
            last = first + 1
        self._empty(READ_TLB, first, last)
        self._empty(WRITE_TLB, first, last)
        self.on_flush(linear)

    def guard(self, pages: Collection[int]) -> None:
        """Let no write on a page through that holds code now.

        Parameters
        ----------
        pages
            Physical numbers of all that do.

        Examples
        --------
        >>> from virtlab.machine.processor import Processor
        >>> SoftTlb(memoryview(bytearray(RAM)), Processor()).guard({1})
        """
        changed, self._guarded = self._guarded.symmetric_difference(pages), frozenset(pages)
        if not changed.isdisjoint(pages):
            self._empty(WRITE_TLB, 0, SLOTS)
            self.on_guard()
        for page in changed:
            self._limit(page)
            self._limit(page - 1)  # what begins there may end in the page

    def _limit(self, page: int) -> None:
        """Say up to where a page may be written while paging is off."""
        if 0 <= page < self._pages:
            is_last = page + 1 in self._guarded or page + 1 == self._pages
            end = (page + 1) * PAGE - (_LONGEST - 1 if is_last else 0)
            self._limits[page] = 0 if page in self._guarded else end

    def _empty(self, table: int, first: int, last: int) -> None:
        self.view[table + 8 * first : table + 8 * last] = _EMPTY[8 * first : 8 * last]

    def knows(self, address: int, *, write: bool) -> bool:
        """Return whether a page is in a table.

        Parameters
        ----------
        address
            In the page.
        write
            In the table for writes.

        Returns
        -------
        bool
            If so, translated code will not ask.

        Examples
        --------
        See the class.
        """
        slot = (WRITE_TLB if write else READ_TLB) + 8 * (address // PAGE % SLOTS)
        (page,) = struct.unpack_from("<I", self.view, slot)
        return bool(page == address & ~(PAGE - 1))


def tlb_for(host: Host, processor: Processor, cache: TranslationCache) -> SoftTlb:
    """Make what answers a host's code.

    Parameters
    ----------
    host
        Where it runs.
    processor, cache
        As `SoftTlb` takes them.

    Returns
    -------
    SoftTlb
        With empty tables.

    Examples
    --------
    >>> from virtlab.machine.memory import Memory
    >>> from virtlab.machine.processor import Processor
    >>> from virtlab.machine.translation.tiers import host_for
    >>> host = host_for("python", 4 * PAGE, lambda at, size: -1, lambda at, size, value: 1)
    >>> processor = Processor(Memory(4 * PAGE, host.view[RAM:]))
    >>> tlb_for(host, processor, TranslationCache()).asked
    0
    """
    tlb = SoftTlb(host.view, processor, cache)
    if isinstance(host, KeepsPages):
        tlb.on_flush, tlb.on_guard = host.forget_pages, host.forget_writes
    return tlb
