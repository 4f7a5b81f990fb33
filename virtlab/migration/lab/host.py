"""How busy the machine is: what is measured on a busy one is noise (Linux only).

Two measures. How busy the processors were says that there may have been noise. How long the threads
of QEMU stood ready and got no processor says how much of it reached the measurement.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Busy", "Clock", "Waiting", "load"]

_PROC = Path("/proc")
_STAT = _PROC / "stat"
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


class Waiting:
    """Adds up how long the threads of some processes wanted to run and got no processor.

    Parameters
    ----------
    pids
        The processes.
    proc
        The kernel's folder.

    Notes
    -----
    The kernel counts it for each thread (`/proc/PID/task/TID/schedstat`, in ns); a thread that ends
    takes its count along, so look often.

    Examples
    --------
    >>> Waiting([1], Path("not-there")).look() is None
    True
    """

    def __init__(self, pids: Sequence[int], proc: Path = _PROC) -> None:
        self._folders = [proc / str(pid) / "task" for pid in pids]
        self._first = self._counts()
        self._last = dict(self._first)

    def look(self) -> float | None:
        """Look once more.

        Returns
        -------
        float or None
            All waits since the start, ms; None where the system does not say.
        """
        self._last.update(self._counts())
        if not self._last:
            return None
        # A thread that was not there at the start began with 0.
        waited = (last - self._first.get(thread, 0) for thread, last in self._last.items())
        return sum(waited) / 1e6

    def _counts(self) -> dict[str, int]:
        counts = {}
        for folder in self._folders:
            for path in folder.glob("*/schedstat"):
                try:
                    counts[str(path)] = int(path.read_text(encoding="ascii").split()[1])
                except (OSError, IndexError):  # it ended meanwhile
                    continue
        return counts


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
