"""Which code is worth translating: what was visited often, and does not change all the time (S18).

Most code runs once, so what is seen for the first time is interpreted. Code that changes is not
worth it either: to translate it takes as long as to interpret it many times, and is for nothing
when the guest writes on it again. So each change of a page doubles how often its code has
to be visited before it is translated again, up to a bound: a page that another program was loaded
into is soon translated as before.

Nor is it worth it to translate the same code again and again. In a function that is longer than a
region may be, each place where execution comes back from a call begins a region of its own, with
nearly the same instructions as the one before: as many translations as places. So how long a region
may be depends on how many others have its first instruction (`limit_for`).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from virtlab.machine.decode import REMEMBERED
from virtlab.machine.translation.regions import LIMIT
from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtlab.machine.translation.cache import UnitKey

__all__ = ["HOT", "Heat", "limit_for"]

HOT = 4  # visits after which code is translated
_LIMITS = (1, 4, 1, 1 / 4)  # times as many, by how many units have the first one
_DOUBLED = 8  # times at most: 1,024 visits take the interpreter some times as long as to translate


class Heat:
    """Counts visits of code, and changes of the pages that it is on.

    Parameters
    ----------
    hot
        After how many visits code is worth it; with 1 all is, whatever changes.

    Raises
    ------
    InvalidInputError
        If `hot` is less than 1.

    Examples
    --------
    >>> from virtlab.machine.translation.cache import UnitKey
    >>> heat, key = Heat(hot=2), UnitKey(0x1000, 1, 63)
    >>> [heat.is_hot(key) for _ in range(3)]
    [False, True, True]
    >>> heat.changed([key])  # another program is loaded
    >>> [heat.is_hot(key) for _ in range(2)]
    [False, True]
    >>> heat.changed([key])  # and written on
    >>> [heat.is_hot(key) for _ in range(4)]
    [False, False, False, True]
    """

    def __init__(self, hot: int = HOT) -> None:
        self.hot = integer("hot", hot, minimum=1)
        self._visits: Counter[UnitKey] = Counter()
        self._changes: Counter[int] = Counter()

    def is_hot(self, key: UnitKey) -> bool:
        """Count a visit; return whether the code there is worth translating now.

        Parameters
        ----------
        key
            What a translation would be found by.

        Returns
        -------
        bool
            Whether it was visited often enough since its page changed.

        Examples
        --------
        See the class.
        """
        if len(self._visits) >= REMEMBERED:
            self._visits.clear()
        self._visits[key] += 1
        doubled = min(max(self._changes[key.page] - 1, 0), _DOUBLED) if self.hot > 1 else 0
        return self._visits[key] >= self.hot << doubled

    def has_run(self, key: UnitKey) -> bool:
        """Return whether code was ever visited.

        Parameters
        ----------
        key
            What a translation would be found by.

        Returns
        -------
        bool
            With `hot` 1 whatever is seen counts as visited.

        Examples
        --------
        >>> from virtlab.machine.translation.cache import UnitKey
        >>> Heat().has_run(UnitKey(0x1000, 1, 63))
        False
        """
        return self.hot == 1 or key in self._visits

    def changed(self, keys: Iterable[UnitKey]) -> None:
        """Begin anew with code whose page the guest has written on.

        Parameters
        ----------
        keys
            What was translated from there.

        Examples
        --------
        See the class.
        """
        keys = list(keys)
        for key in keys:
            self._visits[key] = 0  # not forgotten: it has run
        self._changes.update({key.page for key in keys})


def limit_for(times: int, limit: int = LIMIT) -> int:
    """Return how long a region may be, so that the same code is not translated again and again.

    Parameters
    ----------
    times
        How many units have its first instruction.
    limit
        Instructions of the first of them at most.

    Returns
    -------
    int
        Four times as many for the second: whoever comes here from elsewhere comes from what was
        too long for the first. Fewer later: the long one is there to go on in. If the first was to
        be shorter than `LIMIT`, somebody wants short ones.

    Examples
    --------
    >>> [limit_for(times) for times in range(5)], limit_for(1, 12)
    ([256, 1024, 256, 64, 64], 12)
    """
    if limit < LIMIT:
        return limit
    return int(limit * _LIMITS[min(times, len(_LIMITS) - 1)])
