"""Registers of an i386, laid out as SLEIGH numbers them, so that p-code finds them (S5).

All of them are bytes of one array: AL is the first byte of EAX by its place, with no rule of its
own, and a copy of the array is the whole state, to go back to. The flags are a byte each; EFLAGS
is put together when something asks for it.

Source: the layout is that of Ghidra's x86 specification (`pypcode`); the flags are those of the
Intel SDM, volume 1, figure 3-8.
"""

from __future__ import annotations

from virtlab.validate import one_of

__all__ = ["ARITHMETIC", "FLAGS", "GENERAL", "PLACES", "SIZE", "Registers"]

SIZE = 0x340
GENERAL = ("EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI")
PLACES: dict[str, tuple[int, int]] = {
    **{name: (4 * k, 4) for k, name in enumerate(GENERAL)},
    **{name[1:]: (4 * k, 2) for k, name in enumerate(GENERAL)},
    **{f"{letter}L": (4 * k, 1) for k, letter in enumerate("ACDB")},
    **{f"{letter}H": (4 * k + 1, 1) for k, letter in enumerate("ACDB")},
    **{name: (256 + 2 * k, 2) for k, name in enumerate(("ES", "CS", "SS", "DS", "FS", "GS"))},
    "EIP": (644, 4),
    **{f"DR{k}": (768 + 4 * k, 4) for k in range(8)},
    **{f"CR{k}": (800 + 4 * k, 4) for k in (0, 2, 3, 4)},
}

# Flag: its byte here, its first bit in EFLAGS, how many bits.
FLAGS: dict[str, tuple[int, int, int]] = {
    "CF": (512, 0, 1),
    "PF": (514, 2, 1),
    "AF": (516, 4, 1),
    "ZF": (518, 6, 1),
    "SF": (519, 7, 1),
    "TF": (520, 8, 1),
    "IF": (521, 9, 1),
    "DF": (522, 10, 1),
    "OF": (523, 11, 1),
    "IOPL": (524, 12, 2),
    "NT": (525, 14, 1),
    "RF": (527, 16, 1),
    "VM": (528, 17, 1),
    "AC": (529, 18, 1),
    "ID": (532, 21, 1),
}
ARITHMETIC = 0x8D5  # CF, PF, AF, ZF, SF, OF
_ALWAYS = 0x2  # bit 1 reads as one


class Registers:
    """All registers of one processor.

    Parameters
    ----------
    data
        A buffer to use, if others work on it too.

    Attributes
    ----------
    data
        Their bytes.

    Examples
    --------
    >>> registers = Registers()
    >>> registers["EAX"] = 0x12345678
    >>> hex(registers["AH"]), registers.eflags
    ('0x56', 2)
    >>> registers.eflags = 0x3246
    >>> registers.flag("IOPL"), registers.flag("IF"), registers.flag("ZF")
    (3, 1, 1)
    """

    def __init__(self, data: memoryview | None = None) -> None:
        self.data: bytearray | memoryview = bytearray(SIZE) if data is None else data

    def __getitem__(self, name: str) -> int:
        """Return a register by its name."""
        place, size = PLACES.get(name) or PLACES[one_of("register", name, tuple(PLACES))]
        return int.from_bytes(self.data[place : place + size], "little")

    def __setitem__(self, name: str, value: int) -> None:
        """Give a register a value; what is too large for it is cut off."""
        place, size = PLACES.get(name) or PLACES[one_of("register", name, tuple(PLACES))]
        self.data[place : place + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    def flag(self, name: str) -> int:
        """Return a flag.

        Parameters
        ----------
        name
            Such as 'IF'; IOPL has two bits.

        Returns
        -------
        int
            Its value.

        Examples
        --------
        >>> Registers().flag("CF")
        0
        """
        place = FLAGS.get(name) or FLAGS[one_of("flag", name, tuple(FLAGS))]
        return self.data[place[0]]

    def set_flag(self, name: str, value: int) -> None:
        """Give a flag a value.

        Parameters
        ----------
        name
            Which.
        value
            0 or 1; 0 to 3 for IOPL.

        Examples
        --------
        >>> registers = Registers()
        >>> registers.set_flag("ZF", 1)
        >>> hex(registers.eflags)
        '0x42'
        """
        place = FLAGS.get(name) or FLAGS[one_of("flag", name, tuple(FLAGS))]
        self.data[place[0]] = value

    @property
    def eflags(self) -> int:
        """All flags as one number, as pushf would give it."""
        data = self.data
        return _ALWAYS | sum(data[place] << bit for place, bit, _ in FLAGS.values())

    @eflags.setter
    def eflags(self, value: int) -> None:
        for place, bit, width in FLAGS.values():
            self.data[place] = value >> bit & (1 << width) - 1
