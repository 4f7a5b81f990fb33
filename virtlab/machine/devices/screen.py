"""The screen: 80 by 25 letters that are memory (S16).

It stands for the text mode of a VGA card. Each place on the screen is two bytes of memory from
0xB8000 on, a letter and its colours; the card reads them and draws. So there is nothing to trap
here when a guest prints, and a VMM only has to look at that memory from time to time. The cursor
is a place that the guest writes to a register of the card: its number to port 0x3D4, then its value
to 0x3D5 (registers 14 and 15).

Source: IBM VGA Technical Reference (1992), CRT controller registers 0x0E and 0x0F. Left out: all
else that a card can do: graphics, fonts, other modes, the start address (scrolling by hardware).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.bus import Device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtlab.machine.memory import Memory

__all__ = ["COLUMNS", "ROWS", "Screen"]

COLUMNS, ROWS, _PLACE = 80, 25, 0xB8000


class Screen(Device):
    r"""A screen of text.

    Parameters
    ----------
    memory
        The machine's, where the letters are.

    Examples
    --------
    >>> from virtlab.machine.memory import Memory
    >>> memory = Memory(1 << 20)
    >>> screen = Screen(memory)
    >>> memory.write(0xB8000, b"h\x07i\x07")
    >>> screen.write(0x3D4, 1, 15)
    >>> screen.write(0x3D5, 1, 2)
    >>> screen.lines()[0].rstrip(), screen.cursor
    ('hi', (0, 2))
    """

    name = "screen"
    ports: Sequence[int] = range(0x3D4, 0x3D6)
    kept = ("index", "registers")  # the letters are part of memory

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.index = 0
        self.registers = bytes(32)

    @property
    def cursor(self) -> tuple[int, int]:
        """Row and column of the cursor."""
        return divmod(int.from_bytes(self.registers[14:16], "big"), COLUMNS)

    def lines(self) -> list[str]:
        """Return what can be read on it: 25 lines of 80 letters."""
        shown = self.memory.read(_PLACE, 2 * COLUMNS * ROWS)[::2].replace(b"\0", b" ")
        text = shown.decode("cp437")
        return [text[at : at + COLUMNS] for at in range(0, COLUMNS * ROWS, COLUMNS)]

    def read(self, port: int, size: int) -> int:
        """Read the number of the register, or its value."""
        return self.registers[self.index] if port & 1 else self.index

    def write(self, port: int, size: int, value: int) -> None:
        """Choose a register, or write it."""
        if port & 1:
            before, after = self.registers[: self.index], self.registers[self.index + 1 :]
            self.registers = before + bytes([value]) + after
        else:
            self.index = value & 31
