"""A unit of the llvm tier: code of the wasm tier, and what of it LLVM has made again (S18)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from virtlab.machine.translation import wasm_memory
from virtlab.machine.translation.control import Shape
from virtlab.machine.translation.lifting import Leave, Node
from virtlab.machine.translation.llvm import LlvmFunction
from virtlab.machine.translation.llvm_code import Code, llvm
from virtlab.machine.translation.llvm_loops import only
from virtlab.machine.translation.llvm_memory import Flat, Paged
from virtlab.machine.translation.llvm_unroll import unrolled

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from virtlab.machine.translation.lifting import Graph, Key
    from virtlab.machine.translation.liveness import Needs, Recipe
    from virtlab.machine.translation.llvm_memory import Way
    from virtlab.machine.translation.wasm import WasmFunction
    from virtlab.machine.translation.wasm_host import WasmHost

    Made = tuple[Code, list[Key]]

__all__ = ["Region", "compiled", "recipe_of", "way_of"]

_RECIPES = 1 << 12  # of a function, at most
_numbers = count(1)
_made: WeakValueDictionary[int, Code] = WeakValueDictionary()


@dataclass
class Region:
    """A unit: for WebAssembly, and what LLVM needs to do it again.

    Attributes
    ----------
    wasm
        As the wasm tier has it.
    graph, needs, start, first_recipe
        As `WasmFunction` takes them.
    slots
        Of the wasm tier, by the node where a function is entered.
    codes
        Machine code, by the same; one piece may have several entries.
    awaited
        Machine code that is being made, and where it may be entered.
    spent
        How many instructions were done before execution was found in a loop, or in the region.
    leaves
        Nodes where the wasm tier leaves the region: machine code of any region goes on there.
    given_up
        Machine code that is not entered, now or ever again.
    entry
        Address that it is entered at, if that is not its start's.

    Examples
    --------
    See `LlvmHost.compile`.
    """

    wasm: WasmFunction
    graph: Graph
    needs: dict[Key, Needs]
    start: Key
    first_recipe: int
    slots: dict[Key, int] = field(default_factory=dict)
    codes: dict[Key, Code] = field(default_factory=dict)
    awaited: dict[Key, Future[Made]] = field(default_factory=dict)
    spent: Counter[Key] = field(default_factory=Counter)
    leaves: set[Key] = field(default_factory=set)
    given_up: set[Code] = field(default_factory=set)
    entry: int | None = None

    @property
    def recipes(self) -> list[Recipe]:
        """For flags that it does not compute."""
        return self.wasm.recipes

    @cached_property
    def shape(self) -> Shape:
        """Of its graph."""
        return Shape(self.graph, self.start)

    def address(self, key: Key) -> int:
        """Return the guest's address of a place where it is entered.

        Parameters
        ----------
        key
            Of a node.

        Returns
        -------
        int
            That of the node.

        Examples
        --------
        See `virtlab.machine.translation.llvm_host.LlvmHost.jump_to`.
        """
        return key[0] if key != self.start or self.entry is None else self.entry

    def open(self, host: WasmHost, *keys: Key) -> None:
        """Make the wasm tier's functions that begin at nodes, in place of what was there.

        They are left at `leaves`, with the same recipes as ever.

        Parameters
        ----------
        host
            Of the wasm tier.
        keys
            Of the nodes.

        Examples
        --------
        >>> from virtlab.machine.translation.layout import EIP
        >>> from virtlab.machine.translation.lifting import Jump, Leave, Node
        >>> from virtlab.machine.translation.liveness import needs
        >>> from virtlab.machine.translation.wasm_host import WasmHost
        >>> host = WasmHost(1 << 20, lambda address, size: -1, lambda address, size, value: 1)
        >>> graph = {(0, 0): Node((0, 0), end=Jump((4, 0))), (4, 0): Node((4, 0), end=Leave(9))}
        >>> wasm = host.compile(graph, needs(graph), (0, 0), 1)
        >>> region = Region(wasm, graph, needs(graph), (0, 0), 1, {(0, 0): host.install(wasm)})
        >>> region.leaves.add((4, 0))
        >>> region.open(host, (0, 0))
        >>> host.jump_to(0, region.slots[0, 0])
        >>> host.enter(), host.view[EIP]
        (3, 4)
        """
        for key in keys:
            graph, needs = dict(self.graph), dict(self.needs)
            for at in self.leaves - {key}:
                graph[at] = Node(at, end=Leave(at[0]))
                needs[at] = replace(needs[at], hot=frozenset(), sets={})
            function = host.compile(graph, needs, key, self.first_recipe, self.wasm.purpose)
            if key in self.slots:
                host.remove(self.slots[key])
            self.slots[key] = host.install(function)  # what was given back last is taken first

    def leaves_where(self, knows: Callable[[int], bool]) -> bool:
        """Let the wasm tier leave wherever machine code begins, but for its start.

        Parameters
        ----------
        knows
            Says of an address of the guest whether it does.

        Returns
        -------
        bool
            Whether that is not as it was.

        Examples
        --------
        >>> from virtlab.machine.translation.lifting import Jump, Leave, Node
        >>> from virtlab.machine.translation.liveness import needs
        >>> from virtlab.machine.translation.wasm import WasmFunction
        >>> graph = {(0, 0): Node((0, 0), end=Jump((4, 0))), (4, 0): Node((4, 0), end=Leave(9))}
        >>> region = Region(WasmFunction(graph, needs(graph), (0, 0)), graph, {}, (0, 0), 1)
        >>> region.leaves_where(lambda address: True), region.leaves
        (True, {(4, 0)})
        >>> region.leaves_where(lambda address: address == 4)
        False
        """
        before = self.leaves
        self.leaves = {key for key in self.graph if not key[1] and knows(key[0])} - {self.start}
        return self.leaves != before

    def give_up(self, address: int) -> dict[int, Code]:
        """Let code not be entered any more, here nor at its other entries.

        Parameters
        ----------
        address
            Of the guest, one of those where it is entered.

        Returns
        -------
        dict
            Where it was entered, and the code.

        Examples
        --------
        See `virtlab.machine.translation.llvm_host.LlvmHost.enter`.
        """
        codes = {code for key, code in self.codes.items() if self.address(key) == address}
        self.given_up |= codes
        return {self.address(key): code for key, code in self.codes.items() if code in codes}

    def part(self, key: Key) -> Graph:
        """Return what LLVM gets if a place is hot: the loops around it, or the whole region.

        Parameters
        ----------
        key
            Where a loop begins, or the region.

        Returns
        -------
        Graph
            Nodes.

        Examples
        --------
        See `virtlab.machine.translation.llvm_loops.only`.
        """
        return only(self.shape, key) if key in self.shape.loops else self.graph

    def loops_in(self, part: Graph) -> list[Key]:
        """Return where loops of the region begin that a part of it has.

        Parameters
        ----------
        part
            What `part` returned.

        Returns
        -------
        list
            Keys of nodes.

        Examples
        --------
        See `compiled`.
        """
        loops = (key for key in self.shape.loops if key[1] == 0)
        return [key for key in loops if part.get(key) is self.graph[key]]


def compiled(
    region: Region, key: Key, asks: tuple[int, int], way: Way, *, now: bool = False
) -> Made:
    """Compile what is around a place, to be entered in the middle too; or all of it, now.

    Parameters
    ----------
    region
        The region; nothing of it is changed.
    key
        Where a loop begins, or the region.
    asks, way
        As `LlvmFunction` takes them.
    now
        Whether somebody waits for it: then all of it, entered at `key` alone.

    Returns
    -------
    tuple
        The code, and the nodes where it may be entered.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> from virtlab.machine.translation.llvm_memory import Paged
    >>> from virtlab.machine.translation.wasm import WasmFunction
    >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}  # to go on at 5
    >>> wasm = WasmFunction(graph, needs(graph), (0, 0))
    >>> region = Region(wasm, graph, needs(graph), (0, 0), 1)
    >>> compiled(region, (0, 0), (0, 0), Paged(), now=True)[1]
    [(0, 0)]
    """
    graph = region.graph if now else region.part(key)
    put_off = any(region.needs[key].sets != node.sets for key, node in region.graph.items())
    entries = () if now else region.loops_in(graph)
    graph = unrolled(graph, region.shape, (key, *entries))
    number = next(_numbers) % ((1 << 32) // _RECIPES - 1) + 1
    function = LlvmFunction(
        graph, key, asks, way, drop_dead=put_off, entries=entries, first_recipe=number * _RECIPES
    )
    code = llvm().code(function.text, "region")
    code.recipes, _made[number] = function.recipes.by_number, code
    return code, function.entries


def way_of(region: Region, ram_bytes: int) -> Way:
    """Return the way to RAM of what a region was made for.

    Parameters
    ----------
    region
        The region.
    ram_bytes
        The guest's memory.

    Returns
    -------
    Way
        Through a TLB where paging may be on.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> from virtlab.machine.translation.wasm import WasmFunction
    >>> graph = {(0, 0): Node((0, 0), end=Leave(5))}
    >>> wasm = WasmFunction(graph, needs(graph), (0, 0))
    >>> type(way_of(Region(wasm, graph, needs(graph), (0, 0), 1), 1 << 20)).__name__
    'Paged'
    """
    way = region.wasm.way
    return Flat(ram_bytes, asks=way.asks) if isinstance(way, wasm_memory.Flat) else Paged()


def recipe_of(number: int) -> Recipe:
    """Return the recipe that code left early with; the code is still there.

    Parameters
    ----------
    number
        Of the recipe.

    Returns
    -------
    Recipe
        What makes the flags.

    Raises
    ------
    KeyError
        If its code is gone.

    Examples
    --------
    See `virtlab.machine.translation.llvm_host.LlvmHost.enter`, which follows it. Code has numbers
    from 4,096 on, so this is nobody's:

    >>> recipe_of(5)
    Traceback (most recent call last):
    KeyError: 0
    """
    return _made[number // _RECIPES].recipes[number]
