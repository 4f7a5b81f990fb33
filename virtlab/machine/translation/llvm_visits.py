"""When machine code is worth being entered, and what else should be machine code then (S18).

Code that leads on to code of the wasm tier is left through Python, and entered again from there.
Where a loop goes through several units, as it does if it calls what lies on another page, all of
them have to be machine code before any is worth it. So it is counted where visits end that were too
short. What they led to is paid for by what they cost: once that is as much as compiling takes, it
is compiled too, and until it is there machine code is not entered.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from virtlab.machine.translation.llvm_loops import head_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from virtlab.machine.translation.lifting import Key
    from virtlab.machine.translation.llvm_region import Region

__all__ = ["Visits", "led_to", "place_of"]

_VISITS = 64  # after which it is seen what they were worth
_WORTH = 20_000  # instructions of a visit that pay for going there and back


class Visits:
    """Counts what visits of machine code do that end where only the wasm tier has code.

    To go there and back leads through Python, which takes as long as the wasm tier takes for some
    ten thousand instructions. Code that does less at a visit, on average, had better not be there;
    or what it leads to should be machine code too.

    Examples
    --------
    >>> visits = Visits()
    >>> [visits.are_too_short(0x1000, 20, 0x1010) for _ in range(64)].index(True)
    63
    >>> visits.ends(0x1000), visits.ends(0x1000)
    ({4112: 64}, {})
    >>> any(visits.are_too_short(0x2000, 20_000, 0x2010) for _ in range(1000))
    False
    """

    def __init__(self) -> None:
        self._visits, self._done = Counter[int](), Counter[int]()
        self._ends: defaultdict[int, Counter[int]] = defaultdict(Counter)

    def are_too_short(self, address: int, instructions: int, end: int) -> bool:
        """Count a visit; return whether there were many and they did little.

        Parameters
        ----------
        address
            Of the guest, where machine code was entered.
        instructions
            How many it did.
        end
            Address of the guest where there was no machine code.

        Returns
        -------
        bool
            If so, or if they did enough, counting begins again.

        Examples
        --------
        See the class.
        """
        self._visits[address] += 1
        self._done[address] += instructions
        self._ends[address][end] += 1
        if self._visits[address] < _VISITS:
            return False
        if self._done.pop(address) < _WORTH * self._visits.pop(address):
            return True
        del self._ends[address]
        return False

    def ends(self, address: int) -> dict[int, int]:
        """Return where visits have ended that were too short, and forget it.

        Parameters
        ----------
        address
            Of the guest, where machine code was entered.

        Returns
        -------
        dict
            How many of them ended at an address.

        Examples
        --------
        See the class.
        """
        return dict(self._ends.pop(address, {}))


def place_of(regions: Iterable[Region], address: int) -> tuple[Region | None, Key]:
    """Return in which region execution is, and in which loop of it.

    Parameters
    ----------
    regions
        All that may be entered. Several may hold the place, for a function is part of each region
        that calls it: the largest is taken that has not been compiled there.
    address
        Of the guest, where execution was found.

    Returns
    -------
    tuple
        The region, None if there is none; and the node where the loop begins, or the region: in a
        loop that LLVM has had, the wasm tier is only if it came from the region's start.

    Examples
    --------
    >>> place_of([], 0x1000)
    (None, (4096, 0))
    """
    key = (address, 0)
    around = [region for region in regions if key in region.shape.number]
    for region in sorted(around, key=lambda region: -len(region.graph)):
        for head in (head_of(region.shape, key) or region.start, region.start):
            if head not in region.codes:
                return region, head
    return None, key


def led_to(regions: Iterable[Region], ends: Mapping[int, int]) -> list[Region]:
    """Return regions that visits of machine code led to, and charge them with what that cost.

    Parameters
    ----------
    regions
        All that may be entered.
    ends
        As `Visits.ends` returns it.

    Returns
    -------
    list
        Those that are no machine code where they begin, nor will be; none if less than half of the
        visits led to them: others would go on to be too short.

    Examples
    --------
    >>> from virtlab.machine.translation.lifting import Leave, Node
    >>> from virtlab.machine.translation.liveness import needs
    >>> from virtlab.machine.translation.llvm_region import Region
    >>> from virtlab.machine.translation.wasm import WasmFunction
    >>> graph = {(16, 0): Node((16, 0), end=Leave(5))}
    >>> wasm = WasmFunction(graph, needs(graph), (16, 0))
    >>> region = Region(wasm, graph, needs(graph), (16, 0), 1)
    >>> led_to([region], {16: 3, 20: 4}), led_to([region], {16: 4, 20: 4}) == [region]
    ([], True)
    >>> region.spent
    Counter({(16, 0): 80000})
    """
    begin = {
        region.address(region.start): region
        for region in regions
        if region.start not in region.codes and region.start not in region.awaited
    }
    found = [at for at in ends if at in begin]
    if 2 * sum(ends[at] for at in found) < sum(ends.values()):
        return []
    for at in found:
        begin[at].spent[begin[at].start] += _WORTH * ends[at]
    return [begin[at] for at in found]
