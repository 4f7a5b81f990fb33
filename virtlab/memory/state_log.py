"""A host's memory states over time: follow a series of looks, and see that it doesn't flap.

How the state changes is in `virtlab.memory.states`; here it is written down. A host **flaps** if it
is back in a state less than `Thresholds.calm_s` after leaving it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.memory.states import HostState, State, Thresholds
from virtlab.results import Result
from virtlab.validate import vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from virtlab.memory.states import Passage

__all__ = ["StateLog", "shortest_return_s", "watch"]


@dataclass(frozen=True, eq=False)
class StateLog(Result):
    """The states of a host over time.

    Attributes
    ----------
    time_s, free
        When it looked, and what was free, as a part of its memory.
    state
        The state after each look, as a `State`'s number.
    passages
        Each step from a state to its neighbour.
    thresholds
        Where the state changes.

    Examples
    --------
    >>> print(watch([0.2, 0.03, 0.015, 0.05, 0.07, 0.07], range(0, 60, 10)).explain())
    In 6 looks the host went through 4 steps: high > soft > hard > soft > high.
    """

    time_s: NDArray[np.float64]
    free: NDArray[np.float64]
    state: NDArray[np.int8]
    passages: tuple[Passage, ...]
    thresholds: Thresholds

    def to_frame(self) -> pd.DataFrame:
        """Return one row a look."""
        import pandas as pd

        labels = [State(number).label for number in self.state]
        return pd.DataFrame(
            {"time_s": self.time_s, "free_percent": 100 * self.free, "state": labels}
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return how often it stood in each state, in percent of the looks, and the steps."""
        looks = max(self.state.size, 1)
        parts: dict[str, float | int | str] = {
            f"{state.label}_percent": float(100 * (self.state == state).sum() / looks)
            for state in State
        }
        return {"looks": self.state.size, **parts, "steps": len(self.passages)}

    def explain(self) -> str:
        """Say through which states it went."""
        if not self.passages:
            where = State(int(self.state[0])).label if self.state.size else State.HIGH.label
            return f"In {self.state.size} looks the host stayed in {where}."
        steps = self.passages
        route = " > ".join(
            [steps[0].before.label, *(step.after.label for step in steps[:8])]
            + ["…"] * (len(steps) > 8)
        )
        word = "step" if len(steps) == 1 else "steps"
        return f"In {self.state.size} looks the host went through {len(steps)} {word}: {route}."


def watch(
    free: ArrayLike, time_s: ArrayLike | None = None, thresholds: Thresholds | None = None
) -> StateLog:
    """Follow a host's state over a series of looks at its free memory.

    Parameters
    ----------
    free
        Free memory at each look, as a part of the host's, from 0 to 1.
    time_s
        When it looked; once a second if not given.
    thresholds
        Where the state changes; the published ones if not given.

    Returns
    -------
    StateLog
        The state at each look, and all steps.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or there aren't as many times as looks.

    Examples
    --------
    >>> watch([0.2, 0.03, 0.015]).summary()["steps"]
    2
    """
    parts = vector("free", free, minimum=0)
    times = np.arange(parts.size) if time_s is None else time_s
    when = vector("time_s", times, size=parts.size)
    host = HostState(thresholds or Thresholds())
    state = np.empty(parts.size, dtype=np.int8)
    for i, (part, moment) in enumerate(zip(parts.tolist(), when.tolist(), strict=True)):
        host.look(part, moment)
        state[i] = host.state
    return StateLog(when, parts, state, tuple(host.passages), host.thresholds)


def shortest_return_s(passages: Sequence[Passage]) -> float:
    """Return after how many seconds at least a host was back in a state that it had left.

    A host flaps if that is less than its `calm_s`.

    Parameters
    ----------
    passages
        Its steps, in order.

    Returns
    -------
    float
        Seconds; infinite if it never came back to any.

    Examples
    --------
    >>> shortest_return_s(watch([0.2, 0.03, *[0.07] * 12]).passages)
    11.0
    """
    left: dict[State, float] = {}
    shortest = float("inf")
    for step in passages:
        left[step.before] = step.time_s
        if step.after in left:
            shortest = min(shortest, step.time_s - left[step.after])
    return shortest
