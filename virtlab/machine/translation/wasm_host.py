"""Where modules of WebAssembly live: places in a table, links, and what finds them (S18).

All modules share one memory (`virtlab.machine.translation.layout`) and one table of functions, and
a driver calls them (`virtlab.machine.translation.wasm_store`). So a guest may run for long without
Python; it comes back when a region is missing, or something has to be interpreted.

Needs `wasmtime`, of the extra `machine`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from virtlab.machine.translation.layout import JUMPS, LINKS, RAM, SLOTS
from virtlab.machine.translation.links import Exits, Links, direct_exits
from virtlab.machine.translation.tiers import DONE, EMPTY, FAULT, MISSING, SLICE, Purpose
from virtlab.machine.translation.wasm import FUNCTIONS, WasmFunction, wasm_module
from virtlab.machine.translation.wasm_memory import Flat, Paged
from virtlab.machine.translation.wasm_store import Instances
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs

__all__ = ["WasmHost"]

_REASONS = (DONE, FAULT, EMPTY, MISSING, SLICE)
_WORDS = (JUMPS - LINKS) // 4  # what is left by the reasons is for exits


class WasmHost:
    """Runs regions as WebAssembly.

    Parameters
    ----------
    ram_bytes
        The guest's memory.
    load, store
        What translated code asks when its TLB does not know a page.
    mmu
        Whether there is a TLB.

    Attributes
    ----------
    view
        The buffer.

    Raises
    ------
    InvalidInputError
        If `wasmtime` is not installed.

    Examples
    --------
    >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
    >>> host.enter() == MISSING, len(host.view) - RAM
    (True, 1048576)
    """

    name = "wasm"

    def __init__(
        self,
        ram_bytes: int,
        load: Callable[[int, int], int],
        store: Callable[[int, int, int], int],
        *,
        mmu: bool = True,
    ) -> None:
        self._ram_bytes, self._mmu = ram_bytes, mmu
        self._instances = Instances(RAM + ram_bytes, load, store)
        self.view = self._instances.view
        self._free = list(range(FUNCTIONS - 1, 0, -1))
        self._links = Links(self._write_link)
        self._exits = list(range(_WORDS - 1, len(_REASONS) - 1, -1))  # words that are free
        for reason in _REASONS:
            self._write_link(reason, -reason)
        self.forget_jumps()

    def _write_link(self, exit_: int, slot: int) -> None:
        struct.pack_into("<i", self.view, LINKS + 4 * exit_, slot)

    def compile(
        self,
        graph: Graph,
        needs: dict[Key, Needs],
        start: Key,
        first_recipe: int,
        purpose: Purpose | None = None,
    ) -> WasmFunction:
        """Make a region's code.

        Parameters
        ----------
        graph, needs, start, first_recipe
            As `WasmFunction` takes them.
        purpose
            What it will be run for.

        Returns
        -------
        WasmFunction
            Not yet installed.

        Examples
        --------
        See `install`.

        >>> from virtlab.machine.translation.lifting import Leave, Node
        >>> from virtlab.machine.translation.liveness import needs
        >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
        >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.compile(graph, needs(graph), (0, 0), 1).recipes
        []
        """
        purpose = purpose or Purpose(paged=self._mmu)
        way = Paged() if purpose.paged else Flat(self._ram_bytes, purpose.asks)
        exits = {}
        if purpose.chains:
            wanted = direct_exits(graph)[: len(self._exits)]
            exits = {address: self._exits.pop() for address in wanted}
        return WasmFunction(graph, needs, start, first_recipe, way, exits=exits, purpose=purpose)

    def install(self, function: WasmFunction) -> int:
        """Make a region's code ready to run.

        Parameters
        ----------
        function
            The region.

        Returns
        -------
        int
            Its place in the table.

        Raises
        ------
        InvalidInputError
            If the table is full.

        Examples
        --------
        >>> from virtlab.machine.translation.layout import EIP
        >>> from virtlab.machine.translation.lifting import Leave, Node
        >>> from virtlab.machine.translation.liveness import needs
        >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}  # to go on at 5
        >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.jump_to(0, host.install(WasmFunction(graph, needs(graph), (0, 0))))
        >>> host.enter() == MISSING, host.view[EIP]
        (True, 5)
        """
        if not self._free:
            raise InvalidInputError("translations", FUNCTIONS, f"at most {FUNCTIONS - 1} at a time")
        slot = self._free.pop()
        self._instances.put(slot, wasm_module([function]), asks=function.way.asks)
        self._links.add(slot, Exits(function.purpose.home, function.page, function.exits))
        return slot

    def remove(self, slot: int) -> None:
        """Give a place in the table back.

        Parameters
        ----------
        slot
            Which.

        Examples
        --------
        See `TranslationCache`: what it throws away is removed here.

        >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.remove(1)
        """
        exits = self._links.remove(slot)
        if exits is not None:
            self._exits += exits.places.values()
        self._instances.take(slot)
        self._free.append(slot)

    def jump_to(self, address: int, slot: int, *, chain: bool = True) -> None:
        """Let the driver find a region at an address, and link exits that lead there.

        Parameters
        ----------
        address
            Of the guest.
        slot
            Place in the table; 0 if the address is to lead nowhere.
        chain
            Whether exits that lead there are linked now.

        Examples
        --------
        See `install`.

        >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.jump_to(0x1000, 0)
        """
        at = JUMPS + 8 * ((address ^ address >> 12) % SLOTS)
        struct.pack_into("<II", self.view, at, address, slot)
        if slot and chain:
            self._links.lead(address, slot)
        elif not slot:
            self._links.unlink(address)

    def unlink(self, address: int) -> None:
        """Undo links to an address: something better than WebAssembly is there.

        Parameters
        ----------
        address
            Of the guest.

        Examples
        --------
        >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.unlink(0x1000)
        """
        self._links.unlink(address)

    def forget_jumps(self) -> None:
        """Let the driver find nothing, and no exit lead to another page.

        Examples
        --------
        >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.forget_jumps()
        >>> host.enter() == MISSING
        True
        """
        self.view[JUMPS : JUMPS + 8 * SLOTS] = bytes(8 * SLOTS)
        self._links.forget()

    def knows(self, address: int) -> bool:  # noqa: ARG002 (its units are entered at their start)
        """Return whether it can go on in the middle of a unit.

        Parameters
        ----------
        address
            Of the guest.

        Returns
        -------
        bool
            No.

        Examples
        --------
        >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.knows(0x1000)
        False
        """
        return False

    def enter(self) -> int:
        """Run from EIP until something is missing or to be done.

        Returns
        -------
        int
            Why it came back: `MISSING`, or as regions do.

        Examples
        --------
        See `install`.

        >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.enter()
        3
        """
        return self._instances.run()
