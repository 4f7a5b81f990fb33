"""What happened in a guest, counted in pages, and what it cost in time."""

from __future__ import annotations

from dataclasses import dataclass
from operator import sub

from virtlab.memory.guest.costs import DISK_S, WRITE_S

__all__ = ["Counters"]


@dataclass
class Counters:
    """What happened in a guest so far, in pages.

    Attributes
    ----------
    touches
        Touches of objects.
    file_reads, swap_ins
        Guest faults that were read from a file, and from the guest's swap.
    zero_fills
        Guest faults on memory never used before.
    file_writes, swap_outs
        Pages written when they had to leave.
    dropped
        Pages that could leave without being written.
    host_faults
        Pages that the host had swapped out and had to fetch when the guest used them.
    double_paging
        Those among them that the guest only wanted in order to evict them.

    Examples
    --------
    >>> counted = Counters(file_reads=10, swap_outs=8)
    >>> round(counted.waited_s, 4)
    0.0082
    """

    touches: int = 0
    file_reads: int = 0
    swap_ins: int = 0
    zero_fills: int = 0
    file_writes: int = 0
    swap_outs: int = 0
    dropped: int = 0
    host_faults: int = 0
    double_paging: int = 0

    @property
    def waited_s(self) -> float:
        """How long programs waited for disks, seconds."""
        reads = self.file_reads + self.swap_ins + self.host_faults
        return reads * DISK_S + (self.file_writes + self.swap_outs) * WRITE_S

    def since(self, before: Counters) -> Counters:
        """Return what happened since an earlier state.

        Parameters
        ----------
        before
            A copy of the counters, taken then.

        Returns
        -------
        Counters
            The differences.
        """
        return Counters(*map(sub, vars(self).values(), vars(before).values()))

    def copy(self) -> Counters:
        """Return the counters as they are now."""
        return self.since(Counters())
