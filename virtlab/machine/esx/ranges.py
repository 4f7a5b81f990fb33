"""How what there is is handed out: pieces that never overlap (S13, S15).

The VMkernel gives each VM a range of the machine's memory and a range of its disk. Left out: all
that chapters 07 to 09 do with memory.
"""

from __future__ import annotations

from typing import NamedTuple

from virtlab.validate import InvalidInputError, integer

__all__ = ["Range", "Ranges"]


class Range(NamedTuple):
    """A piece of something that is handed out.

    Attributes
    ----------
    begin, size
        Where it begins, and how long it is.

    Examples
    --------
    >>> Range(8, 4).end
    12
    """

    begin: int
    size: int

    @property
    def end(self) -> int:
        """Where the next one may begin."""
        return self.begin + self.size


class Ranges:
    """Hands out pieces of something, first fit: MiB of memory, sectors of a disk.

    Parameters
    ----------
    size
        How much there is.
    unit
        In what it is counted.

    Attributes
    ----------
    owners
        Who has which.

    Examples
    --------
    >>> memory = Ranges(16, "MiB")
    >>> memory.give("VM1", 8), memory.give("VM2", 4)
    (Range(begin=0, size=8), Range(begin=8, size=4))
    >>> memory.take("VM1")
    >>> memory.give("VM3", 6), memory.free
    (Range(begin=0, size=6), 6)
    """

    def __init__(self, size: int, unit: str) -> None:
        self.size, self.unit = integer("size", size, minimum=1), unit
        self.owners: dict[str, Range] = {}

    @property
    def free(self) -> int:
        """What nobody has."""
        return self.size - sum(one.size for one in self.owners.values())

    def give(self, owner: str, size: int) -> Range:
        """Give someone a piece.

        Parameters
        ----------
        owner
            Who gets it.
        size
            How long it is.

        Returns
        -------
        Range
            Which.

        Raises
        ------
        InvalidInputError
            If no gap is long enough, or the owner has one already.

        Examples
        --------
        See the class.
        """
        integer(self.unit, size, minimum=1)
        if owner in self.owners:
            raise InvalidInputError("owner", owner, f"one that has no {self.unit} yet")
        begin = 0
        for taken in sorted(self.owners.values()):
            if taken.begin - begin >= size:
                break
            begin = taken.end
        if begin + size > self.size:
            allowed = f"a gap that is there: {self.free} of {self.size} are free"
            raise InvalidInputError(self.unit, size, allowed)
        self.owners[owner] = Range(begin, size)
        return self.owners[owner]

    def take(self, owner: str) -> None:
        """Take a piece back.

        Parameters
        ----------
        owner
            Whose.

        Raises
        ------
        InvalidInputError
            If it has none.

        Examples
        --------
        See the class.
        """
        if self.owners.pop(owner, None) is None:
            raise InvalidInputError("owner", owner, f"one that has {self.unit}")
