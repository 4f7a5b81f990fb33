"""What a translator does beyond replacing instructions: each pass can be switched off (S18).

The least that a translator has to do is little: take a piece of code, replace each instruction,
put what it made into the cache. All that makes it fast is a pass of its own, and what a pass is
worth is what is lost without it. The result is the same with any of them on or off: the same
output, registers, memory and number of instructions.

Source: Adams and Agesen (ASPLOS 2006), section 3, whose translator works with units of at most 12
instructions; the other passes are named in the modules that do them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.validate import InvalidInputError, integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtlab.machine.translation.lifting import Graph

__all__ = ["ESX", "Passes"]

_SWITCHES = ("dead_flags", "regions", "guesses", "chaining", "in_cache", "ports", "direct")


@dataclass(frozen=True)
class Passes:
    """Which passes a translator does.

    Attributes
    ----------
    dead_flags
        Flags that nobody reads are not computed (`virtlab.machine.translation.liveness`).
    regions
        Blocks that lead to one another are translated together
        (`virtlab.machine.translation.regions`); without it each is a unit of its own.
    guesses
        With `regions`: code that a computed jump or call was seen to lead to, or that its table
        names, is taken along (`virtlab.machine.translation.targets`).
    chaining
        A unit whose exit always leads to the same address goes on there at once
        (`virtlab.machine.translation.links`); without it each exit is looked up in a hash table.
        Where regions are translated together few such exits are left. How it is done decides what
        it is worth: a processor's own jump is faster than any look-up. Here the driver calls what
        the link says; in units of one block that took from a twentieth less to a twentieth more
        time than a look-up, though it does less, as registers wait in memory either way.
    in_cache
        Instructions that only touch the interrupt flag are done in the cache, on the guest's own
        flag, and not by the VMM.
    ports
        With `in_cache`: a byte of a port is read and written there too, where its device lets that
        be done without it (`virtlab.machine.translation.port_map`).
    most
        Instructions of a unit at most, 1 to 4096; from 256 on and with `regions`, of one that
        begins where no other has code (`virtlab.machine.translation.heat.limit_for`).
    own
        A pass of one's own: gets the graph of each unit before anything is dropped from it, and
        returns the graph that is to be translated.
    direct
        Code that may is run as it is, and counted apart (`virtlab.machine.translation.modes`);
        this one is off unless it is asked for.

    Raises
    ------
    InvalidInputError
        If a switch is neither True nor False, or `most` is out of range.

    Examples
    --------
    >>> Passes().most, ESX.most, ESX.regions
    (256, 12, False)
    >>> Passes(most=0)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: most = 0: must be a whole number from 1 to 4096
    """

    dead_flags: bool = True
    regions: bool = True
    guesses: bool = True
    chaining: bool = True
    in_cache: bool = True
    ports: bool = True
    most: int = 256
    own: Callable[[Graph], Graph] | None = None
    direct: bool = False

    def __post_init__(self) -> None:
        """Check each field."""
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise InvalidInputError(name, getattr(self, name), "True or False")
        if self.own is not None and not callable(self.own):
            raise InvalidInputError("own", self.own, "a function that takes a graph")
        object.__setattr__(self, "most", integer("most", self.most, minimum=1, maximum=4096))

    def made(self, graph: Graph) -> Graph:
        """Return what the pass of one's own makes of a graph, if there is one.

        Parameters
        ----------
        graph
            Of a unit.

        Returns
        -------
        Graph
            The one that is to be translated.

        Examples
        --------
        >>> Passes().made({}), Passes(own=lambda graph: {**graph, (0, 0): None}).made({})
        ({}, {(0, 0): None})
        """
        return graph if self.own is None else self.own(graph)


ESX = Passes(regions=False, most=12, ports=False)  # as Adams and Agesen's translator
