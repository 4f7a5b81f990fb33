"""What has to go when the translation cache is full (S18).

Each is a function of what the cache holds. One of your own may be another.

Source: Hazelwood and Smith, "Code Cache Management Schemes for Dynamic Optimizers" (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtlab.machine.translation.cache import Unit

__all__ = ["Policy", "flush_all", "least_used", "oldest"]

Policy = Callable[[Sequence["Unit"]], Sequence["Unit"]]


def flush_all(units: Sequence[Unit]) -> Sequence[Unit]:
    """Choose all.

    Parameters
    ----------
    units
        What is in the cache.

    Returns
    -------
    sequence
        What has to go.

    Examples
    --------
    >>> from virtlab.machine.translation.cache import Unit, UnitKey
    >>> len(flush_all([Unit(UnitKey(0, 0, 63), 1)]))
    1
    """
    return list(units)


def oldest(units: Sequence[Unit]) -> Sequence[Unit]:
    """Choose the quarter that was made first.

    Parameters
    ----------
    units
        What is in the cache.

    Returns
    -------
    sequence
        What has to go.

    Examples
    --------
    >>> from virtlab.machine.translation.cache import Unit, UnitKey
    >>> units = [Unit(UnitKey(at, 0, 63), at, born=at) for at in range(8)]
    >>> [unit.key.address for unit in oldest(units)]
    [0, 1]
    """
    return sorted(units, key=lambda unit: unit.born)[: max(1, len(units) // 4)]


def least_used(units: Sequence[Unit]) -> Sequence[Unit]:
    """Choose the quarter that was looked up longest ago.

    Looked up, not run: translated code that is chained to, or that a tier's own jump table finds,
    is entered without a look-up here. A loop that never leaves its links looks old.

    Parameters
    ----------
    units
        What is in the cache.

    Returns
    -------
    sequence
        What has to go.

    Examples
    --------
    >>> from virtlab.machine.translation.cache import Unit, UnitKey
    >>> units = [Unit(UnitKey(at, 0, 63), at, used=9 - at) for at in range(8)]
    >>> [unit.key.address for unit in least_used(units)]
    [7, 6]
    """
    return sorted(units, key=lambda unit: unit.used)[: max(1, len(units) // 4)]
