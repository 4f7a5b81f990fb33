"""How busy the machine is: what is measured on a busy one is noise (Linux only)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Busy", "Clock", "load"]

_STAT = Path("/proc/stat")
_IDLE, _WAITING, _STOLEN = 3, 4, 7  # columns of the line 'cpu' of /proc/stat, proc(5)


@dataclass(frozen=True)
class Busy:
    """How busy all processors were over a time.

    Attributes
    ----------
    busy_pct
        Time in which they did something, percent.
    steal_pct
        Time that a hypervisor below us gave to others, percent.
    """

    busy_pct: float
    steal_pct: float


class Clock:
    """Counts processor time from when it is made.

    Parameters
    ----------
    stat
        The kernel's file.

    Examples
    --------
    >>> Clock(Path("not-there")).busy() is None
    True
    """

    def __init__(self, stat: Path = _STAT) -> None:
        self._stat = stat
        self._start = self._times()

    def busy(self) -> Busy | None:
        """Return how busy the processors were since the start.

        Returns
        -------
        Busy or None
            None where the system does not say.
        """
        now = self._times()
        if not self._start or not now:
            return None
        spent = [after - before for before, after in zip(self._start, now, strict=True)]
        total = max(sum(spent), 1)
        idle = spent[_IDLE] + spent[_WAITING]
        return Busy(100 * (total - idle) / total, 100 * spent[_STOLEN] / total)

    def _times(self) -> list[int]:
        """Return user, nice, system, idle, iowait, irq, softirq and steal, in ticks."""
        try:
            line = self._stat.read_text(encoding="ascii").splitlines()[0]
        except (OSError, IndexError):
            return []
        return [int(ticks) for ticks in line.split()[1:9]]


def load() -> float:
    """Return how many processes wanted to run on average over the last minute.

    Returns
    -------
    float
        The load; 0 where the system does not say.

    Examples
    --------
    >>> load() >= 0
    True
    """
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return 0.0
