"""What a monitor notes: each event of its guest, and each instruction that lied to it (S13, S17).

One request of a guest goes through layers: its program, its kernel, the VMM that runs it, what is
below that, and a device. An event says which layer did what, when and where; so a run can be read
as a story, or drawn as a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtlab.machine.sensitive import routine_of

if TYPE_CHECKING:
    from virtlab.machine.decode import Instruction

__all__ = ["LAYERS", "Difference", "Event", "Wrong", "counted_as"]

LAYERS = ("guest user", "guest kernel", "vmm", "VMkernel", "device")

# Why, by the routine that does the instruction. These are words for people: whether an instruction
# goes wrong is found by running it (`virtlab.machine.vmm.judge`).
_REASONS = {
    "IRET": "Outside of IOPL, IRET leaves IF as it is. The VMM is not told that the guest wants "
    "its interrupts back.",
    "POPF": "Outside of IOPL, POPF leaves IF as it is, and IOPL unless at ring 0.",
    "PUSHF": "PUSHF shows the flags that are there: the host's IF and IOPL.",
    "SGDT": "SGDT shows where the table is that the processor uses: the host's.",
    "SIDT": "SIDT shows where the table is that the processor uses: the host's.",
    "SLDT": "SLDT shows the selector that the processor uses: the host's.",
    "STR": "STR shows the selector that the processor uses: the host's.",
    "SMSW": "SMSW shows CR0 as it is: the host's.",
    "LAR": "LAR shows the descriptor of the copy, which is ring 1's.",
    "LSL": "LSL shows the limit of the copy, which is truncated.",
    "MOVFROMSEG": "The low two bits of CS and SS are the ring that runs, and it is 1.",
    "PUSHSEG": "The low two bits of CS and SS are the ring that runs, and it is 1.",
    "CALLF": "A far call pushes CS, whose low two bits are the ring that runs: 1.",
    "VERR": "VERR answers for the copy of the table.",
    "VERW": "VERW answers for the copy of the table.",
}
_COUNTED_AS = {
    "MOVCR": "MOV CR",
    "MOVFROMSEG": "MOV from segment",
    "MOVTOSEG": "MOV to segment",
    "PUSHSEG": "PUSH segment",
    "POPSEG": "POP segment",
}
_OTHERWISE = (
    "It touches the machine, and did so at ring 1, where the guest believes to be at ring 0."
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a guest.

    Attributes
    ----------
    step
        When: the guest's time, in instructions.
    address, symbol
        Where the guest was: linear address, and the function's name with a distance.
    layer
        Who did it: one of `LAYERS`.
    what
        'trap', 'emulate', 'inject', 'interrupt', 'in', 'out', 'silent', 'patch' or 'trace'.
    words
        The same for a person.

    Examples
    --------
    >>> print(Event(7, 0x100007, "_start+0x7", "vmm", "emulate", "CLI"))
    7  _start+0x7  vmm: emulate CLI
    """

    step: int
    address: int
    symbol: str
    layer: str
    what: str
    words: str

    def __str__(self) -> str:
        """Write it as one line."""
        return f"{self.step}  {self.symbol}  {self.layer}: {self.what} {self.words}"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as on the guest's own machine.

    Attributes
    ----------
    what
        A register, a flag, a segment register, or memory at an address.
    meant, here
        What it would be at ring 0, and what it is.

    Examples
    --------
    >>> print(Difference("IF", "1", "0"))
    IF is 0 and should be 1
    """

    what: str
    meant: str
    here: str

    def __str__(self) -> str:
        """Write it as words."""
        return f"{self.what} is {self.here} and should be {self.meant}"


@dataclass(frozen=True, slots=True)
class Wrong:
    """An instruction that did not trap, and did something else than at ring 0.

    Attributes
    ----------
    step, address, symbol
        When and where, as in `Event`.
    ring
        At which it really ran.
    instruction, routine
        As an assembler writes it, and which routine of the processor's does it.
    differences
        What is not as on the guest's own machine.

    Examples
    --------
    >>> wrong = Wrong(9, 0x10032D, "leave+0x6", 1, "IRETD", "IRET", (Difference("IF", "1", "0"),))
    >>> print(wrong.explain())
    IRETD at leave+0x6 (0x10032d), instruction 9 of the guest, ran at ring 1 and did not trap.
    IF is 0 and should be 1.
    Outside of IOPL, IRET leaves IF as it is. The VMM is not told that the guest wants its \
interrupts back.
    """

    step: int
    address: int
    symbol: str
    ring: int
    instruction: str
    routine: str
    differences: tuple[Difference, ...]

    def explain(self) -> str:
        """Say what it did, what it should have done, and why."""
        where = f"{self.symbol} ({self.address:#x})"
        return (
            f"{self.instruction} at {where}, instruction {self.step:,} of the guest, ran at ring "
            f"{self.ring} and did not trap.\n{'; '.join(map(str, self.differences))}.\n"
            f"{_REASONS.get(self.routine, _OTHERWISE)}"
        )


def counted_as(instruction: Instruction) -> str:
    """Return what a trap is counted as: the mnemonic, where that says enough.

    Parameters
    ----------
    instruction
        What trapped.

    Returns
    -------
    str
        Such as 'OUT', or 'MOV CR'.

    Examples
    --------
    >>> from virtlab.machine.decode import Decoder
    >>> counted_as(Decoder().decode(0, bytes.fromhex("0f20c0")))
    'MOV CR'
    """
    return _COUNTED_AS.get(routine_of(instruction.encoding) or "", instruction.mnemonic)
