"""The code around EIP, as a disassembler writes it, with the names of its places (S17).

x86 code can be read forwards only: instructions have one to fifteen bytes, and what stands before
an address depends on where one begins. So the lines before EIP are found by reading from the name
that stands before it; where there is none, they begin at EIP.

Memory is read as a debugger reads it: without rights, without a fault, and without a trace in the
page tables or the TLB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.machine.decode import LONGEST
from virtlab.machine.faults import Fault
from virtlab.machine.memory import PAGE
from virtlab.machine.vmm.shadow import peek_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtlab.machine.processor import Processor

__all__ = ["END", "Line", "Names", "listing", "peek"]

END = "end"  # the name after the last instruction: what stands behind it is no code
_FARTHEST = 600  # bytes from a name to what follows it


@dataclass(frozen=True)
class Line:
    """One line of code.

    Attributes
    ----------
    address
        Linear.
    code
        Its bytes, in hexadecimal.
    text
        As an assembler would write it.
    name
        What stands at this address, if it has a name.
    now
        Whether it is next.

    Examples
    --------
    >>> Line(0x5000, "fa", "CLI", "code", True).text
    'CLI'
    """

    address: int
    code: str
    text: str
    name: str
    now: bool


class Names:
    """Names of addresses.

    Parameters
    ----------
    places
        Addresses by name.

    Examples
    --------
    >>> names = Names({"main": 0x1000, "trap": 0x1200})
    >>> names.at(0x1200), names.at(0x1204), names.before(0x1204)
    ('trap', '', 4608)
    >>> names.say(0x1204), names.say(0x10)
    ('trap+0x4', '0x10')
    """

    def __init__(self, places: Mapping[str, int]) -> None:
        self._names = {address: name for name, address in places.items()}
        self._sorted = sorted(self._names)

    def at(self, address: int) -> str:
        """Return the name of an address, or nothing."""
        return self._names.get(address, "")

    def before(self, address: int) -> int | None:
        """Return the nearest address with a name that is not after this one, and not far."""
        from bisect import bisect_right

        place = bisect_right(self._sorted, address) - 1
        if place < 0 or address - self._sorted[place] > _FARTHEST:
            return None
        return self._sorted[place]

    def say(self, address: int) -> str:
        """Write an address with the name before it, if it has one."""
        start = self.before(address)
        if start is None:
            return f"{address:#x}"
        more = address - start
        return self._names[start] + (f"+{more:#x}" if more else "")


def peek(processor: Processor, linear: int, size: int) -> bytes:
    """Read memory as a debugger does.

    Parameters
    ----------
    processor
        Whose tables say where it is.
    linear, size
        Where, and how many bytes.

    Returns
    -------
    bytes
        As many as are there; none where no page is.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> processor.memory.write(0x10, b"abc")
    >>> peek(processor, 0x10, 3)
    b'abc'
    """
    found = b""
    while len(found) < size:
        at = linear + len(found) & 0xFFFFFFFF
        place = peek_place(processor, at)
        if place is None or place >= len(processor.memory.data):
            break
        found += processor.memory.read(place, min(size - len(found), PAGE - at % PAGE))
    return found


def listing(
    processor: Processor, base: int, eip: int, names: Names, before: int = 3, after: int = 5
) -> tuple[Line, ...]:
    """Return the code around an address.

    Parameters
    ----------
    processor
        Whose memory.
    base, eip
        Of the code segment, and the offset that is next.
    names
        Of places.
    before, after
        How many lines.

    Returns
    -------
    tuple of Line
        At most so many, and the one that is next.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> processor.memory.write(0x1000, bytes.fromhex("fa fb f4"))
    >>> [line.text for line in listing(processor, 0, 0x1001, Names({"code": 0x1000}), after=1)]
    ['CLI', 'STI', 'HLT']
    """
    here = base + eip & 0xFFFFFFFF
    lines, at = _run(processor, here, base, here, names), 0
    start = names.before(here)
    while start is not None and at < before:
        longer = _run(processor, start, base, here, names)
        place = next((k for k, line in enumerate(longer) if line.now), None)
        if place is None:  # the name stands before data, not before code
            break
        lines, at, start = longer, place, names.before(start - 1)
        if start is not None and here - start > _FARTHEST:
            break
    shown = lines[max(0, at - before) : at + after + 1]
    ends = [k for k, line in enumerate(shown) if line.name == END and not line.now]
    return tuple(shown[: ends[0]] if ends else shown)


def _run(processor: Processor, start: int, base: int, here: int, names: Names) -> list[Line]:
    """Read forwards, until enough stands after EIP."""
    lines: list[Line] = []
    at, left = start, 8
    while left:
        code = peek(processor, at, LONGEST)
        if not code:
            break
        text, size = _decode(processor, at - base & 0xFFFFFFFF, code)
        lines.append(Line(at, code[:size].hex(" "), text, names.at(at), at == here))
        at += size
        if at > here:
            left -= 1
            if not any(line.now for line in lines):
                break
    return lines


def _decode(processor: Processor, offset: int, code: bytes) -> tuple[str, int]:
    """Return what an instruction is, and how long."""
    try:
        found = processor.decoder.decode(offset, code)
    except Fault:
        return "(no instruction)", 1
    return str(found), len(found.code)
