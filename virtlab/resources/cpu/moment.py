"""One moment of a run: what each VM has had since someone last changed something (S21).

The talk makes three claims of that moment: a share that is changed counts **at once**; when a VM
is added the **ratio of the others** stays; when one is removed **nothing is wasted**. `told` says
which of them holds, from what `virtlab.resources.allocate` gives before and after. They do not
always hold: a minimum or a maximum bends the ratio, and maximums can leave a processor idle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from virtlab.resources.cpu.vms import Add, Remove
from virtlab.resources.shares import allocate
from virtlab.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from virtlab.resources.cpu.run import CpuRun
    from virtlab.resources.cpu.vms import CpuVM, Event

__all__ = ["CpuMoment", "claims", "told", "vm_of_life"]

_WORDS = {"shares": "shares", "min_percent": "minimum", "max_percent": "maximum"}


def vm_of_life(name: str) -> str:
    """Return the VM behind a name of the run: who is powered on again has a second one.

    Parameters
    ----------
    name
        A name in a `CpuRun`.

    Returns
    -------
    str
        The VM's.

    Examples
    --------
    >>> vm_of_life("VM3"), vm_of_life("VM3 (2)")
    ('VM3', 'VM3')
    """
    return name.split(" (", maxsplit=1)[0]


def claims(running: Mapping[str, CpuVM], cpus: int) -> dict[str, float]:
    """Return what VMs that all want to run are entitled to.

    Parameters
    ----------
    running
        Which run, by name.
    cpus
        Physical processors.

    Returns
    -------
    dict
        Percent of one processor, by VM.

    Examples
    --------
    >>> from virtlab.resources.cpu.vms import CpuVM
    >>> claims({"a": CpuVM("a", 1000), "b": CpuVM("b", 3000)}, cpus=1)
    {'a': 25.0, 'b': 75.0}
    """
    vms = list(running.values())
    if not vms:
        return {}
    parts = allocate(
        100.0 * cpus,
        [vm.shares for vm in vms],
        [vm.min_percent for vm in vms],
        [vm.max_percent for vm in vms],
    ).allocation
    return dict(zip(map(vm_of_life, running), parts.tolist(), strict=True))


def told(
    before: Mapping[str, CpuVM], after: Mapping[str, CpuVM], events: Sequence[Event], cpus: int
) -> str:
    """Say what was changed, and which of the talk's claims holds of it.

    Parameters
    ----------
    before, after
        Which VMs run, with which settings.
    events
        What happened between the two, at one moment; one or more.
    cpus
        Physical processors.

    Returns
    -------
    str
        Sentences.

    Examples
    --------
    >>> from virtlab.resources.cpu.vms import CpuVM
    >>> before = {name: CpuVM(name) for name in ("a", "b", "c")}
    >>> print(told(before, {**before, "d": CpuVM("d")}, [Add(2, CpuVM("d"))], cpus=1))
    At 2 s d is added with 1000 shares. Entitled are now a : b : c : d = 25 : 25 : 25 : 25 % \
(before, a : b : c = 33.3 : 33.3 : 33.3 %). The ratio of the others stays.
    """
    what = "; ".join(_what(event, before) for event in events)
    old, new = claims(before, cpus), claims(after, cpus)
    lines = [f"At {events[0].at_s:.4g} s {what}."]
    if new:
        was = f" (before{_were(old, new)} %)" if old else ""
        lines.append(f"Entitled are now {_ratio(new)} %{was}.")
    lines.append(_claim(old, new, {vm_of_life(event.name) for event in events}))
    return " ".join(line for line in lines if line)


def _what(event: Event, before: Mapping[str, CpuVM]) -> str:
    name = vm_of_life(event.name)
    if isinstance(event, Add):
        return f"{name} is added with {event.vm.shares:g} shares"
    if isinstance(event, Remove):
        return f"{name} is removed"
    old = before.get(event.name)
    new = [(key, getattr(event, key)) for key in _WORDS if getattr(event, key) is not None]
    parts = [
        f"{_WORDS[key]} {f'{getattr(old, key):g}' if old else '?'} become {value:g}"
        if key == "shares"
        else f"{_WORDS[key]} goes from {f'{getattr(old, key):g}' if old else '?'} to {value:g} %"
        for key, value in new
    ]
    return f"{name}'s {' and its '.join(parts)}"


def _ratio(parts: Mapping[str, float]) -> str:
    return f"{' : '.join(parts)} = {' : '.join(f'{part:.3g}' for part in parts.values())}"


def _were(old: Mapping[str, float], new: Mapping[str, float]) -> str:
    """Write the old parts; the names too, if they are others."""
    if list(old) == list(new):
        return f" {' : '.join(f'{part:.3g}' for part in old.values())}"
    return f", {_ratio(old)}"


def _claim(old: Mapping[str, float], new: Mapping[str, float], changed: set[str]) -> str:
    """Say whether the others keep their ratio, and whether anything is wasted."""
    others = [name for name in new if name in old and name not in changed]
    parts = []
    if len(others) > 1:
        rates = np.array([new[name] / old[name] if old[name] else 1.0 for name in others])
        stays = np.ptp(rates) < 1e-6 * rates.max()
        lid = "The ratio of the others stays"
        parts.append(f"{lid}." if stays else f"{lid} not: a minimum or a maximum bends it.")
    if new and sum(new.values()) < sum(old.values()) - 1e-6:
        parts.append("Some of the processors is left idle: maximums hold the others down.")
    elif set(old) - set(new):
        parts.append("Nothing is wasted: the others take what it had.")
    return " ".join(parts)


@dataclass(frozen=True, eq=False)
class CpuMoment(Result):
    """What `Session.moment` returns.

    Attributes
    ----------
    run
        The run that is looked at.
    at_s
        The moment.
    settings
        All VMs, on and off, with their settings at that moment.
    note
        What is said first, for instance why something was refused.

    Examples
    --------
    >>> from virtlab.resources.cpu import CpuVM, Session
    >>> session = Session([CpuVM("a"), CpuVM("b", 3000)], at_s=2)
    >>> session.moment.to_frame()["received_percent"].tolist()
    [25.0, 75.0]
    """

    run: CpuRun
    at_s: float
    settings: tuple[CpuVM, ...]
    note: str = ""

    @property
    def step(self) -> int:
        """Which step of the run holds; those at one moment count as the last of them."""
        starts = np.array([at_s for at_s, _ in self.run.steps])
        return int(np.searchsorted(starts, self.at_s + 1e-9, side="right")) - 1

    @property
    def running(self) -> dict[str, CpuVM]:
        """Which VMs run, by the run's own names."""
        return self.run.steps[self.step][1]

    @property
    def since_s(self) -> float:
        """When something was changed last; 0 if nothing was."""
        return self.run.steps[self.step][0]

    @property
    def entitled(self) -> dict[str, float]:
        """What VMs that run are entitled to if all want to, percent of one processor."""
        return claims(self.running, self.run.cpus)

    def _seconds(self, name: str, at_s: float) -> tuple[float, float]:
        """Return what a VM received and was entitled to up to a moment, over all its lives."""
        when = np.array([at_s])
        lives = [i for i, life in enumerate(self.run.names) if vm_of_life(life) == name]
        return (
            sum(float(self.run.received_s(life, when)[0]) for life in lives),
            sum(float(self.run.entitled_s(life, when)[0]) for life in lives),
        )

    def ready_s(self, name: str) -> float:
        """Return how long a VM wanted to run and did not, up to this moment.

        Parameters
        ----------
        name
            Which VM.

        Returns
        -------
        float
            Seconds.
        """
        lives = [i for i, life in enumerate(self.run.names) if vm_of_life(life) == name]
        wants = self.run.wants[np.isin(self.run.vm_of[self.run.wants[:, 0]], lives)]
        now = self.at_s * 1e6
        wanted = (np.minimum(wants[:, 2], now) - np.minimum(wants[:, 1], now)).sum() / 1e6
        return float(wanted) - self._seconds(name, self.at_s)[0]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a VM: its settings, and what it received since the last change."""
        import pandas as pd

        on = {vm_of_life(name) for name in self.running}
        span = self.at_s - self.since_s
        rows = []
        for vm in self.settings:
            (got, due), (had, owed) = (
                self._seconds(vm.name, at_s) for at_s in (self.at_s, self.since_s)
            )
            parts = (100 * (got - had) / span, 100 * (due - owed) / span) if span > 0 else None
            rows.append(
                {
                    "name": vm.name,
                    "power": "on" if vm.name in on else "off",
                    "shares": vm.shares,
                    "min_percent": vm.min_percent,
                    "max_percent": vm.max_percent,
                    "received_percent": round(parts[0], 6) if parts else np.nan,
                    "entitled_percent": round(parts[1], 6)
                    if parts
                    else self.entitled.get(vm.name, 0.0),
                    "ahead_quanta": round(1000 * (got - due) / self.run.quantum_ms, 6),
                    "ready_s": round(self.ready_s(vm.name), 6),
                }
            )
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return the moment, and how busy the processors were since the last change."""
        frame = self.to_frame()
        return {
            "at_s": self.at_s,
            "since_s": self.since_s,
            "running": len(self.running),
            "received_percent": float(frame["received_percent"].sum()),
            "largest_error_quanta": float(frame["ahead_quanta"].abs().max()),
        }

    def explain(self) -> str:
        """Say what was changed last, what it means, and what was received since."""
        return " ".join(part for part in (self.note, self._last(), self._received()) if part)

    def _last(self) -> str:
        at = self.since_s
        events = [event for event in self.run.events if event.at_s == at]
        if self.step and events:
            before = next(
                (running for at_s, running in reversed(self.run.steps) if at_s < at),
                self.run.steps[0][1],
            )
            return told(before, self.running, events, self.run.cpus)
        entitled = self.entitled
        if not entitled:
            return "No VM runs."
        plural = "s" if self.run.cpus > 1 else ""
        return (
            f"Nothing has been changed yet. On {self.run.cpus} processor{plural} "
            f"{_ratio(entitled)} % are entitled to."
        )

    def _received(self) -> str:
        frame = self.to_frame()
        frame = frame[(frame["power"] == "on") & frame["received_percent"].notna()]
        if not len(frame):
            return ""
        got = " : ".join(f"{part:.3g}" for part in frame["received_percent"])
        return f"Received since: {got} %."
