"""Measure several contenders side by side, so that the comparison survives a noisy machine.

All contenders of a race run in one process, in turns: first, second, third, first, second, ...
Whatever slows the machine down slows all of them. Medians are compared, and the ratio is taken
turn by turn against one contender, the yardstick, before its median and spread are taken.
"""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Race", "machine", "race"]

_TURN_S = 0.02


@dataclass(frozen=True)
class Race:
    """Times of the contenders.

    Attributes
    ----------
    title
        What is raced.
    yardstick
        The contender that the others are compared with.
    seconds
        One list of times a contender, turn by turn.
    """

    title: str
    yardstick: str
    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Return the median time of a contender, in seconds.

        Parameters
        ----------
        name
            Which.

        Returns
        -------
        float
            Seconds.
        """
        return statistics.median(self.seconds[name])

    def ratio(self, name: str) -> float:
        """Return how many times as long as the yardstick a contender takes.

        Parameters
        ----------
        name
            Which.

        Returns
        -------
        float
            Median of the ratios turn by turn.
        """
        return statistics.median(self._ratios(name))

    def _ratios(self, name: str) -> list[float]:
        pairs = zip(self.seconds[name], self.seconds[self.yardstick], strict=True)
        return [mine / theirs for mine, theirs in pairs]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a contender: median time, and its ratio with the middle half's spread."""
        rows = []
        for name, times in self.seconds.items():
            low, middle, high = np.percentile(self._ratios(name), [25, 50, 75])
            rows.append(
                {
                    "contender": name,
                    "median_ms": 1000 * self.median(name),
                    "best_ms": 1000 * min(times),
                    f"times as long as {self.yardstick}": middle,
                    "middle half": f"{low:.3g} to {high:.3g}",
                    "turns": len(times),
                }
            )
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        """Write the title and the table."""
        table = self.to_frame().to_string(index=False, float_format=lambda value: f"{value:.4g}")
        return f"{self.title}\n{table}\n"


def race(
    title: str,
    contenders: Mapping[str, Callable[[], object]],
    *,
    yardstick: str | None = None,
    turns: int = 15,
    warm_up: int = 2,
) -> Race:
    """Time some functions in turns.

    Parameters
    ----------
    title
        What is raced.
    contenders
        Functions without arguments, by name.
    yardstick
        The name of the one to compare with; the first if not given.
    turns
        How often each runs.
    warm_up
        Turns before that, which do not count.

    Returns
    -------
    Race
        Their times.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    gc.disable()
    try:
        repeats = {name: _repeats(run) for name, run in contenders.items()}
        for turn in range(-warm_up, turns):
            for name, run in contenders.items():
                elapsed = _time(run, repeats[name])
                if turn >= 0:
                    seconds[name].append(elapsed)
    finally:
        gc.enable()
    return Race(title, yardstick or next(iter(contenders)), seconds)


def _time(run: Callable[[], object], repeats: int) -> float:
    """Return the seconds that one of some calls in a row takes."""
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def _repeats(run: Callable[[], object]) -> int:
    """Return how many calls fill a turn, so that a short one is not timed with cold caches."""
    return max(1, round(_TURN_S / max(min(_time(run, 1), _time(run, 1)), 1e-7)))


def machine() -> str:
    """Return one line on the machine that a table was measured on.

    Returns
    -------
    str
        Processor, cores, memory, load, system, Python and NumPy.
    """
    model = platform.processor() or platform.machine()
    memory = ""
    info, total = Path("/proc/cpuinfo"), Path("/proc/meminfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    if total.exists():
        memory = f", {int(total.read_text().split()[1]) / 2**20:.0f} GiB"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{model}, {os.cpu_count()} cores{memory}{load}; {platform.system()}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )
