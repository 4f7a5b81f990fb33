"""What happens on a request's way, one act after the other, and what each takes (S15).

An **event** is what a machine reports of itself: this layer did that to the next one, after so many
instructions of the guest. An **act** is an event with a number, a time, and what it took. The log
makes the one of the other, by a table of costs.

    act                             cycles natively    under a vmm    whose figure
    instruction of the guest        1                  1              ours
    port access of a driver         3209               2030           AA06: `in 0x80`; a trap that
                                                                      is emulated, measured on rdtsc
    sti, cli, hlt                   1                  2030           the same trap
    int 0x80 and back               242                2300           AA06: system call (read from
                                                                      a figure)
    interrupt of a device           889                3223           AA06: an exception (`div 0`)
    from vmm to VMkernel, and back  -                  2030           ours: as much as a trap

at 3.8 GHz, the Pentium 4 of AA06. What the disk takes comes from `virtlab.machine.esx.physical`.

Source: K. Adams, O. Agesen, "A comparison of software and hardware techniques for x86
virtualization", ASPLOS 2006 (AA06). That an interrupt costs what an exception does, and that a port
access traps at the price of rdtsc, is our reading. What the VMkernel itself computes is left out:
nobody has published it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from virtlab.validate import InvalidInputError, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtlab.machine.esx.physical import BlockRequest

__all__ = ["BASIS", "LAYERS", "NATIVE", "VIRTUAL", "Act", "Costs", "Event", "Log"]

LAYERS = MappingProxyType(
    {
        "program": "program",
        "kernel": "guest kernel",
        "vmm": "vmm",
        "vmkernel": "VMkernel",
        "hardware": "hardware",
    }
)
BASIS = MappingProxyType(
    {
        "port": "AA06: in 0x80 natively; a trap, measured on rdtsc",
        "privileged": "AA06: a trap, measured on rdtsc",
        "call": "AA06: system call and back",
        "return": "in the call's",
        "reflect": "in the call's",
        "inject": "AA06: an exception (div 0)",
        "interrupt": "AA06: an exception (div 0), natively",
        "submit": "ours: a trap",
        "complete": "ours: a trap",
        "start": "AA06: in 0x80 natively",
        "queue": "not published",
        "service": "the disk's model",
    }
)


class Event(NamedTuple):
    """What a machine reports.

    Attributes
    ----------
    source, target
        Layers, keys of `LAYERS`.
    kind
        What sort of act it is, a key of `BASIS`; 'wait' and 'end' only steer, and take no time.
    what
        In words; of an access to a port, as an assembler writes it.
    ring
        The ring that ran when it happened; -1 where none of the guest did.
    bytes
        How many went over.
    instructions
        Of the guest, since its last event.
    request
        What a 'submit' hands on.

    Examples
    --------
    >>> Event("kernel", "vmm", "port", "out 0x1f2", ring=1, bytes=1).kind
    'port'
    """

    source: str
    target: str
    kind: str
    what: str
    ring: int = -1
    bytes: int = 0
    instructions: int = 0
    request: BlockRequest | None = None


class Act(NamedTuple):
    """An event with its place in time.

    Attributes
    ----------
    number
        From 1, in the order in which it happened.
    vm
        Whose it is.
    source, target, kind, what, ring, bytes, instructions
        As the event has them.
    start_us, us
        When it began and what it took, in modelled microseconds; the guest's instructions before it
        are in what it took.

    Examples
    --------
    >>> Act(1, "VM1", "kernel", "vmm", "port", "out 0x1f2", 1, 1, 12, 0.0, 0.54).end_us
    0.54
    """

    number: int
    vm: str
    source: str
    target: str
    kind: str
    what: str
    ring: int
    bytes: int
    instructions: int
    start_us: float
    us: float

    @property
    def end_us(self) -> float:
        """When it was over."""
        return self.start_us + self.us


@dataclass(frozen=True)
class Costs:
    """What acts take, in cycles.

    Attributes
    ----------
    cycles
        Of each kind of act; 0 for one that is not named.
    instruction_cycles
        Of each instruction of the guest.
    ghz
        Cycles of a nanosecond.

    Examples
    --------
    >>> round(VIRTUAL.us("port"), 3), round(NATIVE.us("port"), 3)
    (0.534, 0.844)
    >>> VIRTUAL.us("port", instructions=3800) - VIRTUAL.us("port")
    1.0
    """

    cycles: Mapping[str, float]
    instruction_cycles: float = 1.0
    ghz: float = 3.8

    def __post_init__(self) -> None:
        """Check the numbers."""
        for kind, value in self.cycles.items():
            if kind not in BASIS:
                raise InvalidInputError("cycles", kind, "kinds of acts: " + ", ".join(BASIS))
            number(f"cycles[{kind}]", value, minimum=0)
        number("instruction_cycles", self.instruction_cycles, minimum=0)
        if number("ghz", self.ghz, minimum=0) == 0:
            raise InvalidInputError("ghz", self.ghz, "a number > 0")

    def us(self, kind: str, instructions: int = 0) -> float:
        """Return what an act takes, in microseconds.

        Parameters
        ----------
        kind
            Its kind.
        instructions
            Of the guest, before it.

        Examples
        --------
        See the class.
        """
        cycles = self.cycles.get(kind, 0) + instructions * self.instruction_cycles
        return cycles / (self.ghz * 1000)


_TRAP = 2030
NATIVE = Costs(
    MappingProxyType({"port": 3209, "call": 242, "privileged": 0, "inject": 889, "start": 0})
)
VIRTUAL = Costs(
    MappingProxyType(
        {
            **dict.fromkeys(("port", "privileged", "submit", "complete"), _TRAP),
            "call": 2300,
            "inject": 3223,
            "start": 3209,
            "interrupt": 889,
        }
    )
)


class Log:
    """The clock, and all acts so far.

    Parameters
    ----------
    costs
        What acts take.

    Attributes
    ----------
    now_us
        The time.
    acts
        In the order in which they happened.

    Examples
    --------
    >>> log = Log(VIRTUAL)
    >>> log.add("VM1", Event("kernel", "vmm", "port", "out 0x1f2", ring=1, bytes=1)).number
    1
    >>> log.beside("VM1", Event("hardware", "hardware", "service", "busy"), 0.5, 13_000).end_us
    13000.5
    >>> log.now_us
    13000.5
    """

    def __init__(self, costs: Costs) -> None:
        self.costs, self.now_us = costs, 0.0
        self.acts: list[Act] = []

    def add(self, vm: str, event: Event) -> Act:
        """Note an event, and let its time pass.

        Parameters
        ----------
        vm
            Whose it is.
        event
            What happened.

        Returns
        -------
        Act
            As noted.

        Examples
        --------
        See the class.
        """
        us = self.costs.us(event.kind, event.instructions)
        return self.beside(vm, event, self.now_us, us)

    def beside(self, vm: str, event: Event, start_us: float, us: float) -> Act:
        """Note what happened beside the processor's work; time is not before its end.

        Parameters
        ----------
        vm, event
            As in `add`.
        start_us, us
            When it began, and what it took.

        Returns
        -------
        Act
            As noted.

        Examples
        --------
        See the class.
        """
        act = Act(len(self.acts) + 1, vm, *event[:7], start_us, us)
        self.acts.append(act)
        self.now_us = max(self.now_us, act.end_us)
        return act
