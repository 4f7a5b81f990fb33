"""Port accesses for which nobody has to stop: a device says which those are (S16, S18).

Each `in` and `out` is a place where a VMM steps in, and to step in is dear. But who asks a serial
port whether it is ready asks again and again, and gets the same answer; and a byte that is sent
must be sent some time, not now. So a device may **offer** two things:

- an **answer**: what a port says, if to read it changes nothing and it says the same until the
  device itself is told something else. The VMM keeps it where it can be read at once, a shadow.
- to **take** writes to a port later, all together and in their order: if no answer, of any device,
  and no interrupt depends on them, and neither does the time at which they come.

The offer is looked at anew each time before a guest runs on; so it may depend on all that a device
is: which of its registers are chosen, for what it is to interrupt. A device that offers nothing is
asked each time, as all are by the interpreter.

Source: for writes, KVM's coalesced I/O: they go to a ring that KVM and QEMU share, and QEMU reads
it at the next exit (Linux, Documentation/virt/kvm/api.rst, section 4.116).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["Coalescing", "Offer"]


class Offer(NamedTuple):
    """What need not be asked of a device now.

    Attributes
    ----------
    answers
        (port, byte) of what may be read.
    takes
        Ports that may be written to.

    Examples
    --------
    >>> Offer().answers, Offer().takes
    ((), ())
    """

    answers: tuple[tuple[int, int], ...] = ()
    takes: tuple[int, ...] = ()


@runtime_checkable
class Coalescing(Protocol):
    """A device that offers something."""

    def offer(self) -> Offer:
        """Return what it offers, as it is now."""

    def take(self, port: int, data: bytes) -> None:
        """Take bytes that were written to a port that it offered to take from.

        Parameters
        ----------
        port
            Which.
        data
            One byte for each write.
        """
