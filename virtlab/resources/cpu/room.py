"""The free logical CPUs at one moment: whole cores first, then halves (S22).

A half is worth the more, the less the one beside it is behind: that one can best bear it. So halves
are kept in that order, and the first one that will do is the best.
"""

from __future__ import annotations

from bisect import insort

__all__ = ["Room"]


class Room:
    """What there is to be had.

    Parameters
    ----------
    threads
        Logical CPUs of a core.

    Attributes
    ----------
    whole
        Idle cores.
    halves
        Of cores on which one runs: how far that one is behind, and the free logical CPU; the least
        first.

    Examples
    --------
    >>> room = Room(2)
    >>> room.whole |= {0, 1}
    >>> room.take(room.core(last=3, allowed={0, 3}), behind=5)
    >>> room.whole, room.halves
    ({0}, [(5, 2)])
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.whole: set[int] = set()
        self.halves: list[tuple[int, int]] = []

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return bool(self.whole or self.halves)

    def add_half(self, cpu: int, behind: int) -> None:
        """Take note of a free half.

        Parameters
        ----------
        cpu
            The logical CPU.
        behind
            How far the one beside it is behind.
        """
        insort(self.halves, (behind, cpu))

    def core(self, last: int, allowed: frozenset[int] | set[int] | None) -> int:
        """Return a logical CPU of an idle core: the last one, its core's, or the lowest.

        Parameters
        ----------
        last
            Where it ran last; -1 for nowhere.
        allowed
            Where it may run; None for anywhere.

        Returns
        -------
        int
            -1 if there is none.
        """
        whole, threads = self.whole, self.threads
        if not whole:
            return -1
        if allowed is None:
            return last if last // threads in whole else min(whole) * threads
        if last in allowed and last // threads in whole:
            return last
        found = [cpu for cpu in allowed if cpu // threads in whole]
        at_home = [cpu for cpu in found if cpu // threads == last // threads]
        return min(at_home or found, default=-1)

    def take(self, cpu: int, behind: int) -> None:
        """Take one away; of an idle core, the other half is then to be had.

        Parameters
        ----------
        cpu
            The logical CPU.
        behind
            How far the one that has it is behind.
        """
        core = cpu // self.threads
        if core not in self.whole:
            self.halves = [half for half in self.halves if half[1] != cpu]
            return
        self.whole.remove(core)
        if self.threads == 2:
            self.add_half(cpu ^ 1, behind)
