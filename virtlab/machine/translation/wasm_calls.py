"""Calls between Python and WebAssembly, with numbers as they are (S18).

`wasmtime` has wrappers for both ways that find out the types of a function and convert each value:
10 µs for a call, twenty times as long as the call itself. A guest that touches fifty thousand pages
for the first time asks as often where they are. All types are known here, so nothing has to be
found out.

Needs `wasmtime`, of the extra `machine`.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Imported", "caught", "without_arguments"]


def caught(ask: Callable[..., int], failed: int, errors: list[BaseException]) -> Callable[..., int]:
    """Return what asks, and keeps an exception until translated code has been left.

    Parameters
    ----------
    ask
        What is asked.
    failed
        What says that it could not answer: then code leaves.
    errors
        Gets what was raised.

    Returns
    -------
    function
        Raises nothing.

    Examples
    --------
    >>> errors = []
    >>> caught(int, -1, errors)("5"), caught(int, -1, errors)("five"), len(errors)
    (5, -1, 1)
    """

    def call(*numbers: int) -> int:
        try:
            return ask(*numbers)
        except BaseException as error:  # noqa: BLE001 (raised again by who called the code)
            errors.append(error)
            return failed

    return call


class Imported:
    """A function in Python, for modules to import.

    Parameters
    ----------
    ask
        What it does. It raises nothing.
    takes, gives
        Names of its types: 'i32' or 'i64' for each number that it takes, and for what it gives.

    Examples
    --------
    >>> import wasmtime
    >>> store = wasmtime.Store()
    >>> function = Imported(lambda a, b: a - b, ("i32", "i64"), "i64").function(store)
    >>> function(store, 5, 1 << 40) == 5 - (1 << 40)
    True
    """

    def __init__(self, ask: Callable[..., int], takes: tuple[str, ...], gives: str) -> None:
        from wasmtime import _ffi as ffi

        def call(_own: Any, _caller: Any, numbers: Any, _count: int) -> int:
            answer = ask(*[getattr(numbers[k], name) for k, name in enumerate(takes)])
            setattr(numbers[0], gives, answer)
            return 0

        self._ffi, self._types = ffi, (takes, gives)
        self._call = ffi.wasmtime_func_unchecked_callback_t(call)

    def function(self, store: Any) -> Any:
        """Return it for one store, which keeps it: wasmtime does not.

        Parameters
        ----------
        store
            wasmtime's.

        Returns
        -------
        wasmtime.Func
            As `wasmtime.Instance` takes it.

        Examples
        --------
        See the class.
        """
        from wasmtime import Func, FuncType, ValType

        kinds = {"i32": ValType.i32, "i64": ValType.i64}
        takes, gives = self._types
        kind = FuncType([kinds[name]() for name in takes], [kinds[gives]()])
        made, keeps = self._ffi.wasmtime_func_t(), ctypes.CFUNCTYPE(None, ctypes.c_void_p)(0)
        self._ffi.wasmtime_func_new_unchecked(
            store._context(),  # noqa: SLF001 (as wasmtime's own wrapper does)
            kind.ptr(),
            self._call,
            None,
            keeps,
            ctypes.byref(made),
        )
        store.imported = [*getattr(store, "imported", ()), self]
        return Func._from_raw(made)  # noqa: SLF001


def without_arguments(store: Any, function: Any) -> Callable[[], int]:
    """Return what calls a function that takes nothing and gives one i32.

    Parameters
    ----------
    store, function
        wasmtime's.

    Returns
    -------
    function
        Raises `wasmtime.Trap` if that traps.

    Examples
    --------
    >>> import wasmtime
    >>> store, engine = wasmtime.Store(), wasmtime.Engine()
    >>> function = Imported(lambda: -7, (), "i32").function(store)
    >>> without_arguments(store, function)()
    -7
    """
    from wasmtime import Trap, WasmtimeError
    from wasmtime import _ffi as ffi

    numbers, context = (ffi.wasmtime_val_raw_t * 1)(), store._context()  # noqa: SLF001
    which, kind = ctypes.byref(function._func), ctypes.POINTER(ffi.wasm_trap_t)  # noqa: SLF001

    def call() -> int:
        trap: Any = kind()  # there is one if it points somewhere
        error: Any = ffi.wasmtime_func_call_unchecked(
            context, which, numbers, len(numbers), ctypes.byref(trap)
        )
        if error:
            raise WasmtimeError._from_ptr(error)  # noqa: SLF001
        if trap:
            raise Trap._from_ptr(trap)  # noqa: SLF001
        return int(numbers[0].i32)

    return call
