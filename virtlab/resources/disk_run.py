"""What a disk queue did: every request, what each VM got in time, and how fair it was (S20).

Throughput is counted from the bytes as they move: a request that is in service across the end of
a window counts in both windows, for the part that moved in each, so no byte is lost or counted
twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.shares import allocate
from virtlab.results import Result
from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from virtlab.resources.disk import Change, Disk, DiskLoad
    from virtlab.resources.disk_policies import Units

    Floats = NDArray[np.float64]

__all__ = ["DiskRun", "Phase"]

_ROW = ["from_s", "to_s", "name", "shares", "mb_per_s", "entitled_mb_per_s", "by_units_mb_per_s"]
_COLUMNS = ("vm", "size_kb", "units", "issued_s", "started_s", "done_s")


@dataclass(frozen=True)
class Phase:
    """A stretch of time in which neither shares nor who is busy change.

    Attributes
    ----------
    from_s, to_s
        Its bounds.
    shares
        Shares of each VM.
    busy
        Whether each VM issues requests.
    """

    from_s: float
    to_s: float
    shares: tuple[float, ...]
    busy: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class DiskRun(Result):
    """What `virtlab.resources.disk.serve` returns.

    Attributes
    ----------
    names
        Names of the VMs.
    loads, disk, units, changes, seconds
        As given.
    served
        One column a request, in the order of service; rows: VM (from 0), size in KB, units, and
        the seconds at which it was issued, started and done.

    Examples
    --------
    >>> from virtlab.resources.disk import DiskLoad, serve
    >>> run = serve([DiskLoad(1000), DiskLoad(3000)], seconds=4)
    >>> run.mb_per_s.round(1).tolist()
    [40.0, 120.0]
    >>> run.trace().columns.tolist()
    ['name', 'size_kb', 'units', 'issued_s', 'started_s', 'done_s']
    """

    names: tuple[str, ...]
    loads: tuple[DiskLoad, ...]
    disk: Disk
    units: Units
    changes: tuple[Change, ...]
    seconds: float
    served: Floats

    @property
    def mb_per_s(self) -> Floats:
        """What each VM got over the whole run, MB/s."""
        return self._rates(0.0, self.seconds)

    def moved_mb(self, vm: int, times_s: Floats) -> Floats:
        """Return how much one VM has moved up to some times.

        Parameters
        ----------
        vm
            Which, from 0.
        times_s
            When, in rising order.

        Returns
        -------
        ndarray
            MB, never falling.

        Examples
        --------
        >>> from virtlab.resources.disk import DiskLoad, serve
        >>> serve([DiskLoad()], seconds=1).moved_mb(0, np.array([0, 0.5, 1]))
        array([  0.,  80., 160.])
        """
        mine = self.served[:, self.served[0] == vm]
        if mine.shape[1] == 0:
            return np.zeros_like(np.asarray(times_s, dtype=np.float64))
        # nothing moves while the command is set up; then bytes move evenly
        starts = mine[4] + self.disk.command_us * 1e-6
        after = np.cumsum(mine[1]) / 1024
        before = after - mine[1] / 1024
        points = np.stack([starts, mine[5]], axis=1).ravel()
        moved = np.stack([before, after], axis=1).ravel()
        return np.asarray(np.interp(times_s, points, moved))

    def throughput(self, window_s: float = 0.5) -> pd.DataFrame:
        """Return what each VM got in each window.

        Parameters
        ----------
        window_s
            Length of a window, > 0; the last may be shorter.

        Returns
        -------
        pandas.DataFrame
            Columns from_s, to_s, name, mb_per_s.

        Raises
        ------
        InvalidInputError
            If the window has no length.
        """
        import pandas as pd

        if number("window_s", window_s, minimum=0) == 0:
            raise InvalidInputError("window_s", window_s, "a number > 0")
        edges = np.append(np.arange(0, self.seconds - 1e-9, window_s), self.seconds)
        rates = [np.diff(self.moved_mb(vm, edges)) / np.diff(edges) for vm in self._vms]
        return pd.DataFrame(
            {
                "from_s": np.repeat(edges[:-1], len(self.names)),
                "to_s": np.repeat(edges[1:], len(self.names)),
                "name": list(self.names) * (edges.size - 1),
                "mb_per_s": np.stack(rates, axis=1).ravel(),
            }
        )

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The run, cut where shares change or a VM falls idle or wakes."""
        cuts = {0.0, self.seconds, *(change.at_s for change in self.changes)}
        cuts |= {t for load in self.loads for interval in load.busy for t in interval}
        times = sorted(t for t in cuts if 0 <= t <= self.seconds)
        shares = [load.shares for load in self.loads]
        phases = []
        for start, end in pairwise(times):
            for change in self.changes:
                if change.at_s <= start:
                    shares[change.vm] = change.shares
            busy = tuple(load.is_busy(start) for load in self.loads)
            phases.append(Phase(start, end, tuple(shares), busy))
        return tuple(phases)

    def entitled(self, phase: Phase) -> Floats:
        """Return what `allocate` says each VM should get in a phase, in bytes.

        Parameters
        ----------
        phase
            One of `phases`.

        Returns
        -------
        ndarray
            MB/s; 0 for a VM that is idle.
        """
        lid = np.where(phase.busy, np.inf, 0.0)
        return allocate(self.disk.bandwidth_mb_s, phase.shares, maximum=lid).allocation

    def entitled_by_units(self, phase: Phase) -> Floats:
        """Return the bytes that come out when the *units* are divided by shares.

        Parameters
        ----------
        phase
            One of `phases`.

        Returns
        -------
        ndarray
            MB/s; the same as `entitled` if all requests have one size and commands take no time.

        Notes
        -----
        A VM with shares r and requests of u units and b MB (on average) gets requests in
        proportion to r / u; their rate is what fills the disk's time.
        """
        sizes = [np.array(load.sizes_kb) for load in self.loads]
        mb = np.array([size.mean() / 1024 for size in sizes])
        units = np.array([np.mean([self.units.of(float(s)) for s in size]) for size in sizes])
        seconds = self.disk.command_us * 1e-6 + mb / self.disk.bandwidth_mb_s
        pace = np.where(phase.busy, np.array(phase.shares) / units, 0.0)
        busy_time = float(pace @ seconds)
        return pace * mb / busy_time if busy_time else pace

    def gap_per_share(self, a: int, b: int) -> tuple[float, float]:
        """Return the worst unfairness between two VMs, and the bound that the theory gives.

        Parameters
        ----------
        a, b
            Two VMs, from 0. Their shares must not change during the run.

        Returns
        -------
        tuple of float
            The largest |W_a / r_a - W_b / r_b| over all intervals in which both had requests
            waiting or in service, and l_a / r_a + l_b / r_b, in units per share.

        Raises
        ------
        InvalidInputError
            If the shares of one of them change.

        Examples
        --------
        >>> from virtlab.resources.disk import DiskLoad, serve
        >>> gap, bound = serve([DiskLoad(1000), DiskLoad(3000)]).gap_per_share(0, 1)
        >>> gap <= bound * (1 + 1e-9)
        True
        """
        if any(change.vm in (a, b) for change in self.changes):
            raise InvalidInputError("changes", self.changes, "none for these two VMs")
        vm, _, units, issued, _, done = self.served
        per_share = [np.cumsum(units * (vm == i)) / self.loads[i].shares for i in (a, b)]
        ahead = np.append(0.0, per_share[0] - per_share[1])  # at the start, after each request
        ends = np.append(0.0, done)
        worst = 0.0
        for start, end in _both(
            _backlog(issued[vm == a], done[vm == a]), _backlog(issued[vm == b], done[vm == b])
        ):
            inside = ahead[(ends >= start) & (ends <= end)]
            if inside.size:
                worst = max(worst, float(np.ptp(inside)))
        largest = [units[vm == i].max(initial=0.0) / self.loads[i].shares for i in (a, b)]
        return worst, float(sum(largest))

    def trace(self) -> pd.DataFrame:
        """Return one row a request, in the order of service."""
        import pandas as pd

        frame = pd.DataFrame(dict(zip(_COLUMNS[1:], self.served[1:], strict=True)))
        frame.insert(0, "name", np.array(self.names)[self.served[0].astype(int)])
        return frame

    def to_frame(self) -> pd.DataFrame:
        """Return one row a VM and phase: what it got, and what it should have got."""
        import pandas as pd

        rows = []
        for phase in self.phases:
            got = self._rates(phase.from_s, phase.to_s)
            due, by_units = self.entitled(phase), self.entitled_by_units(phase)
            rows += [
                {
                    "from_s": phase.from_s,
                    "to_s": phase.to_s,
                    "name": name,
                    "shares": phase.shares[vm],
                    "mb_per_s": got[vm],
                    "entitled_mb_per_s": due[vm],
                    "by_units_mb_per_s": by_units[vm],
                }
                for vm, name in enumerate(self.names)
            ]
        return pd.DataFrame(rows, columns=_ROW)

    def summary(self) -> dict[str, float | int | str]:
        """Return how much moved, how busy the disk was, and how far off the shares it was."""
        frame = self.to_frame()
        time = self.served[5].clip(max=self.seconds) - self.served[4]
        off = (frame["mb_per_s"] - frame["entitled_mb_per_s"]).abs()
        units_off = (frame["mb_per_s"] - frame["by_units_mb_per_s"]).abs()
        return {
            "seconds": self.seconds,
            "requests": self.served.shape[1],
            "mb_per_s": float(self.mb_per_s.sum()),
            "busy_percent": 100 * float(time.sum()) / self.seconds if self.seconds else 0.0,
            "worst_off_mb_per_s": float(off.max()) if len(off) else 0.0,
            "worst_off_units_mb_per_s": float(units_off.max()) if len(off) else 0.0,
        }

    @property
    def events(self) -> tuple[tuple[float, str], ...]:
        """What happens on the way: when, and in words.

        Examples
        --------
        >>> from virtlab.resources.disk import DiskLoad, serve
        >>> serve([DiskLoad(), DiskLoad(busy=((0, 1), (2, 5)))], seconds=3).events
        ((1, 'VM2 idle'), (2, 'VM2 is back'))
        """
        found = []
        for before, after in pairwise(self.phases):
            words = []
            for vm, name in enumerate(self.names):
                if before.shares[vm] != after.shares[vm]:
                    words.append(f"{name}: {after.shares[vm]:g} shares")
                if before.busy[vm] != after.busy[vm]:
                    words.append(f"{name} is back" if after.busy[vm] else f"{name} idle")
            found.append((after.from_s, ", ".join(words)))
        return tuple(found)

    def explain(self) -> str:
        """Say what the VMs got at first, and after each event."""
        if not self.phases:
            return "No time has passed."
        first, *later = self.phases
        rates = [f"{rate:.1f}" for rate in self._rates(first.from_s, first.to_s)]
        ratio = ":".join(f"{share:g}" for share in first.shares)
        pairs = ", ".join(" ".join(pair) for pair in zip(self.names, rates, strict=True))
        sentences = [f"Shares {ratio}: {pairs} MB/s."]
        for phase, (_, words) in zip(later, self.events, strict=True):
            got = ", ".join(f"{rate:.1f}" for rate in self._rates(phase.from_s, phase.to_s))
            sentences.append(f"From {phase.from_s:g} s ({words or 'no change'}): {got}.")
        return " ".join(sentences)

    @property
    def _vms(self) -> range:
        return range(len(self.names))

    def _rates(self, start: float, end: float) -> Floats:
        """Return MB/s of each VM between two times."""
        if end <= start:
            return np.zeros(len(self.names))
        edges = np.array([start, end])
        moved = [float(np.diff(self.moved_mb(vm, edges))[0]) for vm in self._vms]
        return np.array(moved) / (end - start)


def _backlog(issued: Floats, done: Floats) -> list[tuple[float, float]]:
    """Join the lives of one VM's requests (in order of service) to stretches without a gap."""
    stretches: list[tuple[float, float]] = []
    for start, end in zip(issued.tolist(), done.tolist(), strict=True):
        if stretches and start <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], max(end, stretches[-1][1]))
        else:
            stretches.append((start, end))
    return stretches


def _both(
    first: list[tuple[float, float]], second: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return where stretches of both lists overlap."""
    overlaps = ((max(a, c), min(b, d)) for a, b in first for c, d in second)
    return [(start, end) for start, end in overlaps if start < end]
