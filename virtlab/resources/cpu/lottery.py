"""Chance or account: how far a lottery strays from its part, and a stride scheduler does not (S21).

A lottery gives a client with a part p of all shares each quantum with chance p. After n quanta it
has n p in the mean, with variance n p (1 - p): its distance from its part **grows** as the root of
time, although its rate gets ever better. A stride scheduler keeps accounts, and with two clients
its distance stays within one quantum. Both are fair in the long run; only one is so in the short.

The published runs are single ones, so each is held against many of ours: where among them does it
lie? `z` is its distance from what the shares say in standard deviations of the law above.

Source: C. Waldspurger, W. Weihl, "Lottery scheduling", OSDI 1994: quantum 100 ms; 20 : 1 gave
19.08 : 1 over 3 minutes, one run of 10 : 1 gave 13.42 : 1 in 60 s, 2 : 1 gave 2.01 : 1 over 200 s.
What is left out: the paper's kernel and its programs; ours always compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.cpu.policies import Lottery
from virtlab.resources.cpu.scheduler import schedule
from virtlab.resources.cpu.vms import CpuVM
from virtlab.results import Result
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["PUBLISHED_RATIOS", "Chance", "PublishedRatio", "chance"]

_QUANTUM_MS = 100.0


@dataclass(frozen=True)
class PublishedRatio:
    """A run of the paper.

    Attributes
    ----------
    shares
        Of the larger client; the other has 1.
    seconds
        How long it was.
    observed
        What the larger one got, for 1 of the other.

    Examples
    --------
    >>> [round(run.z, 2) for run in PUBLISHED_RATIOS]
    [-0.43, 1.84, 0.11]
    """

    shares: float
    seconds: float
    observed: float

    @property
    def z(self) -> float:
        """Distance from what the shares say, in standard deviations of its quanta."""
        quanta = 1000 * self.seconds / _QUANTUM_MS
        part = self.shares / (self.shares + 1)
        got = quanta * self.observed / (self.observed + 1)
        return float((got - quanta * part) / np.sqrt(quanta * part * (1 - part)))


PUBLISHED_RATIOS = (
    PublishedRatio(20, 180, 19.08),
    PublishedRatio(10, 60, 13.42),
    PublishedRatio(2, 200, 2.01),
)
"""Waldspurger and Weihl 1994."""


@dataclass(frozen=True, eq=False)
class Chance(Result):
    """What `chance` returns.

    Attributes
    ----------
    shares
        Of the larger client; the other has 1.
    times_s
        The end of each quantum, and 0.
    stride
        How far the larger client is from its part at each, in quanta, under stride.
    lottery
        The same under a lottery: shape (runs, moments).
    """

    shares: float
    times_s: Floats
    stride: Floats
    lottery: Floats

    @property
    def part(self) -> float:
        """The larger client's part."""
        return self.shares / (self.shares + 1)

    @property
    def law(self) -> Floats:
        """Standard deviation at each moment by the law, in quanta."""
        quanta = 1000 * self.times_s / _QUANTUM_MS
        return np.sqrt(quanta * self.part * (1 - self.part))

    @property
    def ratios(self) -> Floats:
        """What the larger client got for 1 of the other, at the end of each run of the lottery."""
        quanta = 1000 * self.times_s[-1] / _QUANTUM_MS
        got = self.lottery[:, -1] + quanta * self.part
        return np.asarray(got / (quanta - got))

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each tenth of the time: what strayed so far, and the law."""
        import pandas as pd

        rows = np.linspace(0, len(self.times_s) - 1, 11).astype(int)[1:]
        return pd.DataFrame(
            {
                "seconds": self.times_s[rows],
                "stride_off_quanta": np.maximum.accumulate(np.abs(self.stride))[rows],
                "lottery_deviation_quanta": self.lottery.std(axis=0)[rows],
                "law_quanta": self.law[rows],
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return the numbers at the end."""
        return {
            "shares": self.shares,
            "seconds": float(self.times_s[-1]),
            "runs": len(self.lottery),
            "stride_off_quanta": float(np.abs(self.stride).max()),
            "lottery_deviation_quanta": float(self.lottery[:, -1].std()),
            "law_quanta": float(self.law[-1]),
            "ratio_mean": float(self.ratios.mean()),
            "ratio_lowest": float(self.ratios.min()),
            "ratio_highest": float(self.ratios.max()),
        }

    def explain(self) -> str:
        """Say how far each strays."""
        told = self.summary()
        return (
            f"{self.shares:g} : 1 for {told['seconds']:g} s: stride is never more than "
            f"{told['stride_off_quanta']:.2g} quanta from its part; {told['runs']} lotteries "
            f"deviate by {told['lottery_deviation_quanta']:.3g} quanta in the end, where the law "
            f"says {told['law_quanta']:.3g}, and give from {told['ratio_lowest']:.4g} to "
            f"{told['ratio_highest']:.4g} : 1."
        )


def chance(shares: float = 2, seconds: float = 60, runs: int = 40, *, seed: int = 0) -> Chance:
    """Run two clients by lotteries and by stride, and measure how far they stray.

    Parameters
    ----------
    shares
        Of the larger client; the other has 1.
    seconds
        How long, in quanta of 100 ms.
    runs
        How many lotteries.
    seed
        Of the first; each has its own.

    Returns
    -------
    Chance
        Distances from the part, over time.

    Raises
    ------
    InvalidInputError
        If a number is wrong.

    Examples
    --------
    >>> found = chance(2, 60, runs=20)
    >>> found.summary()["stride_off_quanta"] < 1 < found.summary()["lottery_deviation_quanta"]
    True
    """
    if number("shares", shares, minimum=1) * seconds > 1e6 or number("seconds", seconds) < 1:
        raise InvalidInputError("seconds", seconds, "from 1 to a million / shares")
    integer("runs", runs, minimum=2)
    times = np.arange(round(1000 * seconds / _QUANTUM_MS) + 1) * _QUANTUM_MS / 1000

    def off(policy: Lottery | None, of: int) -> Floats:
        run = schedule(
            [CpuVM("big", shares), CpuVM("small", 1)],
            seconds=seconds,
            quantum_ms=_QUANTUM_MS,
            policy=policy,
            seed=of,
        )
        away = run.received_s(0, times) - times * shares / (shares + 1)
        return np.asarray(away * 1000 / _QUANTUM_MS)

    lottery = np.stack([off(Lottery(), seed + k) for k in range(runs)])
    return Chance(float(shares), times, off(None, 0), lottery)
