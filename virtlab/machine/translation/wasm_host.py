"""Where modules of WebAssembly live and run: wasmtime, a memory, a table, and a driver (S18).

All modules share one memory (`virtlab.machine.translation.layout`) and one table of functions. The
driver is a module too: it looks up EIP in the hash table `JUMPS`, calls the function that the table
has for it, and when that comes back looks up where to go next; or it calls what a linked exit leads
to (`virtlab.machine.translation.links`). So a guest may run for long without Python; it comes back
when a region is missing, or something has to be interpreted.

Needs `wasmtime`, of the extra `machine`.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any

from virtlab.machine.translation.layout import CHAINED, EIP, HASHED, JUMPS, LINKS, RAM, SLOTS
from virtlab.machine.translation.links import Exits, Links, direct_exits
from virtlab.machine.translation.tiers import DONE, EMPTY, FAULT, MISSING, SLICE, Purpose
from virtlab.machine.translation.wasm import FUNCTIONS, TABLE, WasmFunction, wasm_module
from virtlab.machine.translation.wasm_code import (
    I32,
    block_of,
    constant,
    local_get,
    local_set,
    local_tee,
    module,
    unsigned_leb,
)
from virtlab.machine.translation.wasm_memory import Flat, Paged
from virtlab.machine.translation.wasm_values import END, operator
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs

__all__ = ["WasmHost", "driver"]

_WASM_PAGE = 65536
_LOAD, _STORE, _BR, _BR_IF = b"\x28\x02", b"\x36\x02", b"\x0c", b"\x0d"
_CALL_TABLE = b"\x11\x00\x00"  # what the table has there
_REASONS = (DONE, FAULT, EMPTY, MISSING, SLICE)
_WORDS = (JUMPS - LINKS) // 4  # what is left by the reasons is for exits


def driver() -> bytes:
    r"""Return the driver's module.

    Returns
    -------
    bytes
        It wants 'memory' and 'table'.

    Examples
    --------
    >>> driver()[:4]
    b'\x00asm'
    """
    eip, slot, next_, found, called = range(5)
    hashed = local_get(eip) + constant(12) + operator("shr_u", 4) + local_get(eip)
    hashed += operator("xor", 4) + constant(SLOTS - 1) + operator("and", 4)
    other = local_get(slot) + _LOAD + unsigned_leb(JUMPS) + local_get(eip) + operator("ne", 4)
    code = block_of("block") + block_of("loop")
    code += constant(0) + _LOAD + unsigned_leb(EIP) + local_set(eip)
    code += hashed + constant(3) + operator("shl", 4) + local_set(slot)
    code += other + block_of("if") + constant(-MISSING) + local_set(next_) + _BR + b"\x02" + END
    code += _more(found) + local_get(slot) + _LOAD + unsigned_leb(JUMPS + 4) + local_set(next_)
    called_one = local_get(next_) + _CALL_TABLE + local_tee(next_)
    code += block_of("loop") + _more(called) + constant(0) + called_one + operator("lt_s", 4)
    code += _BR_IF + b"\x00" + END  # along a link
    code += local_get(next_) + constant(DONE) + operator("eq", 4) + _BR_IF + b"\x00" + END + END
    code += _count(CHAINED, local_get(called) + local_get(found) + operator("sub", 4))
    ever = (
        local_get(found) + constant(0) + operator("ne", 4)
    )  # nobody came from code the first time
    code += _count(HASHED, local_get(found) + ever + operator("sub", 4))
    code += constant(0) + local_get(next_) + operator("sub", 4) + END
    missing = constant(-MISSING) + END
    bodies = [((I32,) * 5, code), ((), missing)]
    imports = [("memory", b"\x02\x00\x01"), TABLE]
    return module([((), (I32,))], imports, bodies, of_type=0, first=0)


def _more(local: int) -> bytes:
    """Count one."""
    return local_get(local) + constant(1) + operator("add", 4) + local_set(local)


def _count(offset: int, more: bytes) -> bytes:
    """Add to what is counted in memory."""
    before = constant(0) + _LOAD + unsigned_leb(offset)
    return constant(0) + before + more + operator("add", 4) + _STORE + unsigned_leb(offset)


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
        self._wasmtime = wasmtime = _wasmtime()
        self._engine = wasmtime.Engine()
        self._store = wasmtime.Store(self._engine)
        pages = -(-(RAM + ram_bytes) // _WASM_PAGE)
        limits = wasmtime.Limits(pages, pages)
        memory = wasmtime.Memory(self._store, wasmtime.MemoryType(limits))
        self.view = _view_of(memory, self._store, RAM + ram_bytes)
        i32, i64 = wasmtime.ValType.i32(), wasmtime.ValType.i64()
        load_type = wasmtime.FuncType([i32, i32], [i64])
        store_type = wasmtime.FuncType([i32, i32, i64], [i32])
        self._imports = [
            wasmtime.Func(self._store, load_type, load),
            wasmtime.Func(self._store, store_type, store),
            memory,
        ]
        kind = wasmtime.TableType(wasmtime.ValType.funcref(), wasmtime.Limits(FUNCTIONS, FUNCTIONS))
        self._table = wasmtime.Table(self._store, kind, None)
        exports = self._instance(driver(), [memory, self._table])
        self._run = exports["f0"]
        self._table.set(self._store, 0, exports["f1"])
        self._free = list(range(FUNCTIONS - 1, 0, -1))
        self._links = Links(self._write_link)
        self._exits = list(range(_WORDS - 1, len(_REASONS) - 1, -1))  # words that are free
        for reason in _REASONS:
            self._write_link(reason, -reason)
        self.forget_jumps()

    def _instance(self, code: bytes, imports: list[Any]) -> Any:
        module_ = self._wasmtime.Module(self._engine, code)
        return self._wasmtime.Instance(self._store, module_, imports).exports(self._store)

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
        imports = self._imports if function.way.asks else self._imports[-1:]
        exports = self._instance(wasm_module([function]), imports)
        self._table.set(self._store, slot, exports["f0"])
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
        self._table.set(self._store, slot, None)
        self._free.append(slot)

    def jump_to(self, address: int, slot: int) -> None:
        """Let the driver find a region at an address, and link exits that lead there.

        Parameters
        ----------
        address
            Of the guest.
        slot
            Place in the table; 0 if the address is to lead nowhere.

        Examples
        --------
        See `install`.

        >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.jump_to(0x1000, 0)
        """
        at = JUMPS + 8 * ((address ^ address >> 12) % SLOTS)
        self.view[at : at + 8] = struct.pack("<II", address, slot)
        if slot:
            self._links.lead(address, slot)
        else:
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
        return int(self._run(self._store))


def _view_of(memory: Any, store: Any, size: int) -> memoryview:
    address = ctypes.addressof(memory.data_ptr(store).contents)
    array: Any = (ctypes.c_ubyte * size).from_address(address)
    array.of = store, memory  # the bytes are there for as long as someone looks at them
    return memoryview(array).cast("B")


def _wasmtime() -> Any:
    try:
        import wasmtime
    except ModuleNotFoundError as error:
        allowed = "installed: the extra virtlab[machine] brings it"
        raise InvalidInputError("wasmtime", "missing", allowed) from error
    return wasmtime
