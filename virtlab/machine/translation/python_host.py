"""Where functions of Python live and run: dictionaries, and a loop (S18).

The python tier needs nothing that Python has not, so it runs in a browser too. Functions are found
by address in a dictionary; each returns the machine's state, the next address first, and the loop
calls the next with it. A function's linked exits (`virtlab.machine.translation.links`) are in a
small dictionary of its own, which is asked before the large one. The buffer
(`virtlab.machine.translation.layout`) has registers only while none runs.

How they reach memory is told in `virtlab.machine.translation.python_memory`.
"""

from __future__ import annotations

import struct
from types import FunctionType
from typing import TYPE_CHECKING, Any

from virtlab.machine.translation.layout import CHAINED, EIP, LEFT, PORT_MAP, RAM, RING, RING_SIZE
from virtlab.machine.translation.lifting import CELLS
from virtlab.machine.translation.links import Exits, Links
from virtlab.machine.translation.python import PythonFunction
from virtlab.machine.translation.python_memory import NotDoneError, PythonMemory
from virtlab.machine.translation.python_node import name_of
from virtlab.machine.translation.python_values import HELPERS
from virtlab.machine.translation.tiers import EMPTY, FAULT, MISSING, SLICE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs
    from virtlab.machine.translation.tiers import Purpose

    State = tuple[int, ...]
    Run = Callable[..., State]
    Linked = dict[int, tuple[Run, "Linked"]]

__all__ = ["PythonHost"]

_SLICE = 2_000_000  # instructions between two looks at Ctrl-C
_GENERAL = [cell for cell in CELLS if cell.size == 4]
_FLAGS = [cell for cell in CELLS if cell.size == 1]


class EmptyError(Exception):
    """Too little is left for what comes next."""


class PythonHost:
    """Runs regions as Python.

    Parameters
    ----------
    ram_bytes
        The guest's memory.
    load, store
        What translated code asks when it does not know a page.

    Attributes
    ----------
    view
        The buffer.
    names
        What functions may call.

    Examples
    --------
    >>> host = PythonHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
    >>> host.enter() == MISSING, len(host.view) - RAM
    (True, 1048576)
    """

    name = "python"

    def __init__(
        self,
        ram_bytes: int,
        load: Callable[[int, int], int],
        store: Callable[[int, int, int], int],
    ) -> None:
        self.view = memoryview(bytearray(RAM + ram_bytes))
        self.memory = PythonMemory(self.view, load, store)
        self._functions: dict[int, tuple[PythonFunction, Run, Linked]] = {}
        self._by_code: dict[int, PythonFunction] = {}  # by the identity of its code
        self._gone: list[int] = []  # which may be running still
        self._jumps: Linked = {}
        self._links = Links(self._write_link)
        self._slots = 0
        self.names: dict[str, Any] = {
            **self.memory.names,
            **HELPERS,
            "register": self._register,
            "set_register": self._set_register,
            "port_map": self.view[PORT_MAP:RING].cast("H"),
            "ring": self.view[RING : RING + 4 * RING_SIZE].cast("I"),
            "Empty": EmptyError,
        }

    def compile(
        self,
        graph: Graph,
        needs: dict[Key, Needs],
        start: Key,
        first_recipe: int,  # noqa: ARG002 - it makes its flags itself
        purpose: Purpose | None = None,
    ) -> PythonFunction:
        """Make a region's code.

        Parameters
        ----------
        graph, needs, start, first_recipe
            As `PythonFunction` takes them; it has no use for the last.
        purpose
            What it will be run for.

        Returns
        -------
        PythonFunction
            Not yet installed.

        Examples
        --------
        See `install`.

        >>> from virtlab.machine.translation.lifting import Leave, Node
        >>> from virtlab.machine.translation.liveness import needs
        >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
        >>> host = PythonHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.compile(graph, needs(graph), (0, 0), 1).source.splitlines()[1][:17]
        '    return 5, lef'
        """
        return PythonFunction(graph, needs, start, purpose)

    def install(self, function: PythonFunction) -> int:
        """Make a region's code ready to run.

        Parameters
        ----------
        function
            The region.

        Returns
        -------
        int
            Its number here.

        Examples
        --------
        >>> from virtlab.machine.translation.lifting import Leave, Node
        >>> from virtlab.machine.translation.liveness import needs
        >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}  # to go on at 5
        >>> host = PythonHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.jump_to(0, host.install(PythonFunction(graph, needs(graph), (0, 0))))
        >>> host.enter() == MISSING, host.view[EIP]
        (True, 5)
        """
        run = FunctionType(function.code, self.names)
        self._slots += 1
        linked: Linked = {}
        self._functions[self._slots] = function, run, linked
        self._by_code[id(run.__code__)] = function
        places = {address: (self._slots, address) for address in function.exits}
        self._links.add(self._slots, Exits(function.purpose.home, function.page, places))
        return self._slots

    def remove(self, slot: int) -> None:
        """Forget a function.

        Parameters
        ----------
        slot
            Its number.

        Examples
        --------
        See `TranslationCache`: what it throws away is removed here.

        >>> from virtlab.machine.translation.lifting import Leave, Node
        >>> from virtlab.machine.translation.liveness import needs
        >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
        >>> host = PythonHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.remove(host.install(PythonFunction(graph, needs(graph), (0, 0))))
        >>> host.enter() == MISSING, host.functions
        (True, [])
        """
        self._gone.append(slot)
        self._links.remove(slot)

    def jump_to(self, address: int, slot: int, *, chain: bool = True) -> None:
        """Let the loop find a function by an address.

        Parameters
        ----------
        address
            Of the guest.
        slot
            The function's number.
        chain
            Whether exits that lead there are linked now.

        Examples
        --------
        See `install`.
        """
        self._jumps[address] = self._functions[slot][1:]
        if chain:
            self._links.lead(address, slot)

    def _write_link(self, place: tuple[int, int], slot: int) -> None:
        """Let a function's exit lead to another function, or to none."""
        whose, address = place
        if slot:
            self._functions[whose][2][address] = self._functions[slot][1:]
        else:
            del self._functions[whose][2][address]

    def forget_jumps(self) -> None:
        """Let the loop find nothing.

        Examples
        --------
        >>> host = PythonHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.forget_jumps()
        >>> host.enter() == MISSING
        True
        """
        self._jumps.clear()
        self._links.forget()

    def knows(self, address: int) -> bool:  # noqa: ARG002 - functions are entered at their start
        """Return whether it can go on in the middle of a function.

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
        >>> host = PythonHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.knows(0x1000)
        False
        """
        return False

    # --- running ----------------------------------------------------------------------------------

    def enter(self) -> int:
        """Run from EIP until something is missing or to be done.

        Returns
        -------
        int
            Why it came back.

        Examples
        --------
        See `install`.
        """
        for slot in self._gone:
            _, run, _ = self._functions.pop(slot)
            del self._by_code[id(run.__code__)]
        self._gone.clear()
        state = self.state()
        find = self._jumps.get
        kept = max(state[1] - _SLICE, 0)
        state = (state[0], state[1] - kept, *state[2:])
        reason, chained, hashed = MISSING, 0, -1  # at first nobody comes from code
        try:
            while (found := find(state[0])) is not None:
                hashed += 1
                while found is not None:
                    run, linked = found
                    state = run(*state)
                    found = linked.get(state[0])
                    chained += found is not None
        except (EmptyError, NotDoneError) as stop:
            empty = SLICE if kept else EMPTY
            reason = empty if isinstance(stop, EmptyError) else FAULT
            state = self._stopped(stop.__traceback__)
        struct.pack_into("<II", self.view, CHAINED, chained, max(hashed, 0))
        self.set_state((state[0], state[1] + kept, *state[2:]))
        return reason

    @property
    def functions(self) -> list[PythonFunction]:
        """All that are installed, the first made first."""
        return [function for function, *_ in self._functions.values()]

    def state(self) -> State:
        """Return the machine's state, as functions hand it over.

        Returns
        -------
        tuple
            As `virtlab.machine.translation.python.STATE` names it.

        Examples
        --------
        >>> host = PythonHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.set_state(tuple(range(2, 19)))
        >>> host.state()[:3], host.view[0]
        ((2, 3, 4), 4)
        """
        view = self.view
        general = struct.unpack_from("<8I", view, 0)
        flags = [view[cell.offset] for cell in _FLAGS]
        (eip,), (left,) = struct.unpack_from("<I", view, EIP), struct.unpack_from("<i", view, LEFT)
        return (eip, left, *general, *flags)

    def set_state(self, state: State) -> None:
        """Put the machine's state into the buffer.

        Parameters
        ----------
        state
            As `state` returns it.

        Examples
        --------
        See `state`.
        """
        view = self.view
        struct.pack_into("<8I", view, 0, *state[2 : 2 + len(_GENERAL)])
        for cell, value in zip(_FLAGS, state[2 + len(_GENERAL) :], strict=True):
            view[cell.offset] = value
        struct.pack_into("<I", view, EIP, state[0])
        struct.pack_into("<iI", view, LEFT, state[1], 0)

    def _stopped(self, trace: TracebackType | None) -> State:
        """Return the state of a function that an exception has stopped, by the line it was at."""
        while trace is not None and id(trace.tb_frame.f_code) not in self._by_code:
            trace = trace.tb_next
        if trace is None:
            raise AssertionError("what was stopped is no function of this host")
        function = self._by_code[id(trace.tb_frame.f_code)]
        names, place = trace.tb_frame.f_locals, function.places[trace.tb_lineno]
        values = {cell: int(names[name_of(cell)]) for cell in CELLS}
        number, *leaves = names.get("recipe", (0,))
        if number:
            unmade = function.made[number - 1].flags(leaves)
            values |= {cell: v for cell, v in unmade.items() if cell not in place.changed}
        if place.recipe is not None:
            values |= place.recipe.flags([names[name] for name in place.names])
        for cell in values.keys() - set(CELLS):
            self._set_register(cell.offset, cell.size, values[cell])
        return (place.address, names["left"] + place.back, *(values[cell] for cell in CELLS))

    def _register(self, at: int, size: int) -> int:
        """Return a register that functions do not hand over."""
        return int.from_bytes(self.view[at : at + size], "little")

    def _set_register(self, at: int, size: int, value: int) -> None:
        self.view[at : at + size] = int(value).to_bytes(size, "little")

    # --- pages ------------------------------------------------------------------------------------

    def forget_pages(self, linear: int | None) -> None:
        """Forget a page, or all.

        Parameters
        ----------
        linear
            An address in the page; None for all.

        Examples
        --------
        >>> host = PythonHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.forget_pages(None)
        """
        self.memory.forget(linear)

    def forget_writes(self) -> None:
        """Forget which pages may be written.

        Examples
        --------
        >>> host = PythonHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> host.forget_writes()
        """
        self.memory.forget_writes()
