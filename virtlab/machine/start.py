"""How a program starts: where it is, and what the loader tells it (S16).

A boot loader for the **Multiboot** protocol puts a kernel into memory and hands over in protected
mode: flat segments, no paging, interrupts off. EAX holds the loader's number, EBX the address of
what it says about the machine; here that is how much memory there is, and no more.

A kernel that asks no loader reads what a BIOS has left in low memory: a word says how many KiB lie
below devices, and at their end a kernel for several processors looks for a table of them. The word
is here, a table is not. Without the word that kernel would look below address 0.

Sources: Multiboot Specification 0.6.96, sections 3.2 and 3.3; Intel, MultiProcessor Specification
1.4 (1997), section 4: where such tables are looked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from virtlab.machine.processor import Processor

__all__ = ["MachineCode", "Program", "start"]

_MULTIBOOT = 0x2BADB002
_INFORMATION, _STACK = 0x7000, 0x9FC00
_BIOS_LOW, _LOW_KIB = 0x413, 640


class Program(Protocol):
    """What can be loaded; `virtlab.machine.image.load` returns such."""

    @property
    def entry(self) -> int:
        """Address of its first instruction."""

    def place(self, ram: bytearray | memoryview) -> None:
        """Put it into memory.

        Parameters
        ----------
        ram
            The machine's memory.
        """


class MachineCode:
    r"""A program that is a few bytes of machine code.

    Parameters
    ----------
    code
        Its bytes.
    entry
        Address of the first, which is where it starts.

    Examples
    --------
    >>> ram = bytearray(16)
    >>> MachineCode(b"\xf4", 8).place(ram)
    >>> ram.hex()
    '0000000000000000f400000000000000'
    """

    def __init__(self, code: bytes, entry: int) -> None:
        self.code, self.entry = code, entry

    def place(self, ram: bytearray | memoryview) -> None:
        """Put it into memory."""
        ram[self.entry : self.entry + len(self.code)] = self.code


def start(processor: Processor, program: Program) -> None:
    r"""Put a program into memory, and hand over to it.

    Parameters
    ----------
    processor
        A new one.
    program
        What to start.

    Raises
    ------
    InvalidInputError
        If it does not fit.

    Examples
    --------
    >>> from virtlab.machine.processor import Processor
    >>> processor = Processor()
    >>> start(processor, MachineCode(b"\xf4", 0x1000))
    >>> hex(processor.registers["EIP"]), hex(processor.registers["EAX"])
    ('0x1000', '0x2badb002')
    """
    memory, registers = processor.memory, processor.registers
    high_kib = len(memory.data) // 1024 - 1024
    words = (1, _LOW_KIB, high_kib)  # the first says that the other two are there
    memory.write(_INFORMATION, b"".join(word.to_bytes(4, "little") for word in words))
    memory.write(_BIOS_LOW, _LOW_KIB.to_bytes(2, "little"))
    program.place(memory.data)
    registers["EAX"], registers["EBX"], registers["ESP"] = _MULTIBOOT, _INFORMATION, _STACK
    registers["EIP"] = program.entry
