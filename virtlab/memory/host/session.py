"""A host that one may go back and forth on, and change at any moment (S24-S26).

`run` takes a scenario from its start to its end. A person at a console works otherwise: looks at a
moment, changes the shares of a VM, and sees what becomes of it. A `Session` is that: what is
changed holds from the moment shown on, and whatever was already known of the time after it is
forgotten. It is kept as events of the scenario, so `run(session.scenario)` gives the same run, to
the last page.

To be quick it keeps copies of the whole host, one for every 25 seconds: to change something, the
last copy before that moment is taken and run on from there.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from virtlab.memory.host.moment import Moment
from virtlab.memory.host.scenario import Event
from virtlab.memory.host.simulation import Simulation
from virtlab.validate import InvalidInputError, integer, one_of

if TYPE_CHECKING:
    from virtlab.memory.host.run import MemoryRun
    from virtlab.memory.host.scenario import Scenario
    from virtlab.memory.host.vm import VmSpec

__all__ = ["KNOBS", "Session"]

KNOBS = ("shares", "min_mib", "max_mib", "tax_rate", "controller")
"""What can be changed: the first three of a VM, the others of the host."""

_OF_HOST = KNOBS[3:]
_COPY_S = 25


class _Change(NamedTuple):
    """Something that was changed at a moment."""

    at_s: int  # when it was said; a VM that is still off gets it when it starts
    vm: str
    knob: str
    value: float | str
    event: Event


class Session:
    """A host at a moment.

    Parameters
    ----------
    scenario
        What runs, and what happens by itself.

    Attributes
    ----------
    at_s
        The second that is looked at.
    refused
        Why the last change was not made; '' if it was.

    Examples
    --------
    >>> from virtlab.memory.guest import GuestSpec
    >>> from virtlab.memory.host.scenario import Scenario
    >>> from virtlab.memory.host.spec import HostSpec
    >>> from virtlab.memory.host.vm import VmSpec
    >>> vms = tuple(VmSpec(name, GuestSpec(64), min_mib=16) for name in ("VM1", "VM2"))
    >>> session = Session(Scenario("two VMs", 60, HostSpec(220), vms))
    >>> session.go(20)
    >>> session.change("VM1", "shares", 2000)
    >>> [event.words for event in session.scenario.events]
    ['VM1 gets shares 2000']
    >>> session.change("VM1", "min_mib", 64), session.refused
    (None, "VM1's minimum can't be 64 MiB: 7.4 MiB of memory are lacking.")
    """

    def __init__(self, scenario: Scenario) -> None:
        self._base = scenario
        self._changes: list[_Change] = []
        self._copies: dict[int, Simulation] = {}
        self._newest = Simulation(scenario)
        self.at_s, self.refused = 0, ""
        self.go(0)

    @property
    def scenario(self) -> Scenario:
        """The scenario with all that was changed: running it gives the same."""
        events = (*self._base.events, *(change.event for change in self._changes))
        return replace(self._base, events=events)

    @property
    def known_s(self) -> int:
        """Seconds that were computed so far."""
        return self._newest.host.now

    def go(self, second: int) -> None:
        """Look at a second; what is not known yet is computed.

        Parameters
        ----------
        second
            From 0, below the scenario's seconds.

        Raises
        ------
        InvalidInputError
            If there is no such second.
        """
        self.at_s = integer("second", second, minimum=0, maximum=self._base.seconds - 1)
        self.refused = ""
        self.compute(self.at_s)

    def compute(self, second: int) -> None:
        """Compute up to a second, and go on looking at the same one.

        Parameters
        ----------
        second
            From 0; beyond the end is the end.
        """
        while self.known_s <= min(second, self._base.seconds - 1):
            now = self.known_s
            if now % _COPY_S == 0 and now not in self._copies:
                self._copies[now] = copy.deepcopy(self._newest)
            self._newest.second()

    def value(self, vm: str, knob: str) -> float | str:
        """Return what holds at this moment.

        Parameters
        ----------
        vm
            Name of a VM; '' for the host.
        knob
            One of KNOBS.

        Returns
        -------
        float or str
            Its value.
        """
        for change in reversed(self._changes):
            if (change.vm, change.knob) == (vm, knob) and change.at_s <= self.at_s:
                return change.value
        if knob in _OF_HOST:
            base = self._base
            return base.host.tax_rate if knob == "tax_rate" else base.controller
        spec = next(one for one in self._base.vms if one.name == vm)
        return float(getattr(spec, knob))

    def change(self, vm: str, knob: str, value: float | str) -> None:
        """Change something from this second on; what was known of the time after is forgotten.

        Parameters
        ----------
        vm
            Name of a VM; '' for the host.
        knob
            One of KNOBS.
        value
            What it becomes.

        Raises
        ------
        InvalidInputError
            If there is no such VM or knob, or the value is out of range. A minimum that can't be
            promised is no error: `refused` says what lacks.
        """
        one_of("knob", knob, KNOBS)
        one_of("vm", vm, ("",) if knob in _OF_HOST else tuple(one.name for one in self._base.vms))
        now, said = self.at_s, _Change(self.at_s, vm, knob, value, self._event(vm, knob, value))
        kept = [change for change in self._changes if change.at_s <= now]
        self._changes = [one for one in kept if one[:3] != said[:3]]
        self._rewind()
        self.refused = self._why_not(said)
        if not self.refused and self.value(vm, knob) != value:
            self._changes.append(said)
        self._newest.scenario = self.scenario
        self.compute(now)

    def _event(self, vm: str, knob: str, value: float | str) -> Event:
        """Return a change as an event; a VM that is still off gets it when it starts."""
        starts = [one.at_s for one in self._base.events if (one.action, one.vm) == ("power on", vm)]
        at = max([self.at_s, *(starts if vm else [])])
        return Event(at, "set", vm, **{knob: value})  # type: ignore[arg-type]  # Event checks it

    def _rewind(self) -> None:
        """Take the host back to just before this second."""
        start = max(second for second in self._copies if second <= self.at_s)
        self._copies = {at: one for at, one in self._copies.items() if at <= start}
        self._newest = copy.deepcopy(self._copies[start])
        self._newest.scenario = self.scenario
        self.compute(self.at_s - 1)
        self._copies[self.at_s] = copy.deepcopy(self._newest)

    def _why_not(self, said: _Change) -> str:
        """Say why a minimum or a maximum can't be changed so."""
        if said.knob not in {"min_mib", "max_mib"}:
            return ""
        running = {vm.spec.name: vm.spec for vm in self._newest.host.vms}
        what = "minimum" if said.knob == "min_mib" else "maximum"
        if said.vm not in running:
            return f"{said.vm} is off: its {what} stays as it is."
        head = f"{said.vm}'s {what} can't be {said.value:g} MiB:"
        try:
            wanted = running[said.vm].with_(**{said.knob: float(said.value)})
        except InvalidInputError as error:
            return f"{head} it must be {error.allowed.replace('_mib', '')}."
        memory, swap = self._lacks_mib(wanted, set(running) - {said.vm})
        if not memory and not swap:
            return ""
        lacks = f"{memory:.3g} MiB of memory" if memory else f"{swap:.3g} MiB of swap"
        return f"{head} {lacks} are lacking."

    def _lacks_mib(self, wanted: VmSpec, others: set[str]) -> tuple[float, float]:
        """Return what lacks for a VM beside others, as these are configured at this second."""
        host = copy.copy(self._newest.host)
        host.vms = [copy.copy(vm) for vm in host.vms if vm.spec.name in others]
        for vm in host.vms:
            vm.spec = self._spec(vm.spec)
        return host.lacks_mib(wanted)

    def _spec(self, spec: VmSpec) -> VmSpec:
        """Return how a VM is configured at this second."""
        return spec.with_(**{knob: float(self.value(spec.name, knob)) for knob in KNOBS[:3]})

    def moment(self) -> Moment:
        """Return this second, told.

        Returns
        -------
        Moment
            With what was refused last, if anything was.
        """
        return Moment(self.run(), self.at_s, self.refused)

    def run(self) -> MemoryRun:
        """Return all that is known, with the VMs as they are configured at this second.

        Returns
        -------
        MemoryRun
            Its row `at_s` is the second looked at; rows after it may be there.
        """
        found = self._newest.result()
        vms = tuple(self._spec(spec) for spec in self._base.vms)
        return replace(found, scenario=replace(self.scenario, vms=vms))
