"""One sentence that says what a step was: what trapped and why, or what was not said (S17).

The interesting steps are those in which the ring changes, and those in which it should have and
did not. For the second kind the sentence says what a program learned about the machine below it,
or what it asked for and did not get: nothing in the processor does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.encoding import SS
from virtlab.machine.registers import ARITHMETIC, Registers
from virtlab.machine.walk.entries import vector_of

if TYPE_CHECKING:
    from virtlab.machine.computer import Computer
    from virtlab.machine.history import Step
    from virtlab.machine.walk.lines import Names

__all__ = ["how_named", "no_trap", "tell"]

_IF = 0x200
_TELLS = {
    "PUSHF": "leaves all flags on the stack, the machine's own IF and IOPL among them",
    "SGDT": "tells where the machine's own descriptor table lies",
    "SIDT": "tells where the machine's own interrupt table lies",
    "SLDT": "tells the machine's own local descriptor table",
    "STR": "tells the machine's own task",
    "SMSW": "tells half of the machine's own CR0",
    "LAR": "tells the rights of a segment",
    "LSL": "tells the limit of a segment",
    "VERR": "tells whether a segment can be read",
    "VERW": "tells whether a segment can be written",
}
_WHY = {"timer": 0x20}


def how_named(step: Step) -> str:
    """Return what takes a step from ring to ring, in a word or two.

    Parameters
    ----------
    step
        Which.

    Returns
    -------
    str
        Such as '#GP', 'int 0x80', 'timer' or 'iret'; empty if nothing does.

    Examples
    --------
    >>> from virtlab.machine.history import Step
    >>> how_named(Step(0, 0, 3, "interrupt 0x20 of a device", "interrupt", "",
    ...                (("int 0x20", "device"),)))
    'timer'
    """
    if step.kind == "interrupt":
        vector = vector_of(step)
        return "timer" if vector == _WHY["timer"] else f"device {vector:#x}"
    if step.traps:
        return step.traps[-1][0]
    word = _word(step).lower()
    return word if word in ("iret", "retf", "callf", "jmpf") else ""


def _word(step: Step) -> str:
    """Return the mnemonic, without the letter that says of how many bits it is."""
    word = step.what.split(" ")[0].split(".")[0]
    return word.removesuffix("D") if word in ("IRETD", "PUSHFD", "POPFD") else word


def no_trap(computer: Computer, step: Step) -> bool:
    """Return whether a step leaked, or did something else, where a monitor would need a trap.

    Parameters
    ----------
    computer
        After it.
    step
        Which.

    Returns
    -------
    bool
        Of what was done at ring 0, never.

    Examples
    --------
    >>> from virtlab.machine.walk.programs import attempt
    >>> attempt(bytes.fromhex("0f01e0"), ring=1).go(1).how  # smsw eax
    'no trap'
    """
    return bool(step.kind == "instruction" and not step.traps and _silence(computer, step))


def tell(computer: Computer, step: Step, names: Names) -> str:
    """Say what a step was.

    Parameters
    ----------
    computer
        After it.
    step
        Which.
    names
        Of places.

    Returns
    -------
    str
        A sentence, or a few.

    Examples
    --------
    >>> from virtlab.machine.walk.programs import attempt
    >>> attempt(bytes.fromhex("fa"), ring=3).go(1).explain()
    'CLI at ring 3 with IOPL 0: it is not done. The processor traps (#GP, error code 0) into ring \
0, by gate 0xd, to handler of #GP, and onto the stack of ring 0.'
    """
    if ended := _end(computer, step):
        return ended
    if step.kind == "trap":
        return _trap(computer, step, names)
    if step.kind == "interrupt" or step.traps:
        return _call(computer, step, names)
    if how_named(step) and computer.processor.cpl != step.ring:
        return _return(computer, step, names)
    return _silence(computer, step) or _plain(step)


def _end(computer: Computer, step: Step) -> str:
    """Say that the machine stands still, or has ended."""
    ring = computer.processor.cpl
    if computer.shutdown:
        return f"{step.what} at ring {step.ring}: {computer.shutdown}."
    if step.kind == "halted":
        return f"The processor halts at ring {ring}, and nothing can wake it: this is the end."
    if step.kind == "wait":
        return "The processor is halted, until the next interrupt."
    if computer.exit_port.status is not None:
        status = computer.exit_port.status >> 1
        return f"{step.what}: the kernel writes {status} to port 0xf4, and the machine ends."
    return ""


def _lands(computer: Computer, step: Step, names: Names) -> str:
    """Say where a trap leads, and to which stack."""
    ring = computer.processor.cpl
    words = f"by gate {vector_of(step):#x}, to {names.say(computer.address)}"
    if ring < step.ring:
        return f"{words}, and onto the stack of ring {ring}"
    return f"{words}; the ring and the stack stay"


def _trap(computer: Computer, step: Step, names: Names) -> str:
    name, _, why = step.why.partition(": ")
    kind, _, code = name.partition("(")
    why = why or "it cannot be done"
    if kind != "#PF" and why.startswith(step.what.split(" ")[0]):
        cause = f"{why}: it is not done."
    else:
        cause = f"{step.what} at ring {step.ring} is not done: {why}."
    code = code.rstrip(")").removeprefix("0x")
    told = f"{kind}, error code {_error(kind, code)}" if code else kind
    return (
        f"{cause} The processor traps ({told}) into ring {computer.processor.cpl}, "
        f"{_lands(computer, step, names)}."
    )


def _error(kind: str, code: str) -> str:
    number = int(code, 16)
    if kind != "#PF":
        return f"{number:#x}" if number else "0"
    bits = ["a page that is there" if number & 1 else "no page",
            "a write" if number & 2 else "a read",
            "by ring 3" if number & 4 else "by rings 0 to 2"]  # fmt: skip
    return f"{number}: {', '.join(bits)}"


def _call(computer: Computer, step: Step, names: Names) -> str:
    ring = computer.processor.cpl
    if step.kind == "interrupt":
        who = "the timer" if how_named(step) == "timer" else "a device"
        cause = f"Between two instructions of ring {step.ring} {who} interrupts: nobody asked it."
    else:
        cause = f"Ring {step.ring} asks for it itself: {step.what}."
    off = " Interrupts are off now." if not computer.processor.registers.flag("IF") else ""
    return f"{cause} Into ring {ring} {_lands(computer, step, names)}.{off}"


def _return(computer: Computer, step: Step, names: Names) -> str:
    ring = computer.processor.cpl
    word = _word(step)
    on = " Interrupts are on again." if computer.processor.registers.flag("IF") else ""
    stack = " ESP and SS too, for the ring changes." if ring > step.ring else ""
    return (
        f"{word} takes EIP, CS and EFLAGS from the stack of ring {step.ring}, and CS says ring "
        f"{ring}: to {names.say(computer.address)}.{stack}{on}"
    )


def _silence(computer: Computer, step: Step) -> str:
    """Say what went wrong, or leaked, without a trap."""
    if step.ring == 0 or step.undo is None:
        return ""
    word = _word(step)
    if word in ("POPF", "IRET"):
        return _popped(computer, step, word)
    if word in _TELLS:
        seen = [f"{name} is {new:#x}" for name, (_, new) in step.changes().items() if name != "ESP"]
        seen += [f"{new[::-1].hex()} at {at:#x}" for at, _, new in step.undo.written]
        told = f" ({', '.join(seen)})" if seen else ""
        return f"{word} at ring {step.ring} {_TELLS[word]}{told}: no trap, and nobody knows."
    if word in ("PUSH", "MOV") and step.what.endswith("CS"):
        return (
            f"{step.what} at ring {step.ring} shows the selector in CS, whose low two bits are the "
            "ring: no trap."
        )
    return ""


def _popped(computer: Computer, step: Step, word: str) -> str:
    """Say what became of the interrupt flag that was asked for."""
    undo = step.undo
    if undo is None:
        return ""
    old = Registers()
    old.data[:] = undo.processor.registers
    place = undo.processor.segments[SS].base + old["ESP"] + (8 if word == "IRET" else 0)
    asked = int.from_bytes(computer.processor.read(place, 4), "little")
    now = computer.processor.registers.eflags
    lost = [
        f"IF = {asked >> 9 & 1}, and IF stays {now >> 9 & 1}" if (asked ^ now) & _IF else "",
        f"IOPL = {asked >> 12 & 3}, and IOPL stays {now >> 12 & 3}" if (asked ^ now) & 0x3000
        else "",
    ]  # fmt: skip
    if not any(lost):
        return ""
    wanted = "; ".join(one for one in lost if one)
    return f"{word} at ring {step.ring} asks for {wanted}: no trap, no error, nobody knows."


def _plain(step: Step) -> str:
    parts = []
    for name, (old, new) in step.changes().items():
        if name != "EFLAGS":
            parts.append(f"{name} is {new:#x} now")
        elif (old ^ new) & _IF:
            parts.append(f"IF is {new >> 9 & 1} now")
        elif (old ^ new) & ~ARITHMETIC:
            parts.append(f"EFLAGS is {new:#x} now")
    written = step.undo.written if step.undo else ()
    if len(written) == 1:
        at, _, new_bytes = written[0]
        parts.append(f"{int.from_bytes(new_bytes, 'little'):#x} stands at {at:#x} in memory now")
    elif written:
        parts.append(f"{sum(len(new) for _, _, new in written)} bytes of memory were written")
    did = f": {', '.join(parts)}" if parts else ""
    return f"Ring {step.ring} does {step.what}{did}."
