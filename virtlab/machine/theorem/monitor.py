"""Monitors: how a program gets a machine of its own on a machine (S17, S18).

The paper builds one of three parts, and so is this:

- **allocator**: gives the guest some words of the host, and sets the host's R so that the guest
  runs within them, in user mode always;
- **dispatcher**: what traps comes here. In virtual supervisor mode it is an instruction to be
  interpreted; otherwise it is a trap of the guest's own, for its own control program;
- **interpreter**: does such an instruction to the virtual machine instead of the real one. It is
  the instruction's definition (`Computer.perform`), with the virtual PSW.

All else runs directly. A **hybrid** monitor interprets all that the guest does in virtual
supervisor mode, and runs only its user mode directly: so what goes wrong in supervisor mode alone
does no harm, but a kernel is slow.

A monitor is a computer too. So its host may be one that a monitor made: theorem 2 is `host=`.

Source: Popek and Goldberg 1974, sections 4 to 6.
"""

from __future__ import annotations

from virtlab.machine.theorem.machine import SUPERVISOR, USER, Computer, Psw, Trap
from virtlab.validate import integer

__all__ = ["Hybrid", "Monitor"]


class Monitor(Computer):
    """A virtual machine, by traps.

    Parameters
    ----------
    host
        What it runs on: a real machine, or another monitor's.
    place
        The first word of the host that the guest gets.
    size
        How many it gets.

    Attributes
    ----------
    direct, interpreted
        Instructions that the host did, and those that the monitor did.

    Examples
    --------
    >>> from virtlab.machine.theorem.instructions import SETS, assembled
    >>> from virtlab.machine.theorem.machine import FIRST, Machine
    >>> guest = Monitor(Machine(SETS["third-generation"], 96), place=32, size=64)
    >>> for at, word in enumerate(assembled("set 20 5; add 20 20; lra 21 0; halt"), FIRST):
    ...     guest.write(at, word)
    >>> guest.run(10), guest.read(20), guest.read(21)  # it believes that it lies at 0
    (4, 10, 0)
    >>> guest.direct, guest.interpreted
    (2, 2)
    """

    def __init__(self, host: Computer, place: int, size: int) -> None:
        super().__init__(host.instructions, size)
        integer("place + size", place + size, maximum=host.size)
        self.host, self.place = host, integer("place", place, minimum=0)
        self.direct = self.interpreted = 0

    def read(self, address: int) -> int:
        """Return a word of the guest's."""
        return self.host.read(self.place + address)

    def write(self, address: int, value: int) -> None:
        """Change a word of the guest's."""
        self.host.write(self.place + address, value)

    def allocate(self) -> Psw:
        """Return the host's PSW for the guest's: user mode, and no word beyond its own."""
        _, counter, base, bound = self.psw
        return Psw(USER, counter, self.place + base, max(0, min(bound, self.size - base)))

    def step(self) -> Trap | None:
        """Do one instruction, on the host if it lets us."""
        return None if self.halted else self._directly()

    def _directly(self) -> Trap | None:
        self.host.psw = self.allocate()
        trap = self.host.step()
        if trap is not None:
            return self.dispatch(trap)
        self.psw = self.psw._replace(counter=self.host.psw.counter)
        self.direct += 1
        return None

    def dispatch(self, trap: Trap) -> Trap | None:
        """Decide what a trap of the host's is: an instruction to interpret, or the guest's own."""
        if trap.kind == "privileged" and self.psw.mode == SUPERVISOR:
            return self.interpret()
        return trap

    def interpret(self) -> Trap | None:
        """Do one instruction to the virtual machine."""
        self.interpreted += 1
        return self.perform()


class Hybrid(Monitor):
    """A virtual machine whose supervisor mode is interpreted, all of it.

    Parameters
    ----------
    host, place, size
        As for `Monitor`.

    Examples
    --------
    >>> from virtlab.machine.theorem.instructions import SETS, assembled
    >>> from virtlab.machine.theorem.machine import FIRST, Machine
    >>> guest = Hybrid(Machine(SETS["jrst"], 96), place=32, size=64)
    >>> for at, word in enumerate(assembled("set 20 5; jrst 10; halt", "jrst"), FIRST):
    ...     guest.write(at, word)
    >>> guest.run(2), guest.psw.mode == USER, guest.step().kind
    (2, True, 'privileged')
    """

    def step(self) -> Trap | None:
        """Do one instruction: by interpretation in virtual supervisor mode."""
        if self.halted:
            return None
        return self.interpret() if self.psw.mode == SUPERVISOR else self._directly()
