"""The network between the two hosts.

A page takes 4,096 bytes and a header, a page of zeros a few bytes that say so. Both were measured
on QEMU: 4,104 and 9 bytes (`data/README.md`). A **limiter** caps the rate: in each quantum it lets
so many bytes go as fast as the link can, then waits for the next quantum, as QEMU does with 100 ms.

Several migrations share a link as VMs share a disk: by shares, between bounds, with the one
allocator (`virtlab.resources.allocate`).

What is left out: TCP's own control of its rate, other traffic, and loss below the level of a page.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from virtlab.migration.vm import PAGE_BYTES
from virtlab.resources import allocate
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["GIGABIT_MIB_S", "MIB", "Link", "mib_s"]

MIB = 2**20


def mib_s(mbit_s: float) -> float:
    """Return a rate in MiB/s, given in Mbit/s (10^6 bits a second).

    Parameters
    ----------
    mbit_s
        The rate, Mbit/s.

    Returns
    -------
    float
        MiB/s.

    Examples
    --------
    >>> round(mib_s(1000), 1)
    119.2
    """
    return mbit_s * 1e6 / 8 / MIB


GIGABIT_MIB_S = mib_s(1000)


@dataclass(frozen=True)
class Link:
    """What pages travel over.

    Attributes
    ----------
    bandwidth_mib_s
        What the link carries, MiB/s.
    cap_mib_s
        What the limiter lets through, MiB/s; None for no limiter.
    latency_ms
        One way, ms.
    quantum_ms
        Period of the limiter, ms.
    page_header_bytes, zero_page_bytes
        Header of a page; what a page of zeros takes in all, bytes.
    resend_ratio
        Bytes of a page that is sent again, as a part of the page: 1 without compression. XBZRLE
        sends what changed since the last time; `virtlab.migration.memory.resend_ratio` measures.

    Examples
    --------
    >>> link = Link(bandwidth_mib_s=1000, cap_mib_s=64)
    >>> link.rate_mib_s, link.page_bytes
    (64, 4104)
    >>> round(link.seconds(link.wire_bytes(16384)), 3)  # 64 MiB of pages
    1.002
    """

    bandwidth_mib_s: float = GIGABIT_MIB_S
    cap_mib_s: float | None = None
    latency_ms: float = 0.1
    quantum_ms: float = 100.0
    page_header_bytes: int = 8
    zero_page_bytes: int = 9
    resend_ratio: float = 1.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        for field in ("bandwidth_mib_s", "cap_mib_s", "quantum_ms"):
            value = getattr(self, field)
            if (field, value) != ("cap_mib_s", None) and number(field, value, minimum=0) == 0:
                raise InvalidInputError(field, value, "a number > 0")
        number("latency_ms", self.latency_ms, minimum=0)
        integer("page_header_bytes", self.page_header_bytes, minimum=0)
        integer("zero_page_bytes", self.zero_page_bytes, minimum=0)
        number("resend_ratio", self.resend_ratio, minimum=0, maximum=1)

    @cached_property
    def rate_mib_s(self) -> float:
        """What gets through in the long run: the link's bandwidth or the limiter's cap, MiB/s."""
        return (
            self.bandwidth_mib_s
            if self.cap_mib_s is None
            else min(self.cap_mib_s, self.bandwidth_mib_s)
        )

    @cached_property
    def pages_s(self) -> float:
        """How many pages with contents get through in the long run, pages/s."""
        return self.rate_mib_s * MIB / self.page_bytes

    @cached_property
    def page_bytes(self) -> int:
        """A page with its header, bytes."""
        return PAGE_BYTES + self.page_header_bytes

    @cached_property
    def _resent_bytes(self) -> int:
        return self.page_header_bytes + math.ceil(PAGE_BYTES * self.resend_ratio)

    def wire_bytes(self, full: int, zero: int = 0, again: int = 0) -> int:
        """Return what pages take on the wire.

        Parameters
        ----------
        full, zero, again
            Pages with contents that are sent for the first time; pages of zeros; pages with
            contents that are sent again.

        Returns
        -------
        int
            Bytes.
        """
        resent = self._resent_bytes if again else 0
        return full * self.page_bytes + zero * self.zero_page_bytes + again * resent

    def seconds(self, size_bytes: float) -> float:
        """Return how long so many bytes take in the long run, without latency.

        Parameters
        ----------
        size_bytes
            Bytes.

        Returns
        -------
        float
            Seconds.
        """
        return size_bytes / (self.rate_mib_s * MIB)

    def divided(self, shares: ArrayLike, wanted_mib_s: ArrayLike = math.inf) -> tuple[Link, ...]:
        """Return what each of several migrations has of this link.

        Parameters
        ----------
        shares
            One number for each migration.
        wanted_mib_s
            What each can use at most, MiB/s.

        Returns
        -------
        tuple of Link
            One for each: the same link with its part of the rate.

        Examples
        --------
        >>> [part.bandwidth_mib_s for part in Link(bandwidth_mib_s=90).divided([1000, 2000])]
        [30.0, 60.0]
        """
        parts = allocate(self.rate_mib_s, shares, maximum=wanted_mib_s, unit="MiB/s").allocation
        return tuple(replace(self, bandwidth_mib_s=float(part), cap_mib_s=None) for part in parts)
