"""Hot code through LLVM, all other through WebAssembly, on the same memory (S18).

To translate a region for WebAssembly takes milliseconds, with LLVM a tenth of a second. So code
runs in the wasm tier first. From time to time the host stops it, after a **slice** of instructions,
and looks where it stands: where a program is found, there it spends its time. The loop around that
place goes to LLVM when as much time has been spent in it as compiling it will take: whatever comes
then, no more than half of all time is lost. LLVM works in another thread while the program runs on;
from then on the loop is entered whenever execution comes by.

A wasm function is entered at its start only, so where it was stopped nothing can go on. For the
loop it stood in it gets a second function that begins with the loop; to there the interpreter goes.
If LLVM has that code already, perhaps for another region, its functions are made again, to be left
where machine code begins: else it would go round in a copy of its own.

Machine code has a driver and a hash table of its own. What it cannot do it leaves to the wasm tier:
code that is not there, and the last few instructions before a timer's event, since it counts only
where loops begin (`virtlab.machine.translation.llvm`). Whichever runs, the result is the same.

The other thread makes code and touches nothing else: that it is done is seen here, the next time
the translator comes by, and if the unit has gone in the meantime, so has its code.

Source, for when to compile: Karlin and others, "Competitive Snoopy Caching" (1988), section 2.
"""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING

from virtlab.machine.translation.layout import EIP, JUMPS, LEFT, RECIPE, SLOTS
from virtlab.machine.translation.llvm_driver import Driver
from virtlab.machine.translation.llvm_region import Region, compiled, recipe_of, way_of
from virtlab.machine.translation.llvm_visits import Visits, led_to, place_of
from virtlab.machine.translation.tiers import EMPTY, MISSING, SLICE
from virtlab.machine.translation.wasm_host import WasmHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs
    from virtlab.machine.translation.llvm_code import Code
    from virtlab.machine.translation.tiers import Purpose

__all__ = ["LlvmHost"]

SHORTEST, WAITING, LONGEST = 4_000_000, 8_000_000, 32_000_000  # instructions of a slice
_LEAST = 1000  # that a slice may come short of
_OTHERS = 0.25  # part of that, for what is compiled because it leads to other code that is
WORTH = 250_000  # instructions that the wasm tier does while LLVM compiles one


class LlvmHost:
    """Runs hot regions as machine code, and others as WebAssembly.

    Parameters
    ----------
    ram_bytes, load, store, mmu
        As `WasmHost` takes them.

    Attributes
    ----------
    view
        The buffer.
    in_background
        Whether LLVM works in a thread of its own, on what is found to be hot. If not, each region
        is compiled at once when it is first run.

    Raises
    ------
    InvalidInputError
        If `llvmlite` or `wasmtime` is not installed.

    Examples
    --------
    >>> host = LlvmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
    >>> host.name, host.in_background, host.enter() == MISSING
    ('llvm', True, True)
    """

    name = "llvm"

    def __init__(
        self,
        ram_bytes: int,
        load: Callable[[int, int], int],
        store: Callable[[int, int, int], int],
        *,
        mmu: bool = True,
    ) -> None:
        self._driver = Driver(load, store)
        self._wasm = WasmHost(ram_bytes, load, store, mmu=mmu)
        self._ram_bytes = ram_bytes
        self.view, self.in_background = self._wasm.view, True
        self._regions: dict[int, Region] = {}
        self._linked: dict[int, Region] = {}  # those that are where the page tables say
        self._waiting: dict[int, Region] = {}  # those that LLVM works for
        self._gone: list[Code] = []
        self._aside: set[Code] = set()  # what is not entered until other code has been made
        self._slice, self._since, self._visits = SHORTEST, 0, Visits()

    # --- code -------------------------------------------------------------------------------------

    def compile(
        self,
        graph: Graph,
        needs: dict[Key, Needs],
        start: Key,
        first_recipe: int,
        purpose: Purpose | None = None,
    ) -> Region:
        """Make a region's code, for WebAssembly at first.

        Parameters
        ----------
        graph, needs, start, first_recipe, purpose
            As `WasmHost.compile` takes them.

        Returns
        -------
        Region
            Not yet installed.

        Examples
        --------
        >>> from virtlab.machine.translation.lifting import Leave, Node
        >>> from virtlab.machine.translation.liveness import needs
        >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}  # to go on at 5
        >>> host = LlvmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.in_background = False
        >>> host.jump_to(0, host.install(host.compile(graph, needs(graph), (0, 0), 1)))
        >>> host.knows(0), host.knows(5), host.enter() == MISSING, host.view[EIP]
        (True, False, True, 5)
        """
        wasm = self._wasm.compile(graph, needs, start, first_recipe, purpose)
        return Region(wasm, graph, needs, start, first_recipe)

    def install(self, region: Region) -> int:
        """Make a region ready to run.

        Parameters
        ----------
        region
            What `compile` made.

        Returns
        -------
        int
            Its slot.

        Examples
        --------
        See `compile`.
        """
        region.slots[region.start] = slot = self._wasm.install(region.wasm)
        self._regions[slot] = region
        return slot

    def remove(self, slot: int) -> None:
        """Forget a region and its code; what is being made of it is not used any more.

        Parameters
        ----------
        slot
            Which.

        Examples
        --------
        See `TranslationCache`: what it throws away is removed here.
        """
        region = self._regions.pop(slot)
        self._linked.pop(slot, None)
        self._waiting.pop(slot, None)
        for one in region.slots.values():
            self._wasm.remove(one)
        for key, code in region.codes.items():
            self._driver.forget(region.address(key), code)
        self._gone += set(region.codes.values())  # one of them may be running at this moment
        for future in region.awaited.values():
            future.cancel()

    def jump_to(self, address: int, slot: int, *, chain: bool = True) -> None:
        """Let running code find a region, and all places where machine code of it is entered.

        Parameters
        ----------
        address
            Of the guest, where the region begins.
        slot
            Of the region.
        chain
            Whether exits that lead there are linked now.

        Examples
        --------
        See `compile`.
        """
        region = self._linked[slot] = self._regions[slot]
        region.entry = address
        if not self.in_background and region.start not in region.codes:
            asks, way = self._driver.asks, way_of(region, self._ram_bytes)
            region.codes[region.start] = compiled(region, region.start, asks, way, now=True)[0]
        self._link(region, chain=chain)

    def _link(self, region: Region, *, chain: bool = True) -> None:
        """Let machine code be found, and the wasm tier where there is none."""
        for key, code in region.codes.items():
            if code not in region.given_up:
                self._driver.jump_to(region.address(key), code)
                self._wasm.unlink(region.address(key))
        for key, slot in region.slots.items():
            if not self._driver.knows(region.address(key)):
                self._wasm.jump_to(region.address(key), slot, chain=chain)

    def forget_jumps(self) -> None:
        """Let running code find nothing.

        Examples
        --------
        >>> host = LlvmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.forget_jumps()
        >>> host.enter() == MISSING
        True
        """
        self._wasm.forget_jumps()
        self._driver.forget_all()
        self._linked.clear()

    def knows(self, address: int) -> bool:
        """Return whether code begins at an address, in the middle of a region perhaps.

        Parameters
        ----------
        address
            Of the guest.

        Returns
        -------
        bool
            If so, `enter` will find it.

        Examples
        --------
        See `compile`.
        """
        at = JUMPS + 8 * ((address ^ address >> 12) % SLOTS)
        whose, slot = struct.unpack_from("<II", self.view, at)
        return bool(whose == address and slot) or self._driver.knows(address)

    # --- running ----------------------------------------------------------------------------------

    def enter(self) -> int:
        """Run from EIP until something is missing or to be done.

        Returns
        -------
        int
            Why it came back.

        Examples
        --------
        See `compile`.
        """
        self._collect()
        while True:
            reason = self._as_machine_code()
            if reason not in (EMPTY, MISSING):
                return reason
            before = self._number(LEFT)
            reason = self._as_wasm(is_empty=reason == EMPTY)
            goes_on = before != self._number(LEFT) and self._driver.knows(self._number(EIP))
            if reason != MISSING or not goes_on:
                return reason

    def _as_machine_code(self) -> int:
        """Let machine code run; give it up if it often comes back after a few instructions."""
        address, before = self._number(EIP), self._number(LEFT)
        try:
            reason = self._driver.run(self.view)
        finally:
            if number := self._number(RECIPE):
                recipe_of(number).follow(self.view)
        done = before - self._number(LEFT)
        end = self._number(EIP)
        if reason == MISSING and done and self._visits.are_too_short(address, done, end):
            self._leads_away(address)
        return reason

    def _leads_away(self, address: int) -> None:
        """See to machine code that soon leads to the wasm tier: compile that too, or give it up."""
        others = led_to(self._linked.values(), self._visits.ends(address))
        if others and not self._waiting:
            if not any(self._pays(region, region.start) for region in others):
                return
            for region in others:
                if self._pays(region, region.start, _OTHERS):
                    self._submit(region, region.start)
        for region in self._linked.values():
            for at, code in region.give_up(address).items():
                self._driver.forget(at, code)
                self._aside |= {code} if self._waiting else set()
            self._link(region)
        self._leave_for_code([one for one in self._linked.values() if one.leaves])

    def _as_wasm(self, *, is_empty: bool) -> int:
        """Let the wasm tier go on, for a slice at most, or with what machine code has left over."""
        left, address = self._number(LEFT), self._number(EIP)
        lends = is_empty and self._driver.knows(address)
        if lends:
            self._wasm.jump_to(address, self._slot_at((address, 0)))
        least = min(_LEAST, self._slice)
        size = min(left, max(self._slice - self._since, least)) if self.in_background else left
        struct.pack_into("<i", self.view, LEFT, size)
        reason = self._wasm.enter()
        if lends:
            self._wasm.jump_to(address, 0)
        unused = self._number(LEFT)
        struct.pack_into("<i", self.view, LEFT, left - size + unused)
        self._since += size - unused
        if reason == EMPTY and self.in_background and self._since >= self._slice - least:
            self._found(self._number(EIP))
        return SLICE if reason == EMPTY and size < left else reason

    def _slot_at(self, key: Key) -> int:
        """Return the wasm tier's function that begins at a node; make it if there is none."""
        around = [one for one in self._linked.values() if key in one.shape.number]
        if not around:
            return 0
        region = min(around, key=lambda one: key not in one.slots)
        self._open(region, key)
        return region.slots[key]

    def _number(self, place: int) -> int:
        return int.from_bytes(self.view[place : place + 4], "little")

    # --- what is hot ------------------------------------------------------------------------------

    def _found(self, address: int) -> None:
        """See what is to be done where execution was found after a slice of wasm."""
        around = [one for one in self._linked.values() if (address, 0) in one.shape.number]
        region, head = place_of(around, address)
        if region is not None and not self._leave_for_code(around):
            self._open(region, head)
            region.spent[head] += self._since
            if head not in region.codes and not self._waiting and self._pays(region, head):
                self._submit(region, head)
        self._slice, self._since = min(2 * self._slice, WAITING if self._waiting else LONGEST), 0

    def _open(self, region: Region, head: Key) -> None:
        """Let the wasm tier be entered where a loop begins."""
        if head not in region.slots:
            region.open(self._wasm, head)
            self._link(region)

    def _leave_for_code(self, regions: Iterable[Region]) -> bool:
        """Let wasm functions be left where machine code begins; return whether any is new."""
        changed = [region for region in regions if region.leaves_where(self._driver.knows)]
        for region in changed:
            region.open(self._wasm, *region.slots)
            self._link(region)
        return bool(changed)

    def _pays(self, region: Region, key: Key, part: float = 1) -> bool:
        """Return whether as much was spent as compiling takes, or a part of it."""
        size = sum(node.count for node in region.part(key).values())
        return region.spent[key] >= part * WORTH * size

    def _submit(self, region: Region, key: Key) -> None:
        """Let LLVM compile what is around a place, in its thread."""
        way = way_of(region, self._ram_bytes)
        region.awaited[key] = _worker().submit(compiled, region, key, self._driver.asks, way)
        self._waiting[region.slots[region.start]] = region

    def _collect(self) -> None:
        """Take what LLVM has finished; give back what is not needed; look at no other region."""
        arrived = False
        for slot, region in list(self._waiting.items()):
            for key in [key for key, job in region.awaited.items() if job.done()]:
                code, entries = region.awaited.pop(key).result()
                region.codes |= dict.fromkeys(entries, code)
                arrived = True
            if not region.awaited:
                del self._waiting[slot]
        if self._aside and not self._waiting:
            for region in self._regions.values():
                region.given_up -= self._aside
            self._aside, arrived = set(), True
        if arrived:  # what the wasm tier has of this code is not to be entered again
            self._wasm.forget_jumps()
            for region in self._linked.values():
                self._link(region)
        if not self._waiting:
            self._gone.clear()  # else LLVM is busy, and would let us wait


@lru_cache(maxsize=1)
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "llvm")
