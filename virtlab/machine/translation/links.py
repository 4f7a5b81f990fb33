"""Direct chaining: an exit that always leads to the same address leads on without a look-up (S18).

A unit ends where its code leaves it. Where it goes on is known beforehand for a jump, a branch, a
call, and for what comes after the unit: a **direct** exit. Each has a **slot**: empty at first, and
whoever finds it empty looks the address up in a hash table. As soon as there is a translation for
the address the slot says which: the exit is **linked**, and from then on execution goes there at
once. A return, or a jump through a register, is looked up each time.

A link is a promise that the address still means this translation. Within one page it is kept as
long as both are there: execution that is in one is on the page of the other. To another page it
holds only until page tables, segments or the processor's mode change: then these links are
undone, as the hash table is emptied; the next look-up sets them anew.

QEMU calls this `goto_tb`; Bugnion, Nieh and Tsafrir (2017), section 3.2.4, chaining.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from virtlab.machine.memory import PAGE
from virtlab.machine.translation.lifting import Leave

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from virtlab.machine.translation.lifting import Graph

__all__ = ["Exits", "Links", "direct_exits"]

Place = TypeVar("Place")


def direct_exits(graph: Graph) -> list[int]:
    """Return where a unit goes on if it leaves by a direct exit.

    Parameters
    ----------
    graph
        Of the unit.

    Returns
    -------
    list
        Addresses, in order, each once.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Indirect, Node
    >>> nodes = {(0, 0): Node((0, 0), end=Leave(5)), (1, 0): Node((1, 0), end=Indirect(None, ()))}
    >>> direct_exits(nodes)
    [5]
    """
    return sorted({node.end.address for node in graph.values() if isinstance(node.end, Leave)})


class Exits(NamedTuple, Generic[Place]):
    """The direct exits of a unit.

    Attributes
    ----------
    home
        What the unit was made for: (physical page, and all else that a unit is found by).
    page
        Its linear page.
    places
        Where the slot of each is kept, by the address that it leads to.
    """

    home: tuple[Hashable, ...]
    page: int
    places: Mapping[int, Place]


class Links(Generic[Place]):
    """Which exit leads to which unit.

    Parameters
    ----------
    write
        Called with an exit's place and the unit's number that is to be there from now on, or 0.

    Examples
    --------
    Unit 1 has exits to 0x1010 and to 0x2000; unit 2 is at 0x1010, on the same page.

    >>> slots = {}
    >>> links = Links(slots.__setitem__)
    >>> links.add(1, Exits((1, 63), 1, {0x1010: "near", 0x2000: "far"}))
    >>> links.add(2, Exits((1, 63), 1, {}))
    >>> links.add(3, Exits((2, 63), 2, {}))
    >>> links.lead(0x1010, 2)
    >>> links.lead(0x2000, 3)
    >>> slots
    {'near': 2, 'far': 3}
    >>> links.forget()  # a page table may have changed
    >>> slots
    {'near': 2, 'far': 0}
    >>> _ = links.remove(2)
    >>> slots
    {'near': 0, 'far': 0}
    """

    def __init__(self, write: Callable[[Place, int], object]) -> None:
        self._write = write
        self._units: dict[int, Exits[Place]] = {}
        self._waiting: defaultdict[int, dict[Place, int]] = defaultdict(dict)  # of which unit
        self._known: dict[int, int] = {}  # which unit an address means now
        self._meant: defaultdict[int, set[int]] = defaultdict(set)  # the same by unit
        self._to: defaultdict[int, set[Place]] = defaultdict(set)  # links by where they lead
        self._across: set[Place] = set()  # of these, to other pages
        self._leads: dict[Place, int] = {}

    def add(self, unit: int, exits: Exits[Place]) -> None:
        """Take a unit in, and link its exits to what is known.

        Parameters
        ----------
        unit
            Its number, not 0.
        exits
            Its exits.

        Examples
        --------
        See the class.
        """
        self._units[unit] = exits
        for address, place in exits.places.items():
            self._waiting[address][place] = unit
            if address in self._known:
                self._link(address, place, unit)

    def lead(self, address: int, unit: int) -> None:
        """Link all exits to an address.

        Parameters
        ----------
        address
            Of the guest.
        unit
            The translation that it means now; 0 if it means none.

        Examples
        --------
        See the class.
        """
        if self._known.get(address, 0) == unit:
            return
        self._mean(address, unit)
        for place, source in self._waiting.get(address, {}).items():
            self._link(address, place, source)

    def _mean(self, address: int, unit: int) -> None:
        self._meant[self._known.pop(address, 0)].discard(address)
        if unit:
            self._known[address] = unit
            self._meant[unit].add(address)

    def _link(self, address: int, place: Place, source: int) -> None:
        unit = self._known.get(address, 0)
        here, there = self._units[source], self._units.get(unit)
        stays = here.page == address // PAGE
        fits = there is not None and here.home[not stays :] == there.home[not stays :]
        self._set(place, unit if fits else 0)
        if fits and not stays:
            self._across.add(place)

    def _set(self, place: Place, unit: int) -> None:
        before = self._leads.pop(place, 0)
        if before != unit:
            self._to[before].discard(place)
            self._write(place, unit)
        self._across.discard(place)
        if unit:
            self._leads[place] = unit
            self._to[unit].add(place)

    def forget(self) -> None:
        """Undo what leads to another page: what an address means is not known any more.

        Examples
        --------
        See the class.
        """
        self._known.clear()
        self._meant.clear()
        for place in list(self._across):
            self._set(place, 0)

    def unlink(self, address: int) -> None:
        """Undo all links to an address, though its translation is still there.

        Parameters
        ----------
        address
            Of the guest.

        Examples
        --------
        >>> slots = {}
        >>> links = Links(slots.__setitem__)
        >>> links.add(1, Exits((1,), 1, {0x1000: "itself"}))
        >>> links.lead(0x1000, 1)
        >>> links.unlink(0x1000)
        >>> slots
        {'itself': 0}
        """
        self._mean(address, 0)
        for place in self._waiting.get(address, ()):
            self._set(place, 0)

    def remove(self, unit: int) -> Exits[Place] | None:
        """Undo all links to and from a unit, and forget it.

        Parameters
        ----------
        unit
            Its number.

        Returns
        -------
        Exits or None
            Its exits, whose places are free now; None if it is not known.

        Examples
        --------
        See the class.
        """
        exits = self._units.pop(unit, None)
        if exits is None:
            return None
        for address, place in exits.places.items():
            self._set(place, 0)
            self._waiting[address].pop(place)
            if not self._waiting[address]:
                del self._waiting[address]
        for place in list(self._to.pop(unit, ())):
            self._set(place, 0)
        for address in self._meant.pop(unit, ()):
            del self._known[address]
        return exits
