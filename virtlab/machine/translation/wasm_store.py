r"""Where instances of WebAssembly live: stores of wasmtime, one after another (S18).

A store gives nothing back before it goes itself: each function that was thrown away stays in it,
with a piece of memory of its own, and after some ten thousand wasmtime makes no more. A guest that
changes itself often, or needs more code than the cache holds, gets there. So when most of what a
store holds is not needed any more, what is needed moves to a new store. It was compiled already,
and compiling takes most of the time. The guest's RAM does not move: it is a memory that can be
shared between stores, and belongs to none.

The driver is a module too: it looks up EIP in the hash table `JUMPS`, calls the function that the
table has for it, and when that comes back looks up where to go next; or it calls what a linked exit
leads to (`virtlab.machine.translation.links`). The first places of the table it calls by their
numbers, each at a jump of its own.

Needs `wasmtime`, of the extra `machine`.
"""

from __future__ import annotations

import atexit
import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any

from virtlab.machine.translation.layout import CHAINED, EIP, HASHED, JUMPS, SLOTS
from virtlab.machine.translation.tiers import DONE, MISSING
from virtlab.machine.translation.wasm import FUNCTIONS, MEMORY, TABLE
from virtlab.machine.translation.wasm_calls import Imported, caught, without_arguments
from virtlab.machine.translation.wasm_code import (
    I32,
    block_of,
    constant,
    local_get,
    local_set,
    module,
    unsigned_leb,
)
from virtlab.machine.translation.wasm_values import END, operator
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_DEAD", "Instances", "driver"]

MOST_DEAD = 2000  # instances that may lie about
_WASM_PAGE = 65536
_LOAD, _STORE, _BR, _BR_IF = b"\x28\x02", b"\x36\x02", b"\x0c", b"\x0d"
_FORETOLD = 64  # places of the table that are called by number
_BR_TABLE = b"\x0e"
_CALL_TABLE = b"\x11\x00\x00"  # what the table has there


class Instances:
    """Functions by their places in a table, the driver that calls them, and the memory.

    Parameters
    ----------
    size
        Of the memory, in bytes.
    load, store
        What translated code asks when it does not reach a page.

    Attributes
    ----------
    view
        The memory.

    Raises
    ------
    InvalidInputError
        If `wasmtime` is not installed.

    Examples
    --------
    >>> from virtlab.machine.translation.layout import RAM
    >>> code = module([((), (I32,))], [MEMORY], [((), constant(-2) + END)], of_type=0, first=0)
    >>> instances = Instances(RAM, lambda address, size: -1, lambda address, size, value: 1)
    >>> instances.put(5, code, asks=False)
    >>> instances.view[JUMPS + 4] = 5  # what is at address 0
    >>> instances.run()
    2
    """

    def __init__(
        self,
        size: int,
        load: Callable[[int, int], int],
        store: Callable[[int, int, int], int],
    ) -> None:
        self._wasmtime = wasmtime = _wasmtime()
        self._engine, self._driver = _engine()
        self._errors: list[BaseException] = []
        self._asked = (
            Imported(caught(load, -1, self._errors), ("i32", "i32"), "i64"),
            Imported(caught(store, 1, self._errors), ("i32", "i32", "i64"), "i32"),
        )
        pages = -(-size // _WASM_PAGE)
        kind = wasmtime.MemoryType(wasmtime.Limits(pages, pages), shared=True)
        self._memory = _shared_memory(wasmtime)(self._engine, kind)
        self.view = _view_of(self._memory, size)
        self._modules: dict[int, tuple[Any, bool]] = {}
        self._move()

    def put(self, slot: int, code: bytes, *, asks: bool) -> None:
        """Make the first function of a module ready to run.

        Parameters
        ----------
        slot
            Its place in the table, from 1.
        code
            The module.
        asks
            Whether it wants 'load' and 'store'.

        Examples
        --------
        See `Instances`.
        """
        self._modules[slot] = self._wasmtime.Module(self._engine, code), asks
        if self._made > 2 * len(self._modules) + MOST_DEAD:
            self._move()
        else:
            self._place(slot)

    def take(self, slot: int) -> None:
        """Throw a function away.

        Parameters
        ----------
        slot
            Where it was.

        Examples
        --------
        >>> from virtlab.machine.translation.layout import RAM
        >>> instances = Instances(RAM, lambda address, size: -1, lambda address, size, value: 1)
        >>> instances.take(1)
        """
        self._modules.pop(slot, None)
        self._table.set(self._store, slot, None)

    def run(self) -> int:
        """Run from EIP until something is missing or to be done.

        Returns
        -------
        int
            Why it came back.

        Examples
        --------
        >>> from virtlab.machine.translation.layout import RAM
        >>> Instances(RAM, lambda address, size: -1, lambda address, size, value: 1).run()
        3
        """
        reason = self._run()
        if self._errors:
            raise self._errors.pop()
        return reason

    def _move(self) -> None:
        """Begin a store with what is needed; the one before goes when nobody holds it."""
        wasmtime = self._wasmtime
        self._store = wasmtime.Store(self._engine)
        self._store.set_limits(instances=4 * FUNCTIONS)
        self._imports = [asked.function(self._store) for asked in self._asked] + [self._memory]
        kind = wasmtime.TableType(wasmtime.ValType.funcref(), wasmtime.Limits(FUNCTIONS, FUNCTIONS))
        self._table = wasmtime.Table(self._store, kind, None)
        imports = [self._memory, self._table]
        exports = wasmtime.Instance(self._store, self._driver, imports).exports(self._store)
        self._run = without_arguments(self._store, exports["f0"])
        self._table.set(self._store, 0, exports["f1"])
        self._made = 1
        for slot in self._modules:
            self._place(slot)

    def _place(self, slot: int) -> None:
        code, asks = self._modules[slot]
        imports = self._imports if asks else self._imports[-1:]
        exports = self._wasmtime.Instance(self._store, code, imports).exports(self._store)
        self._table.set(self._store, slot, exports["f0"])
        self._made += 1


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
    code += block_of("loop") + _more(called) + _call(next_)
    code += constant(0) + local_get(next_) + operator("lt_s", 4)
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
    return module([((), (I32,))], [MEMORY, TABLE], bodies, of_type=0, first=0)


def _call(local: int) -> bytes:
    """Call what the table has at a place, and put there what it returns.

    A function finds the memory by what the table says of it. So a processor could not begin with
    the next function before it has loaded where to go on and, from there, where that is: four loads
    one after another. Behind a jump that it can foretell it need not wait: the place is a constant.
    """
    table = b"".join(unsigned_leb(at) for at in range(_FORETOLD))
    code = block_of("block") * (_FORETOLD + 2) + local_get(local)
    code += _BR_TABLE + unsigned_leb(_FORETOLD) + table + unsigned_leb(_FORETOLD) + END
    for at in range(_FORETOLD):
        called = constant(at) + _CALL_TABLE + local_set(local)
        code += called + _BR + unsigned_leb(_FORETOLD - at) + END
    return code + local_get(local) + _CALL_TABLE + local_set(local) + END


def _more(local: int) -> bytes:
    """Count one."""
    return local_get(local) + constant(1) + operator("add", 4) + local_set(local)


def _count(offset: int, more: bytes) -> bytes:
    """Add to what is counted in memory."""
    before = constant(0) + _LOAD + unsigned_leb(offset)
    return constant(0) + before + more + operator("add", 4) + _STORE + unsigned_leb(offset)


def _view_of(memory: Any, size: int) -> memoryview:
    address = ctypes.addressof(memory.data_ptr().contents)
    array: Any = (ctypes.c_ubyte * size).from_address(address)
    array.of = memory  # the bytes are there for as long as someone looks at them
    return memoryview(array).cast("B")


def _shared_memory(wasmtime: Any) -> Any:
    """Return wasmtime's class, whose memory no instance could import as of release 50."""

    class SharedMemory(wasmtime.SharedMemory):  # type: ignore[misc]
        def _as_extern(self) -> Any:
            ffi = wasmtime._ffi  # noqa: SLF001 (it takes a pointer to the pointer that it wants)
            union = ffi.wasmtime_extern_union(sharedmemory=self.ptr())
            return ffi.wasmtime_extern_t(ffi.WASMTIME_EXTERN_SHAREDMEMORY, union)

    return SharedMemory


@cache
def _engine() -> tuple[Any, Any]:
    """Return what compiles modules, and the driver: compiling it takes milliseconds, so once."""
    wasmtime = _wasmtime()
    config = wasmtime.Config()
    config.shared_memory = True
    config.parallel_compilation = False  # of modules with one function: there is nothing to share
    engine = wasmtime.Engine(config)
    return engine, wasmtime.Module(engine, driver())


atexit.register(_engine.cache_clear)  # while there still is a library to give it back to


def _wasmtime() -> Any:
    try:
        import wasmtime
    except ModuleNotFoundError as error:
        allowed = "installed: the extra virtlab[machine] brings it"
        raise InvalidInputError("wasmtime", "missing", allowed) from error
    return wasmtime
