"""When guest code may run as it is, and how often a guest's mode switches (S17, S18).

Translation is for the guest's kernel. A program of its user runs at ring 3 anyway, cannot touch the
machine, and may run **directly**: that is why such a monitor is fast. But whether it may depends on
the state of the virtual processor, and the monitor looks at each switch:

    not in protected mode                     translated: there are no rings to hold it
    virtual-8086 mode                         directly: it is made to trap
    IOPL >= CPL                               translated: `cli` would not trap
    IF is off                                 translated: `pushf` would show the processor's own IF
    a segment is not what its table says      translated: it could not be loaded again after a trap
    else                                      directly

**What 'directly' means here.** This host is no i386, and a program under a guest's own page tables
cannot be given to Linux as a process (`virtlab.machine.direct` does that with programs that need no
kernel). So it is run by the same tier as the rest, with nothing replaced: no code in the cache
stands for a sensitive instruction, and the figures count it apart. What can be seen is the rule,
how much of a guest's work it covers, and how often the mode switches; what cannot be measured here
is the speed that an i386 host would have.

Source: Bugnion, Nieh and Tsafrir (2017), figure 3.1 and section 3.2.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from virtlab.machine.descriptors import find
from virtlab.machine.segments import Segment
from virtlab.validate import integer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtlab.machine.processor import Processor

__all__ = ["Decision", "Modes", "decide", "direct_execution", "segments_shadowed"]

_PE = 1


class Decision(NamedTuple):
    """Whether code may run as it is.

    Attributes
    ----------
    direct
        Whether it may.
    why
        The line of the rule that decided.
    """

    direct: bool
    why: str


def _direct(why: str) -> Decision:
    return Decision(direct=True, why=why)


def _translated(why: str) -> Decision:
    return Decision(direct=False, why=why)


def direct_execution(
    *,
    cr0_pe: bool,
    v8086: bool,
    iopl: int,
    cpl: int,
    interrupts_on: bool,
    segments_shadowed: bool,
) -> Decision:
    """Decide, from the state of a virtual processor.

    Parameters
    ----------
    cr0_pe
        Whether it is in protected mode.
    v8086
        Whether it is in virtual-8086 mode.
    iopl, cpl
        Outermost ring that may change IF, and the one that runs: 0 to 3.
    interrupts_on
        Its IF.
    segments_shadowed
        Whether each segment register is what its table says now.

    Returns
    -------
    Decision
        And why.

    Raises
    ------
    InvalidInputError
        If a ring is not 0 to 3.

    Examples
    --------
    >>> user = dict(cr0_pe=True, v8086=False, iopl=0, cpl=3)
    >>> direct_execution(**user, interrupts_on=True, segments_shadowed=True)
    Decision(direct=True, why='nothing that the guest could see is different')
    >>> direct_execution(**user, interrupts_on=False, segments_shadowed=True)
    Decision(direct=False, why='IF is off: pushf would show it on')
    """
    iopl, cpl = (
        integer(name, ring, minimum=0, maximum=3) for name, ring in (("iopl", iopl), ("cpl", cpl))
    )
    if not cr0_pe:
        return _translated("not in protected mode: no rings hold it")
    if v8086:
        return _direct("virtual-8086 mode: what is sensitive is made to trap")
    if iopl >= cpl:
        return _translated(f"IOPL {iopl} >= CPL {cpl}: cli and popf would not trap")
    if not interrupts_on:
        return _translated("IF is off: pushf would show it on")
    if not segments_shadowed:
        return _translated("a segment is not what its table says: it could not be loaded again")
    return _direct("nothing that the guest could see is different")


def segments_shadowed(processor: Processor) -> bool:
    """Return whether each segment register is what its table says now.

    Parameters
    ----------
    processor
        The guest's. Its memory is read without a trace.

    Returns
    -------
    bool
        A null selector is what it says.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> segments_shadowed(Processor())  # as a boot loader leaves it: there is no table yet
    False
    """
    return all(_is_shadowed(processor, segment) for segment in processor.segments)


def _is_shadowed(processor: Processor, segment: Segment) -> bool:
    from virtlab.machine.walk.lines import peek

    if segment.selector & 0xFFFC == 0:
        return not segment.present
    place = find(processor, segment.selector)
    there = b"" if place is None else peek(processor, place, 8)
    if len(there) < 8:
        return False
    table = Segment.from_descriptor(segment.selector, int.from_bytes(there, "little"))
    return _hidden(table) == _hidden(segment)


def _hidden(segment: Segment) -> tuple[int, int, int, bool]:
    """Return what a register holds, but for the bit that says it was loaded."""
    return segment.base, segment.limit, segment.access & ~1, segment.big


def decide(processor: Processor) -> Decision:
    """Decide for a processor as it stands.

    Parameters
    ----------
    processor
        The guest's.

    Returns
    -------
    Decision
        By `direct_execution`.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> decide(Processor()).why  # its kernel is about to begin
    'IOPL 0 >= CPL 0: cli and popf would not trap'
    """
    flag = processor.registers.flag
    return direct_execution(
        cr0_pe=bool(processor.registers["CR0"] & _PE),
        v8086=bool(flag("VM")),
        iopl=flag("IOPL"),
        cpl=processor.cpl,
        interrupts_on=bool(flag("IF")),
        # Looked at last, as it takes longest, and only where it decides.
        segments_shadowed=processor.cpl == 0 or segments_shadowed(processor),
    )


class Modes:
    """Decides for one guest again and again, and counts.

    Attributes
    ----------
    now
        The last decision.
    instructions
        By mode, 'direct' or 'translated'.
    why
        (mode, why) to instructions.
    switches
        How often the mode changed.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> modes, processor = Modes(), Processor()
    >>> with modes.of(processor):
    ...     processor.instructions += 5
    >>> modes.instructions, modes.switches
    (Counter({'translated': 5}), 0)
    """

    def __init__(self) -> None:
        self.now = _translated("")
        self.why: Counter[tuple[str, str]] = Counter()
        self.switches = 0

    @property
    def instructions(self) -> Counter[str]:
        """Instructions by mode."""
        found: Counter[str] = Counter()
        for (mode, _), times in self.why.items():
            found[mode] += times
        return found

    @contextmanager
    def of(self, processor: Processor) -> Iterator[None]:
        """Decide, and count what is done inside as of that mode.

        Parameters
        ----------
        processor
            The guest's; it stays at one ring inside, but for the last instruction.

        Examples
        --------
        See the class.
        """
        before, decided = processor.instructions, decide(processor)
        self.switches += bool(self.now.why) and decided.direct != self.now.direct
        self.now = decided
        yield
        mode = "direct" if decided.direct else "translated"
        self.why[mode, decided.why] += processor.instructions - before
