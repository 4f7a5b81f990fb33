"""A scenario: a host, its VMs, and what happens when.

`Scenario` is what the simulation runs. It can be written in Python, or in a TOML file that
`read_scenario` reads (`virtlab.memory.host.reading`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtlab.memory.host.controllers import CONTROLLERS
from virtlab.validate import InvalidInputError, integer, number, one_of

if TYPE_CHECKING:
    from virtlab.memory.host.spec import HostSpec
    from virtlab.memory.host.vm import VmSpec

__all__ = ["ACTIONS", "Event", "Scenario"]

ACTIONS = ("power on", "power off", "set")
_OF_VM = ("shares", "min_mib", "max_mib")


@dataclass(frozen=True)
class Event:
    """Something that happens at a second.

    Attributes
    ----------
    at_s
        When, seconds since the start.
    action
        'power on', 'power off', or 'set'.
    vm
        Which VM; '' for the host.
    shares, min_mib, max_mib
        What is set of a VM; None leaves it.
    tax_rate, controller
        What is set of the host.

    Examples
    --------
    >>> Event(60, "set", "VM1", shares=2000).words
    'VM1 gets shares 2000'
    >>> Event(60, "set", tax_rate=0.75).words
    'the tax rate becomes 0.75'
    """

    at_s: int
    action: str
    vm: str = ""
    shares: float | None = None
    min_mib: float | None = None
    max_mib: float | None = None
    tax_rate: float | None = None
    controller: str | None = None

    def __post_init__(self) -> None:
        """Check that it says something."""
        integer("at_s", self.at_s, minimum=0)
        one_of("action", self.action, ACTIONS)
        if self.action != "set":
            if not self.vm:
                raise InvalidInputError("vm", self.vm, f"the name of the VM to {self.action}")
            return
        if self.vm and not self.changes:
            raise InvalidInputError("set", self.vm, f"with {', '.join(_OF_VM)}")
        if not self.vm and self.tax_rate is None and self.controller is None:
            raise InvalidInputError("set", "the host", "with tax_rate or controller")
        if self.tax_rate is not None:
            number("tax_rate", self.tax_rate, minimum=0, maximum=0.999)
        if self.controller is not None:
            one_of("controller", self.controller, tuple(CONTROLLERS))

    @property
    def changes(self) -> dict[str, float]:
        """What is set of a VM."""
        values = {name: getattr(self, name) for name in _OF_VM}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def words(self) -> str:
        """What happens, in words."""
        if self.action == "power on":
            return f"{self.vm} starts"
        if self.action == "power off":
            return f"{self.vm} stops"
        if self.vm:
            given = ", ".join(
                f"{name.removesuffix('_mib')} {value:g}" for name, value in self.changes.items()
            )
            return f"{self.vm} gets {given}"
        words = [] if self.tax_rate is None else [f"the tax rate becomes {self.tax_rate:g}"]
        return ", ".join(
            words + ([] if self.controller is None else [f"controller: {self.controller}"])
        )


@dataclass(frozen=True)
class Scenario:
    """A host, its VMs, and what happens when.

    Attributes
    ----------
    name
        What it shows.
    seconds
        How long it runs.
    host
        The host.
    vms
        Its VMs; each starts at once, unless an event starts it.
    events
        What happens.
    controller
        Who decides, by name.
    seed
        Of all chance.

    Examples
    --------
    >>> from virtlab.memory.guest import GuestSpec
    >>> from virtlab.memory.host.spec import HostSpec
    >>> from virtlab.memory.host.vm import VmSpec
    >>> vm = VmSpec("VM1", GuestSpec(128))
    >>> Scenario("one VM", 60, HostSpec(256), (vm,)).at_once
    ('VM1',)
    """

    name: str
    seconds: int
    host: HostSpec
    vms: tuple[VmSpec, ...]
    events: tuple[Event, ...] = field(default_factory=tuple)
    controller: str = "esx"
    seed: int = 1

    def __post_init__(self) -> None:
        """Check that names are known."""
        integer("seconds", self.seconds, minimum=1)
        integer("seed", self.seed, minimum=0)
        one_of("controller", self.controller, tuple(CONTROLLERS))
        names = [vm.name for vm in self.vms]
        if not names or len(set(names)) < len(names):
            raise InvalidInputError("vms", tuple(names), "one or more, each with its own name")
        for event in self.events:
            if event.vm:
                one_of("vm", event.vm, tuple(names))

    @property
    def at_once(self) -> tuple[str, ...]:
        """Names of the VMs that start at once."""
        later = {event.vm for event in self.events if event.action == "power on"}
        return tuple(vm.name for vm in self.vms if vm.name not in later)
