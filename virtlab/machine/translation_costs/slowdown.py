"""How much slower a guest runs under either monitor, from how often it does what (S18).

    slowdown = 1 + sum(rate * (cost - native cost)) / clock

Rates are per second that the program takes natively, costs those of the fit, the clock the P4's.
Later processors made the exit cheaper: 3,963 cycles there and back on a Prescott, 761 on a
Westmere. What else of HW's overhead fell with it is an assumption, so it is a switch: nothing, or
everything in proportion. (On Core, forkwait's overhead fell even more: `held_out`.) BT's costs stay
those of the P4. HW and BT cost the same where the exit costs so many cycles:

    cross = (BT's overhead - HW's overhead without the exit) / exits a second

Source: round trips of VT-x by processor: Bugnion, Nieh, Tsafrir (2017), table 4.2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd

from virtlab.datasets import translation_costs
from virtlab.machine.translation_costs.forks import FORKS, fork_events
from virtlab.machine.translation_costs.parts import (
    RECIPES,
    CostFit,
    fit_costs,
    published,
    transition,
)
from virtlab.results import Result
from virtlab.validate import number, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RESTS", "Load", "Slowdown", "fork_load", "round_trips", "slowdown"]

RESTS = ("stays", "in proportion")  # what becomes of HW's work at an exit when exits get cheaper
_ROWS = {
    "syscalls": "syscall",
    "page_faults": "page fault",
    "hidden_faults": "hidden fault",
    "pte_writes": "PTE write",
    "address_spaces": "address space",
    "ins": "in",
    "call_rets": "call/ret",
}


@dataclass(frozen=True)
class Load:
    """How often a guest does what, per second that it takes natively.

    Attributes
    ----------
    syscalls, page_faults, hidden_faults, pte_writes, address_spaces, ins, call_rets
        Events a second: system calls; page faults that the guest sees, and those that only shadow
        page tables cause; writes into page tables; changes of address space; `in` from a port;
        pairs of call and return in the kernel.

    Examples
    --------
    >>> Load(syscalls=100_000).per_s["syscall"]
    100000.0
    """

    syscalls: float = 0.0
    page_faults: float = 0.0
    hidden_faults: float = 0.0
    pte_writes: float = 0.0
    address_spaces: float = 0.0
    ins: float = 0.0
    call_rets: float = 0.0

    def __post_init__(self) -> None:
        """Check the rates."""
        for name, value in asdict(self).items():
            number(name, value, minimum=0, maximum=1e9)

    @property
    def per_s(self) -> dict[str, float]:
        """The rates by operation, as `RECIPES` names it."""
        return {_ROWS[name]: float(value) for name, value in asdict(self).items()}


@cache
def fork_load() -> Load:
    """Return the load of forkwait: one of the mixtures that explain its three times.

    Returns
    -------
    Load
        The mixture in the middle of all.

    Examples
    --------
    >>> round(fork_load().syscalls)
    19934
    """
    rounds = FORKS / published()["P4", "forkwait", "native"][0]
    middle = fork_events().middle
    return Load(**{name: rounds * middle.get(row, 0.0) for name, row in _ROWS.items()})


@cache
def round_trips() -> dict[str, float]:
    """Return what an exit and entry costs, by processor, the oldest first.

    Returns
    -------
    dict
        Cycles: the P4 of the table, then those of Bugnion, Nieh and Tsafrir.

    Examples
    --------
    >>> list(round_trips().values())
    [4340.0, 3963.0, 1579.0, 1266.0, 1009.0, 761.0, 784.0]
    """
    frame = translation_costs()
    frame = frame[frame["table"] == "round trip"]
    later = dict(zip(frame["machine"], frame["value"].astype(float).tolist(), strict=True))
    return {"Pentium 4 672": transition("P4")[0], **later}


@dataclass(frozen=True)
class Slowdown(Result):
    """A guest under both monitors.

    Attributes
    ----------
    load
        What it does.
    processor
        One of `round_trips`.
    rest
        One of `RESTS`.
    fit
        What each event costs.

    Examples
    --------
    >>> found = slowdown(fork_load())
    >>> round(found.bt, 1), round(found.hw, 1)
    (6.1, 17.7)
    """

    load: Load
    processor: str
    rest: str
    fit: CostFit

    def _added(self, way: str) -> Mapping[str, tuple[float, float]]:
        """Return cycles a second that each event adds: fixed ones, and for a cycle of an exit."""
        added = {}
        whole = transition()[0]
        for row, rate in self.load.per_s.items():
            extra = rate * (self.fit.cost(row, way) - self.fit.cost(row, "native"))
            if not RECIPES[row, way][1]:
                added[row] = (extra, 0.0)
            elif self.rest == "stays":
                added[row] = (extra - rate * whole, rate)
            else:
                own = rate * self.fit.cost(row, "native") * (not RECIPES[row, way][0])
                added[row] = (-own, (extra + own) / whole)
        return added

    def at(self, exit_cycles: float, way: str = "hw") -> float:
        """Return the slowdown where an exit costs so many cycles.

        Parameters
        ----------
        exit_cycles
            There and back.
        way
            'bt' or 'hw'.

        Returns
        -------
        float
            Times native.

        Examples
        --------
        >>> found = slowdown(Load(pte_writes=100_000))
        >>> round(found.at(0), 2), round(found.at(4340), 2)
        (1.22, 1.34)
        """
        hz = 1e9 * published()["P4", "clock", "native"][0]
        fixed = sum(a for a, _ in self._added(way).values())
        rate = sum(b for _, b in self._added(way).values())
        return 1 + (fixed + rate * exit_cycles) / hz

    @property
    def exit_cycles(self) -> float:
        """What an exit costs on the chosen processor."""
        return round_trips()[self.processor]

    @property
    def bt(self) -> float:
        """Times native, translated."""
        return self.at(self.exit_cycles, "bt")

    @property
    def hw(self) -> float:
        """Times native, with VT-x."""
        return self.at(self.exit_cycles)

    @property
    def cross(self) -> float:
        """Cycles of an exit at which both are as slow; NaN if there are none."""
        free, rate = self.at(0), self.at(1) - self.at(0)
        found = (self.bt - free) / rate if rate > 1e-15 else float("nan")
        return found if found >= 0 else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each event: how often, and what it adds to a native second."""
        hz = 1e9 * published()["P4", "clock", "native"][0]
        bt, hw = self._added("bt"), self._added("hw")
        return pd.DataFrame(
            [
                {
                    "event": row,
                    "times_per_s": round(rate),
                    "bt_s": round(bt[row][0] / hz, 3) + 0.0,  # no -0.0
                    "hw_s": round((hw[row][0] + hw[row][1] * self.exit_cycles) / hz, 3) + 0.0,
                }
                for row, rate in self.load.per_s.items()
            ]
        )

    def _saved(self) -> str:
        """Say why translation saves time at ports, where it does: it asks no real device."""
        cycles = {way: self.fit.cost("in", way) for way in ("native", "bt")}
        saved = self.load.ins * (cycles["native"] - cycles["bt"])
        if saved <= 0:
            return ""
        hz = 1e9 * published()["P4", "clock", "native"][0]
        return (
            f" Reading ports saves {saved / hz:.2g} s of each native second: natively it waits "
            f"{cycles['native']:,.0f} cycles for a real port, translated it takes "
            f"{cycles['bt']:,.0f} to read a virtual one."
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return both slowdowns and where they cross."""
        return {
            "processor": self.processor,
            "exit_cycles": round(self.exit_cycles),
            "bt_times_native": round(self.bt, 2),
            "hw_times_native": round(self.hw, 2),
            "cross_exit_cycles": round(self.cross) if self.cross == self.cross else "none",
        }

    def explain(self) -> str:
        """Say which is slower and why, and where that would change."""
        hw, bt = self.hw, self.bt
        both = f"Translated it takes {bt:.2f} times as long as natively, with VT-x {hw:.2f} times."
        if not any(self.load.per_s.values()):
            return f"{both} Nothing here is sensitive: the guest runs as it is."
        both = f"{both}{self._saved()}"
        frame = self.to_frame()
        slower = "hw" if hw > bt else "bt"
        most = frame["event"].iloc[int(frame[f"{slower}_s"].argmax())]
        each = "read of a port" if most == "in" else most
        why = f"The slower one loses most at each {each}."
        if self.cross != self.cross:
            always = "free exits would not help VT-x" if hw > bt else "no exit is dear enough"
            return f"{both} {why} They do not cross: {always}."
        return f"{both} {why} They would be equal at {self.cross:,.0f} cycles an exit."


def slowdown(
    load: Load,
    processor: str = "Pentium 4 672",
    rest: str = "stays",
    fit: CostFit | None = None,
) -> Slowdown:
    """Say how much slower a guest runs under either monitor.

    Parameters
    ----------
    load
        What it does, how often.
    processor
        One of `round_trips`.
    rest
        What becomes of HW's own work at an exit on later processors: it 'stays', or shrinks
        'in proportion' to the exit.
    fit
        What each event costs; the fit to the whole table if not given.

    Returns
    -------
    Slowdown
        Both slowdowns, and where they cross.

    Raises
    ------
    InvalidInputError
        If there is no such processor or rest.

    Examples
    --------
    >>> found = slowdown(Load(syscalls=1_000_000, pte_writes=100_000))
    >>> found.hw < found.bt, round(found.cross)
    (True, 12424)
    """
    one_of("processor", processor, tuple(round_trips()))
    one_of("rest", rest, RESTS)
    return Slowdown(load, processor, rest, fit_costs() if fit is None else fit)
