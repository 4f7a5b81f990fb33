"""A VM whose memory in use rises step by step and falls again, seen by the sampler (S24).

The paper shows a program that touches 50 to 250 MB in steps, in a guest whose own background uses
10 to 20 MB, and what the host's sampler makes of it: rises are followed within the period, falls
only over several. Here the same is run on a guest's real page numbers: a program walks over its
pages, a background picks a few at random, and the sampler asks about its hundred.

What it leaves out: the guest's zero-page thread, which in the paper makes a spike when the program
ends. How long the paper's steps last, and how large its guest is, is our guess; so are the gains.

Source: C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, figure 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.sampling import Sampler, SamplerSettings
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer, number, vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.random import Generator
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["STEPS_MIB", "SamplingRun", "sample_steps"]

STEPS_MIB = (0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 0.0, 0.0)
_BACKGROUND_MIB = 15.0  # the paper: 10 to 20 MB
_WALK_S = 10  # the program goes once over its memory in that time; ours
_PAGES_PER_MIB = 256


@dataclass(frozen=True, eq=False)
class SamplingRun(Result):
    """What was in use, and what the sampler thought, second by second.

    Attributes
    ----------
    time_s
        Seconds since the start.
    touched_mib
        What the program and the background touch over and over: what is truly in use.
    estimate_mib, slow_mib, fast_mib, running_mib
        The sampler's estimate and its three averages.
    vm_mib
        Memory of the VM.
    settings
        How it sampled.

    Examples
    --------
    >>> run = sample_steps((0, 200, 0), np.random.default_rng(6), step_s=600)
    >>> print(run.explain())
    Two thirds of a rise are in the estimate after 39 s, of a fall after 270 s. On average the \
estimate is 23 MiB above what is in use.
    """

    time_s: Floats
    touched_mib: Floats
    estimate_mib: Floats
    slow_mib: Floats
    fast_mib: Floats
    running_mib: Floats
    vm_mib: float
    settings: SamplerSettings

    def to_frame(self) -> pd.DataFrame:
        """Return one row a second."""
        import pandas as pd

        names = ("time_s", "touched_mib", "estimate_mib", "slow_mib", "fast_mib", "running_mib")
        return pd.DataFrame({name: getattr(self, name) for name in names})

    def followed_s(self, change: int) -> float:
        """Return how long after a change two thirds of it are in the estimate.

        Parameters
        ----------
        change
            Which change of what is in use, from 0.

        Returns
        -------
        float
            Seconds; infinite if the next change comes before.

        Raises
        ------
        InvalidInputError
            If there is no such change.

        Examples
        --------
        >>> run = sample_steps((0, 200, 0), np.random.default_rng(6), step_s=600)
        >>> run.followed_s(0) < run.followed_s(1)
        True
        """
        at = self._changes()
        which = integer("change", change, minimum=0, maximum=len(at) - 1)
        start = at[which]
        end = at[which + 1] if which + 1 < len(at) else self.time_s.size
        before, after = self.touched_mib[start - 1], self.touched_mib[start]
        part = (self.estimate_mib[start:end] - before) / (after - before)
        there = np.flatnonzero(part >= 2 / 3)
        return (
            float(self.time_s[start + there[0]] - self.time_s[start - 1]) if there.size else np.inf
        )

    def _changes(self) -> NDArray[np.intp]:
        """Return at which seconds what is in use changes."""
        return np.flatnonzero(np.diff(self.touched_mib) != 0) + 1

    def _followed(self) -> tuple[list[float], list[float]]:
        """Return how long each rise took, and each fall."""
        at = self._changes()
        times = [self.followed_s(i) for i in range(at.size)]
        up = (self.touched_mib[at] > self.touched_mib[at - 1]).tolist()
        return (
            [time for time, rises in zip(times, up, strict=True) if rises],
            [time for time, rises in zip(times, up, strict=True) if not rises],
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return how fast rises and falls are followed (their medians), and the mean error."""
        settled = self.time_s > self.settings.period_s
        error = (self.estimate_mib - self.touched_mib)[settled]
        told: dict[str, float | int | str] = {
            "seconds": self.time_s.size,
            "samples_per_period": self.settings.samples,
            "mean_error_mib": float(error.mean()) if error.size else 0.0,
        }
        for name, times in zip(("rise", "fall"), self._followed(), strict=True):
            if times:
                told[f"{name}_followed_s"] = float(np.median(times))
        return told

    def explain(self) -> str:
        """Say how fast rises and falls are followed, and how far off the estimate is."""
        told = self.summary()
        words = [
            f"of a {name}{verb} after {told[f'{name}_followed_s']:.0f} s"
            for name, verb in (("rise", " are in the estimate"), ("fall", ""))
            if f"{name}_followed_s" in told
        ]
        error = float(told["mean_error_mib"])
        side = "above" if error >= 0 else "below"
        tail = f"On average the estimate is {abs(error):.0f} MiB {side} what is in use."
        return f"Two thirds {', '.join(words)}. {tail}" if words else tail


def sample_steps(
    steps_mib: Sequence[float] = STEPS_MIB,
    rng: Generator | None = None,
    *,
    step_s: int = 300,
    vm_mib: float = 512.0,
    background_mib: float = _BACKGROUND_MIB,
    settings: SamplerSettings | None = None,
) -> SamplingRun:
    """Run a program that touches more and less memory, and sample its VM.

    Parameters
    ----------
    steps_mib
        What the program touches, step after step.
    rng
        Where samples and background are drawn from; seed 0 if not given.
    step_s
        How long a step lasts, in whole seconds.
    vm_mib
        Memory of the VM.
    background_mib
        What the guest itself touches, all the time.
    settings
        How the host samples; the published settings if not given.

    Returns
    -------
    SamplingRun
        What was in use and what was thought, second by second.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or a step and the background exceed the VM's memory.

    Examples
    --------
    >>> sample_steps((50, 100), step_s=60).touched_mib[[0, 59, 60]].tolist()
    [65.0, 65.0, 115.0]
    """
    draw = np.random.default_rng(0) if rng is None else rng
    memory = number("vm_mib", vm_mib, minimum=1)
    background = number("background_mib", background_mib, minimum=0, maximum=memory)
    steps = vector("steps_mib", steps_mib, minimum=0)
    seconds = integer("step_s", step_s, minimum=1)
    if steps.max(initial=0) > memory - background:
        worst = float(steps.max())
        raise InvalidInputError("steps_mib", worst, f"at most {memory - background:g}")
    sampler = Sampler(round(memory * _PAGES_PER_MIB), draw, settings)
    touched = np.repeat(steps, seconds)
    rows = np.empty((4, touched.size))
    own = round(background * _PAGES_PER_MIB)
    for second, size in enumerate(np.rint(touched * _PAGES_PER_MIB).astype(np.int64).tolist()):
        asked = sampler.sampled
        sampler.see(_touched(asked, second, own, size, draw))
        rows[:, second] = sampler.estimate, sampler.slow, sampler.fast, sampler.running
    time = np.arange(1, touched.size + 1, dtype=np.float64)
    estimate, slow, fast, running = rows * memory
    return SamplingRun(
        time, touched + background, estimate, slow, fast, running, memory, sampler.settings
    )


def _touched(
    asked: NDArray[np.int64], second: int, own: int, size: int, rng: Generator
) -> NDArray[np.bool_]:
    """Say which pages were touched in a second: a random part of the background, a piece of walk.

    The background's pages come first, the program's behind them.
    """
    behind = asked - own
    begin, end = (second % _WALK_S) * size // _WALK_S, (second % _WALK_S + 1) * size // _WALK_S
    walked = (behind >= begin) & (behind < end)
    return walked | ((asked < own) & (rng.random(asked.size) < 1 / _WALK_S * 3))
