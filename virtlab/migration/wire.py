"""How long bytes take on the link: its rate, its limiter, its faults."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from virtlab.migration.link import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.migration.faults import Fault
    from virtlab.migration.link import Link

__all__ = ["Wire"]


class Wire:
    """The link as one migration uses it.

    A limiter grants `rate * quantum` bytes, which go as fast as the link can, and grants again when
    the quantum is over. What was sent beyond a grant counts against the next, and what is too
    little for a page is added to it.

    Parameters
    ----------
    link
        What there is.
    faults
        Those of the link are taken; the worst counts where they overlap.

    Examples
    --------
    >>> from virtlab.migration.link import Link
    >>> wire = Wire(Link(bandwidth_mib_s=1000, cap_mib_s=100))
    >>> wire.granted(now_s=0.0) / MIB  # in a quantum of 100 ms
    10.0
    >>> wire.used(10 * MIB)
    >>> wire.granted(now_s=0.05), wire.next_grant_s
    (0.0, 0.1)
    """

    def __init__(self, link: Link, faults: Sequence[Fault] = ()) -> None:
        self.link = link
        self.line_bytes_s = link.bandwidth_mib_s * MIB
        self.faults = [fault for fault in faults if fault.who == "link" and fault.for_s > 0]
        self._edges = sorted({t for f in self.faults for t in (f.at_s or 0.0, f.until_s)})
        self.next_grant_s = -math.inf
        self._grant = 0.0
        self._rate = math.inf

    def limit_bytes_s(self, rate_mib_s: float | None = None) -> float:
        """Return the limiter's rate, infinite where it is not below the link's.

        Parameters
        ----------
        rate_mib_s
            What the algorithm asks for; None for the link's own cap.

        Returns
        -------
        float
            Bytes a second.
        """
        rate = self.link.cap_mib_s if rate_mib_s is None else rate_mib_s
        return math.inf if rate is None or rate >= self.link.bandwidth_mib_s else rate * MIB

    def granted(self, now_s: float, rate_mib_s: float | None = None) -> float:
        """Return how many bytes may go now.

        Parameters
        ----------
        now_s
            Now, s.
        rate_mib_s
            What the algorithm asks for; None for the link's own cap.

        Returns
        -------
        float
            Bytes; zero or less when the grant is spent.
        """
        rate = self.limit_bytes_s(rate_mib_s)
        if math.isinf(rate):
            return rate
        if now_s >= self.next_grant_s - 1e-12 or rate != self._rate:
            quantum = self.link.quantum_ms / 1000
            self._grant = min(self._grant, self.link.page_bytes) + rate * quantum
            self.next_grant_s, self._rate = now_s + quantum, rate
        return self._grant

    def used(self, size_bytes: float) -> None:
        """Take bytes off the grant."""
        self._grant -= size_bytes

    def speed(self, now_s: float) -> float:
        """Return what part of its bandwidth the link has now, 0 to 1."""
        bad = [f.speed for f in self.faults if (f.at_s or 0.0) <= now_s < f.until_s]
        return min(bad, default=1.0)

    def damaged(self, now_s: float) -> float:
        """Return which part of the pages arrives damaged now."""
        if not self.faults:
            return 0.0
        bad = [f.damaged for f in self.faults if (f.at_s or 0.0) <= now_s < f.until_s]
        return max(bad, default=0.0)

    def seconds(self, size_bytes: float, now_s: float) -> float:
        """Return how long so many bytes take at the link's own rate, from now on.

        Parameters
        ----------
        size_bytes
            Bytes.
        now_s
            Now, s.

        Returns
        -------
        float
            Seconds.
        """
        at = now_s
        for edge in self._edges:
            if edge <= at:
                continue
            rate = self.line_bytes_s * self.speed(at)
            if rate * (edge - at) >= size_bytes:
                return at + size_bytes / rate - now_s if rate else 0.0
            size_bytes -= rate * (edge - at)
            at = edge
        return at + size_bytes / self.line_bytes_s - now_s  # after the last fault all is well

    def carried(self, seconds: float, now_s: float) -> float:
        """Return how many bytes get through from now on, at the rate that link and cap allow.

        Parameters
        ----------
        seconds
            How long, s.
        now_s
            Now, s.

        Returns
        -------
        float
            Bytes.
        """
        at, end, size = now_s, now_s + seconds, 0.0
        cap = self.limit_bytes_s()
        for edge in [*(e for e in self._edges if at < e < end), end]:
            size += min(self.line_bytes_s * self.speed(at), cap) * (edge - at)
            at = edge
        return size
