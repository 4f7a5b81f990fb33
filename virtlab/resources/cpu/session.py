"""Processors that one may watch, and change at any moment (S21).

`schedule` takes all events from the start. A person at a console works otherwise: looks at a
moment, gives a VM more shares, adds one, and sees what becomes of it. A `Session` is that: what is
changed holds from the moment looked at on, and what had been changed after it is forgotten. It is
kept as events, so that `schedule` with `session.events` gives the same run, to the last quantum;
and because the same events run anew each time, another policy can be tried on them.

What cannot be, a minimum that does not fit or a maximum below it, is refused in words, and all
stays as it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from virtlab.resources.cpu.moment import CpuMoment, vm_of_life
from virtlab.resources.cpu.policies import Stride
from virtlab.resources.cpu.scheduler import schedule
from virtlab.resources.cpu.vms import Add, Change, Remove
from virtlab.validate import InvalidInputError, number, one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtlab.resources.cpu.policies import Policy
    from virtlab.resources.cpu.run import CpuRun
    from virtlab.resources.cpu.vms import CpuVM, Event
    from virtlab.resources.cpu.workloads import Workload

__all__ = ["CpuHost", "Session"]

_KEYS = ("shares", "min_percent", "max_percent")


class CpuHost(NamedTuple):
    """What does not change while time runs.

    Attributes
    ----------
    cpus
        Physical processors.
    quantum_ms
        Longest time between two choices, milliseconds.
    policy
        Makes a policy: a class will do.
    seed
        Of all chance.

    Examples
    --------
    >>> CpuHost(cpus=2).quantum_ms
    20.0
    """

    cpus: int = 1
    quantum_ms: float = 20.0
    policy: Callable[[], Policy] = Stride
    seed: int = 0


class Session:
    """Processors at a moment.

    Parameters
    ----------
    vms
        All VMs there may be.
    on
        Names of those that run from the start; all if not given.
    host
        The processors, and who is next.
    seconds
        How long the run is.
    at_s
        The moment looked at first.

    Attributes
    ----------
    run
        The run, to its end, if nothing is changed any more.
    events
        What was changed.
    refused
        Why the last change was refused; '' if it was not.

    Examples
    --------
    >>> from virtlab.resources.cpu.vms import CpuVM
    >>> session = Session([CpuVM("a"), CpuVM("b"), CpuVM("c")], on=["a", "b"], at_s=4)
    >>> session.power_on("c")
    True
    >>> session.look(8).to_frame()["received_percent"].round(1).tolist()
    [33.5, 33.5, 33.0]
    """

    def __init__(
        self,
        vms: Sequence[CpuVM],
        on: Sequence[str] | None = None,
        host: CpuHost | None = None,
        *,
        seconds: float = 20.0,
        at_s: float = 0.0,
    ) -> None:
        self.vms = {vm.name: vm for vm in vms}
        self.on = tuple(self.vms if on is None else on)
        for name in self.on:
            one_of("on", name, tuple(self.vms))
        self.host, self.seconds = host or CpuHost(), seconds
        self.events: tuple[Event, ...] = ()
        self.refused = ""
        self.run = self._schedule(self.events, self.host, self.vms)
        self.at_s = number("at_s", at_s, minimum=0, maximum=seconds)
        self._asleep = dict(self.vms)  # what a VM that is off will start with

    def _schedule(self, events: Sequence[Event], host: CpuHost, vms: dict[str, CpuVM]) -> CpuRun:
        return schedule(
            [vms[name] for name in self.on],
            host.cpus,
            self.seconds,
            events,
            quantum_ms=host.quantum_ms,
            policy=host.policy(),
            seed=host.seed,
        )

    # --- looking ----------------------------------------------------------------------------------

    @property
    def moment(self) -> CpuMoment:
        """What there is at the moment looked at."""
        settings = tuple(self.settings(name) for name in self.vms)
        note = f"Refused: {self.refused}" if self.refused else ""
        return CpuMoment(self.run, self.at_s, settings, note)

    def look(self, at_s: float) -> CpuMoment:
        """Go to a moment.

        Parameters
        ----------
        at_s
            Which, in seconds.

        Returns
        -------
        CpuMoment
            What there is.
        """
        self.at_s = number("at_s", at_s, minimum=0, maximum=self.seconds)
        self.refused = ""
        return self.moment

    def _running(self) -> dict[str, CpuVM]:
        return CpuMoment(self.run, self.at_s, ()).running

    def life(self, name: str) -> str:
        """Return the name under which a VM runs now; '' if it is off.

        Parameters
        ----------
        name
            Which VM.

        Returns
        -------
        str
            Its name in the run: who is powered on again has a new one there.
        """
        one_of("name", name, tuple(self.vms))
        return next((life for life in self._running() if vm_of_life(life) == name), "")

    def settings(self, name: str) -> CpuVM:
        """Return a VM as it is now, or, if it is off, as it would start.

        Parameters
        ----------
        name
            Which VM.

        Returns
        -------
        CpuVM
            Its settings.
        """
        life = self.life(name)
        return replace(self._running()[life], name=name) if life else self._asleep[name]

    # --- changing ---------------------------------------------------------------------------------

    def give(self, name: str, **settings: float) -> bool:
        """Give a VM other shares or bounds, from now on; one that is off starts with them.

        Parameters
        ----------
        name
            Which VM.
        **settings
            shares, min_percent, max_percent.

        Returns
        -------
        bool
            Whether that could be.
        """
        life = self.life(name)
        if not life:
            return self._prepare(name, settings)
        before = [event for event in self.events if event.at_s < self.at_s]
        now = self._running()[life]
        new = {key: settings.get(key, getattr(now, key)) for key in _KEYS}
        same: list[Event] = []
        for event in self.events:
            if event.at_s == self.at_s and event.name != life:
                same.append(event)
            elif event.at_s == self.at_s and isinstance(event, Add):  # just added: with these
                try:
                    same.append(Add(event.at_s, replace(event.vm, **new)))
                except InvalidInputError as error:
                    self.refused = f"{error}."
                    return False
        was = self._before(life, [*before, *same])
        if was is not None:  # several moves at one moment are one change; none, if it is back
            new = {key: value for key, value in new.items() if value != getattr(was, key)}
        change = [Change(self.at_s, life, **new)] if new else []
        return self._try([*before, *same, *change], self.host, self.vms, (name, settings))

    def _before(self, life: str, events: Sequence[Event]) -> CpuVM | None:
        """Return a VM as these events leave it."""
        vm = self.vms.get(life) if life in self.on else None
        for event in events:
            if event.name == life:
                if isinstance(event, Add):
                    vm = event.vm
                elif isinstance(event, Change) and vm is not None:
                    vm = event.to(vm)
        return vm

    def _prepare(self, name: str, settings: dict[str, float]) -> bool:
        self.refused = ""
        try:
            self._asleep[name] = replace(self._asleep[name], **settings)  # type: ignore[arg-type] # all numbers
        except InvalidInputError as error:
            self.refused = f"{error}."
        return not self.refused

    def power_on(self, name: str) -> bool:
        """Add a VM, from now on.

        Parameters
        ----------
        name
            Which VM.

        Returns
        -------
        bool
            Whether its minimum could be kept.
        """
        if self.life(name):
            self.refused = f"{name} runs already."
            return False
        past = self._past()
        lives = [event for event in past if isinstance(event, Add)]
        count = (name in self.on) + sum(vm_of_life(event.name) == name for event in lives)
        vm = self._asleep[name]
        started = replace(vm, name=f"{name} ({count + 1})" if count else name)
        settings = {"min_percent": vm.min_percent}
        return self._try([*past, Add(self.at_s, started)], self.host, self.vms, (name, settings))

    def power_off(self, name: str) -> bool:
        """Remove a VM, from now on.

        Parameters
        ----------
        name
            Which VM.

        Returns
        -------
        bool
            Whether it ran.
        """
        life = self.life(name)
        if not life:
            self.refused = f"{name} does not run."
            return False
        self._asleep[name] = self.settings(name)
        past = [*self._past(), Remove(self.at_s, life)]
        return self._try(past, self.host, self.vms, (name, {}))

    def work(self, name: str, workload: Workload) -> bool:
        """Let a VM do something else, from its start on: what was changed stays.

        Parameters
        ----------
        name
            Which VM.
        workload
            What it does.

        Returns
        -------
        bool
            Whether that could be.
        """
        vms = {**self.vms, name: replace(self.vms[name], workload=workload)}
        events = [
            Add(event.at_s, replace(event.vm, workload=workload))
            if isinstance(event, Add) and vm_of_life(event.name) == name
            else event
            for event in self.events
        ]
        self._asleep[name] = replace(self._asleep[name], workload=workload)
        return self._try(events, self.host, vms)

    def move(self, **host: Any) -> bool:
        """Let the same happen on another host: cpus, quantum_ms, policy, seed.

        Parameters
        ----------
        **host
            What is other.

        Returns
        -------
        bool
            Whether all minimums can be kept there.
        """
        return self._try(self.events, self.host._replace(**host), self.vms)

    def forget(self) -> bool:
        """Undo all changes.

        Returns
        -------
        bool
            True.
        """
        self._asleep = {
            name: replace(vm, workload=self.vms[name].workload) for name, vm in self.vms.items()
        }
        return self._try((), self.host, self.vms)

    def _past(self) -> list[Event]:
        return [event for event in self.events if event.at_s <= self.at_s]

    def _try(
        self,
        events: Sequence[Event],
        host: CpuHost,
        vms: dict[str, CpuVM],
        asked: tuple[str, dict[str, float]] = ("", {}),
    ) -> bool:
        """Run with this; if it can't be, say why, and leave all as it was."""
        self.refused = ""
        if asked[0] and self.at_s >= self.seconds:
            self.refused = "The run ends here. Go back in time first."
            return False
        try:
            run = self._schedule(events, host, vms)
        except InvalidInputError as error:
            self.refused = self._why(error, host, *asked)
            return False
        self.events, self.host, self.vms, self.run = tuple(events), host, vms, run
        return True

    def _why(
        self, error: InvalidInputError, host: CpuHost, name: str, settings: dict[str, float]
    ) -> str:
        """Say why something was refused; of a minimum, how much is lacking."""
        if "lacking" not in error.allowed:
            return f"{error}."
        if not name:
            return (
                f"{host.cpus} processor{'s' if host.cpus > 1 else ''} cannot keep all minimums. "
                "Nothing changes."
            )
        others = [vm for life, vm in self._running().items() if vm_of_life(life) != name]
        free = 100 * host.cpus - sum(vm.min_percent for vm in others)
        low = settings.get("min_percent", self.settings(name).min_percent)
        return (
            f"a minimum of {low:g} % for {name} does not fit. Of {100 * host.cpus} % {free:g} are "
            f"not reserved: {low - free:g} are lacking. Nothing changes."
        )
