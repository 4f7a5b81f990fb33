"""What calls machine code: a loop around a hash table, and ways back to Python (S18).

The same as `virtlab.machine.translation.wasm_store.driver`, as LLVM's text. Machine code that
misses in the TLB calls `load` or `store` here, by a convention (`preserve_mostcc`) that leaves
registers alone: so a miss, which is rare, costs nothing where it does not happen.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any

from virtlab.machine.translation.layout import EIP, SLOTS
from virtlab.machine.translation.llvm_code import Code, llvm
from virtlab.machine.translation.tiers import DONE, MISSING
from virtlab.machine.translation.wasm_calls import caught

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Driver"]

_ENTRY = struct.Struct("<QQ")  # of the hash table: an address and one, and where its code is
_RUN = """
define preserve_mostcc i64 @load(i32 %a, i32 %n) noinline {{
  %r = call i64 inttoptr (i64 {load} to ptr)(i32 %a, i32 %n)
  ret i64 %r
}}
define preserve_mostcc i32 @store(i32 %a, i32 %n, i64 %v) noinline {{
  %r = call i32 inttoptr (i64 {store} to ptr)(i32 %a, i32 %n, i64 %v)
  ret i32 %r
}}
define i32 @run(ptr %base, ptr %jumps) {{
begin:
  %where = getelementptr i8, ptr %base, i64 {eip}
  br label %next
next:
  %at = load i32, ptr %where
  %page = lshr i32 %at, 12
  %mixed = xor i32 %page, %at
  %hash = and i32 %mixed, {last}
  %slot = zext i32 %hash to i64
  %entry = getelementptr {{i64, ptr}}, ptr %jumps, i64 %slot
  %whose = load i64, ptr %entry
  %wide = zext i32 %at to i64
  %wanted = add i64 %wide, 1
  %known = icmp eq i64 %whose, %wanted
  br i1 %known, label %go, label %missing
go:
  %place = getelementptr {{i64, ptr}}, ptr %jumps, i64 %slot, i32 1
  %code = load ptr, ptr %place
  %reason = call i32 %code(ptr %base)
  %on = icmp eq i32 %reason, {done}
  br i1 %on, label %next, label %out
out:
  ret i32 %reason
missing:
  ret i32 {missing}
}}
"""


class Driver:
    """Runs machine code, from EIP on, until there is none.

    Parameters
    ----------
    load, store
        What code asks when its TLB does not know a page.

    Attributes
    ----------
    asks
        Where code finds them: addresses of functions.

    Examples
    --------
    >>> driver = Driver(lambda address, size: -1, lambda address, size, value: 1)
    >>> driver.run(memoryview(bytearray(1 << 20))) == MISSING
    True
    """

    def __init__(
        self, load: Callable[[int, int], int], store: Callable[[int, int, int], int]
    ) -> None:
        u32, u64, i32, i64 = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32, ctypes.c_int64
        self._errors: list[BaseException] = []
        self._asked = (  # kept, for as long as code may call them
            ctypes.CFUNCTYPE(i64, u32, u32)(caught(load, -1, self._errors)),
            ctypes.CFUNCTYPE(i32, u32, u32, u64)(caught(store, 1, self._errors)),
        )
        load_at, store_at = (ctypes.cast(ask, ctypes.c_void_p).value for ask in self._asked)
        text = _RUN.format(
            load=load_at, store=store_at, eip=EIP, last=SLOTS - 1, done=DONE, missing=MISSING
        )
        self._code = llvm().code(text, "run", "load", "store")
        address = self._code.address
        self.asks = address["load"], address["store"]
        self._jumps = bytearray(_ENTRY.size * SLOTS)
        self._table = _address_of(self._jumps)
        self._run = ctypes.CFUNCTYPE(i32, ctypes.c_void_p, ctypes.c_void_p)(address["run"])

    def jump_to(self, address: int, code: Code) -> None:
        """Let code be found.

        Parameters
        ----------
        address
            Of the guest.
        code
            With the function 'region'.

        Examples
        --------
        >>> driver = Driver(lambda address, size: -1, lambda address, size, value: 1)
        >>> code = llvm().code("define i32 @region(ptr %base) { ret i32 1 }", "region")
        >>> driver.jump_to(0, code)
        >>> driver.knows(0), driver.run(memoryview(bytearray(1 << 20)))
        (True, 1)
        >>> driver.forget(0, code)
        >>> driver.knows(0)
        False
        """
        _ENTRY.pack_into(self._jumps, _slot(address), address + 1, code.address["region"])

    def knows(self, address: int) -> bool:
        """Return whether code is found at an address.

        Parameters
        ----------
        address
            Of the guest.

        Returns
        -------
        bool
            If so, `run` will run it.

        Examples
        --------
        See `jump_to`.
        """
        whose: int = _ENTRY.unpack_from(self._jumps, _slot(address))[0]
        return whose == address + 1

    def forget(self, address: int, code: Code) -> None:
        """Let code not be found any more.

        Parameters
        ----------
        address
            Of the guest.
        code
            Which.

        Examples
        --------
        See `jump_to`.
        """
        at = _slot(address)
        if _ENTRY.unpack_from(self._jumps, at)[1] == code.address["region"]:
            _ENTRY.pack_into(self._jumps, at, 0, 0)

    def forget_all(self) -> None:
        """Let nothing be found.

        Examples
        --------
        >>> Driver(lambda address, size: -1, lambda address, size, value: 1).forget_all()
        """
        self._jumps[:] = bytes(len(self._jumps))

    def run(self, view: memoryview) -> int:
        """Run from EIP on.

        Parameters
        ----------
        view
            The buffer of `virtlab.machine.translation.layout`.

        Returns
        -------
        int
            Why it came back.

        Examples
        --------
        See the class.
        """
        reason = int(self._run(_address_of(view), self._table))
        if self._errors:
            raise self._errors.pop()
        return reason


def _slot(address: int) -> int:
    return _ENTRY.size * ((address ^ address >> 12) % SLOTS)


def _address_of(buffer: Any) -> int:
    return ctypes.addressof(ctypes.c_ubyte.from_buffer(buffer))
