"""Presets: three words instead of numbers (S20).

An administrator says high, normal or low, and means 4:2:1. How many shares that is depends on the
resource: a VM with two virtual processors gets twice the shares of CPU, a VM with twice the
memory twice the shares of memory, so that 'normal' buys the same per processor and per megabyte
everywhere. A disk has one number whatever its size.

    CPU     500 / 1000 / 2000 a virtual processor
    memory    5 /   10 /   20 a megabyte
    disk    500 / 1000 / 2000 a disk

Sources: `SharesInfo.level` of the vSphere API (VMware Infrastructure 3 and later) has these
numbers; ESX Server 2.5 already gives 10 shares a megabyte at 'normal' (Administration Guide 2004,
p. 353: 2560 for 256 MB, 10240 for 1 GB) and takes any number from 0 to 100000, where 0 means:
exactly the minimum. What is left out: the slightly different numbers of single ESX 2 releases.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from virtlab.validate import InvalidInputError, number, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ESX25_RANGE", "LEVELS", "RESOURCES", "preset", "read_shares"]

LEVELS: Final = ("low", "normal", "high")
ESX25_RANGE: Final = (0, 100_000)

RESOURCES: Final[Mapping[str, tuple[float, str]]] = MappingProxyType(
    {"cpu": (1000.0, "vCPU"), "memory": (10.0, "MB"), "disk": (1000.0, "disk")}
)
"""Shares at 'normal', and of what."""

_FACTOR: Final = MappingProxyType({"low": 0.5, "normal": 1.0, "high": 2.0})


def preset(resource: str, level: str, amount: float = 1) -> float:
    """Return the shares that a word stands for.

    Parameters
    ----------
    resource
        'cpu', 'memory' or 'disk'.
    level
        'low', 'normal' or 'high'.
    amount
        Virtual processors, megabytes of memory, or disks.

    Returns
    -------
    float
        Shares.

    Raises
    ------
    InvalidInputError
        If a word is unknown or the amount negative.

    Examples
    --------
    >>> [preset("disk", level) for level in LEVELS]
    [500.0, 1000.0, 2000.0]
    >>> preset("memory", "normal", 256)
    2560.0
    >>> preset("cpu", "high", 2)
    4000.0
    """
    one = RESOURCES[one_of("resource", resource, tuple(RESOURCES))][0]
    return one * _FACTOR[one_of("level", level, LEVELS)] * number("amount", amount, minimum=0)


def read_shares(field: str, text: str, resource: str = "disk", amount: float = 1) -> float:
    """Read shares that a person typed: a number, or one of the three words.

    Parameters
    ----------
    field
        Where it was typed, for the error.
    text
        For instance '1000' or 'high'.
    resource, amount
        What the word is for, as in `preset`.

    Returns
    -------
    float
        Shares, >= 0.

    Raises
    ------
    InvalidInputError
        If it is neither.

    Examples
    --------
    >>> read_shares("shares", "high"), read_shares("shares", " 1500 ")
    (2000.0, 1500.0)
    >>> read_shares("shares", "much")
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: shares = 'much': must be a number >= 0, or low, normal, high
    """
    word = text.strip().lower()
    if word in LEVELS:
        return preset(resource, word, amount)
    try:
        return number(field, float(word), minimum=0)
    except ValueError as error:
        allowed = "a number >= 0, or " + ", ".join(LEVELS)
        raise InvalidInputError(field, text, allowed) from error
