"""How code is judged in chapter 02: a student's bytes run on the course's own computer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virtlab.machine.faults import Fault
from virtlab.machine.stage import CODE, HANDLER, IDT, code_selector, stage
from virtlab.machine.walk.programs import attempt, read_bytes
from virtlab.validate import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["bytes_or_hint", "try_gate", "try_read_if"]

_VECTOR, _GATE = 0x90, 8


def bytes_or_hint(given: Any, most: int) -> bytes | str:
    r"""Take bytes, or text in hexadecimal; return a hint if it is neither.

    Parameters
    ----------
    given
        What a student's function returned.
    most
        Bytes it may have.

    Returns
    -------
    bytes or str
        The bytes, or the hint.

    Examples
    --------
    >>> bytes_or_hint("f4", 5), bytes_or_hint(b"", 5)
    (b'\xf4', 'It returned 0 bytes; 1 to 5 are wanted.')
    """
    if isinstance(given, str):
        try:
            given = read_bytes(given)
        except InvalidInputError as error:
            return f"It returned {error.value!r}: bytes, or text in hexadecimal, is wanted."
    if not isinstance(given, bytes | bytearray):
        return f"It should return bytes; it returned {type(given).__name__}."
    if not 1 <= len(given) <= most:
        return f"It returned {len(given)} bytes; 1 to {most} are wanted."
    return bytes(given)


def try_read_if(write: Callable[[], Any], most: int = 5) -> str | None:
    """Run a student's bytes at ring 3, once with interrupts on and once off.

    Parameters
    ----------
    write
        Returns machine code.
    most
        Bytes it may have.

    Returns
    -------
    str or None
        A hint; None if EAX says whether interrupts are on.

    Examples
    --------
    >>> print(try_read_if(lambda: bytes.fromhex("fa"))[:39])
    CLI at ring 3 with IOPL 0: it is not do
    >>> try_read_if(lambda: bytes.fromhex("9c58c1e809"))  # pushf; pop eax; shr eax, 9
    """
    code = bytes_or_hint(write(), most)
    if isinstance(code, str):
        return code
    found = []
    for interrupts in (True, False):
        ran = _eax(code, interrupts=interrupts)
        if isinstance(ran, str):
            return ran
        found.append(ran)
    on, off = found
    if (on, off) == (1, 0) or (on != off and on ^ off == on & 0x200):
        return None
    if on == off:
        return f"EAX is {on:#x}, interrupts on or off. Which instruction tells the flags?"
    said = f"EAX is {on:#x} with interrupts on and {off:#x} with them off"
    return f"{said}: IF is to stand at bit 9, or alone."


def _eax(code: bytes, *, interrupts: bool) -> int | str:
    """Run code at ring 3; return EAX, or what went wrong."""
    ride = attempt(code, ring=3, interrupts=interrupts)
    for event in ride.events:
        if event.ring != event.came:
            return ride.go(event.number).explain()
    ride.go(ride.last)
    if ride.computer.address != CODE + len(code):
        return "The program does not come to its end: after the last byte EAX is looked at."
    return int(ride.computer.processor.registers["EAX"])


def try_gate(write: Callable[[], Any]) -> str | None:
    """Put a student's gate into the interrupt table, and call it from ring 3.

    Parameters
    ----------
    write
        Returns a gate's eight bytes for a handler's address and the selector of ring 0's code.

    Returns
    -------
    str or None
        A hint; None if ring 3 may call it, and comes to the handler at ring 0 with interrupts off.

    Examples
    --------
    >>> def gate(handler, selector):
    ...     low = handler & 0xFFFF | selector << 16
    ...     high = handler & 0xFFFF0000 | 0x8E00
    ...     return low.to_bytes(4, "little") + high.to_bytes(4, "little")
    >>> print(try_gate(gate))
    int 0x90 at ring 3: #GP(0x482): int 0x90: the gate is for ring 0, not for ring 3
    """
    for handler in (HANDLER + 4 * _VECTOR, 0x0001_4ABC):
        given = bytes_or_hint(write(handler, code_selector(0)), _GATE)  # type: ignore[call-arg]
        if isinstance(given, str):
            return given
        if len(given) != _GATE:
            return f"A gate has {_GATE} bytes; it returned {len(given)}."
        hint = _call(given, handler)
        if hint:
            return hint
    return None


def _call(gate: bytes, handler: int) -> str | None:
    """Call a gate from ring 3; return what is wrong."""
    processor = stage(ring=3)
    processor.memory.write(IDT + 8 * _VECTOR, gate)
    processor.memory.write(CODE, bytes([0xCD, _VECTOR]))
    try:
        processor.step()
    except Fault as fault:
        return f"int {_VECTOR:#x} at ring 3: {fault}"
    registers = processor.registers
    if registers["EIP"] != handler:
        return f"It leads to {registers['EIP']:#x}; the handler is at {handler:#x}."
    if processor.cpl != 0:
        return f"It leads to ring {processor.cpl}; the handler is ring 0's."
    if registers.flag("IF"):
        return "It leads to the handler, but with interrupts on: that is a trap gate (type 0xF)."
    return None
