"""Hot code through LLVM, all other through WebAssembly, on the same memory (S18).

To translate a region for WebAssembly takes milliseconds, with LLVM a tenth of a second. So code
runs in the wasm tier first. From time to time the host stops it after a **slice** of instructions
and looks where it stands: where a program is found, there it spends its time. The loop around that
place goes to LLVM, in another thread, while the program runs on; from then on it is entered
whenever execution comes by. A unit that is found again outside of its loops is compiled whole.

Machine code has a driver and a hash table of its own. What it cannot do it leaves to the wasm tier:
code that is not there, and the last few instructions before a timer's event, since it counts only
where loops begin (`virtlab.machine.translation.llvm`). Whichever runs, the result is the same.

The other thread makes code and touches nothing else: that it is done is seen here, the next time
the translator comes by, and if the unit has gone in the meantime, so has its code.
"""

from __future__ import annotations

import struct
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.layout import EIP, LEFT, RECIPE
from virtlab.machine.translation.llvm import LlvmFunction
from virtlab.machine.translation.llvm_code import Code, llvm
from virtlab.machine.translation.llvm_driver import Driver
from virtlab.machine.translation.llvm_loops import head_of, only
from virtlab.machine.translation.llvm_memory import Flat, Paged
from virtlab.machine.translation.tiers import EMPTY, MISSING, SLICE
from virtlab.machine.translation.wasm_host import WasmHost

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs, Recipe
    from virtlab.machine.translation.wasm import WasmFunction

__all__ = ["LlvmHost", "Region"]

FIRST, LATER = 500_000, 2_000_000  # instructions of a slice


@dataclass
class Region:
    """A unit: for WebAssembly, and what LLVM needs to do it again.

    Attributes
    ----------
    wasm
        As the wasm tier has it.
    graph, start
        Its nodes, and where it begins.
    codes
        Machine code, by the node where it is entered.
    awaited
        The same, while it is being made.
    met
        How often execution was found in it though its loop had been compiled.
    is_linked
        Whether it is where the guest's page tables say.

    Examples
    --------
    See `LlvmHost.compile`.
    """

    wasm: WasmFunction
    graph: Graph
    start: Key
    codes: dict[Key, Code] = field(default_factory=dict)
    awaited: dict[Key, Future[Code]] = field(default_factory=dict)
    met: int = 0
    is_linked: bool = False

    @property
    def recipes(self) -> list[Recipe]:
        """For flags that it does not compute."""
        return self.wasm.recipes

    @cached_property
    def shape(self) -> Shape:
        """Of its graph."""
        return Shape(self.graph, self.start)


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
        self._way = Paged() if mmu else Flat(ram_bytes)
        self.view, self.in_background = self._wasm.view, True
        self._regions: dict[int, Region] = {}
        self._gone: list[Code] = []
        self._slice = FIRST

    # --- code -------------------------------------------------------------------------------------

    def compile(
        self, graph: Graph, needs: dict[Key, Needs], start: Key, first_recipe: int
    ) -> Region:
        """Make a region's code, for WebAssembly at first.

        Parameters
        ----------
        graph, needs, start, first_recipe
            As `WasmFunction` takes them.

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
        wasm = self._wasm.compile(graph, needs, start, first_recipe)
        return Region(wasm, graph, start)

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
        slot = self._wasm.install(region.wasm)
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
        self._wasm.remove(slot)
        region = self._regions.pop(slot)
        for key, code in region.codes.items():
            self._driver.forget(key[0], code)
        self._gone += region.codes.values()  # one of them may be running at this moment
        for future in region.awaited.values():
            future.cancel()

    def jump_to(self, address: int, slot: int) -> None:
        """Let running code find a region, and all places where machine code of it is entered.

        Parameters
        ----------
        address
            Of the guest, where the region begins.
        slot
            Of the region.

        Examples
        --------
        See `compile`.
        """
        region = self._regions[slot]
        region.is_linked = True
        if not self.in_background and region.start not in region.codes:
            region.codes[region.start] = _compiled(region, None, self._driver.asks, self._way)
        for key, code in region.codes.items():
            self._driver.jump_to(key[0], code)
        if not self.knows(address):
            self._wasm.jump_to(address, slot)

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
        for region in self._regions.values():
            region.is_linked = False

    def knows(self, address: int) -> bool:
        """Return whether machine code begins at an address, in the middle of a region perhaps.

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
        return self._driver.knows(address)

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
            reason = self._driver.run(self.view)
            if reason not in (EMPTY, MISSING) or self._number(RECIPE):
                return reason  # flags are to be made first
            reason = self._as_wasm(is_empty=reason == EMPTY)
            if reason != MISSING or not self.knows(self._number(EIP)):
                return reason

    def _as_wasm(self, *, is_empty: bool) -> int:
        """Let the wasm tier go on, for a slice at most, or with what machine code has left over."""
        left, address = self._number(LEFT), self._number(EIP)
        lends = is_empty and self.knows(address)
        if lends:
            slot = next((k for k, r in self._linked() if r.start == (address, 0)), 0)
            self._wasm.jump_to(address, slot)
        size = min(left, self._slice) if self.in_background else left
        struct.pack_into("<i", self.view, LEFT, size)
        reason = self._wasm.enter()
        if lends:
            self._wasm.jump_to(address, 0)
        struct.pack_into("<i", self.view, LEFT, left - size + self._number(LEFT))
        if reason == EMPTY and size < left:
            self._slice = LATER
            self._found(self._number(EIP))
            return SLICE
        return reason

    def _number(self, place: int) -> int:
        return int(struct.unpack_from("<I", self.view, place)[0])

    def _linked(self) -> list[tuple[int, Region]]:
        return [(slot, region) for slot, region in self._regions.items() if region.is_linked]

    # --- what is hot ------------------------------------------------------------------------------

    def _found(self, address: int) -> None:
        """See that LLVM gets what is around a place where execution was found in the wasm tier."""
        key = (address, 0)
        region = next((r for _, r in self._linked() if key in r.shape.number), None)
        if region is None:
            return
        head = head_of(region.shape, key)
        if head is None or head in region.codes:
            region.met += 1
            head = region.start if region.met > 1 else None
        if head is None or head in region.codes or head in region.awaited:
            return
        part = None if head == region.start else head
        job = _worker().submit(_compiled, region, part, self._driver.asks, self._way)
        region.awaited[head] = job

    def _collect(self) -> None:
        """Take what LLVM has finished; give back what is not needed."""
        for region in self._regions.values():
            for key in [key for key, job in region.awaited.items() if job.done()]:
                region.codes[key] = region.awaited.pop(key).result()
                self._wasm.forget_jumps()  # what it has of this code is not to be entered again
                if region.is_linked:
                    self._driver.jump_to(key[0], region.codes[key])
        if not any(region.awaited for region in self._regions.values()):
            self._gone.clear()  # else LLVM is busy, and would let us wait


def _compiled(region: Region, head: Key | None, asks: tuple[int, int], way: Any) -> Code:
    """Compile a region, or the part of it that comes back to a node."""
    graph, start = region.graph, region.start
    if head is not None:
        graph, start = only(region.shape, head), head
    put_off = bool(region.recipes)  # or this pass of the translator's is switched off
    function = LlvmFunction(graph, start, asks, way, drop_dead=put_off)
    return llvm().code(function.text, "region")


@lru_cache(maxsize=1)
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "llvm")
