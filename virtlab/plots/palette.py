"""Colours that mean something, everywhere the same, each with a second sign.

The palette is Okabe and Ito's, which stays apart for colour-blind eyes; every colour also has a
marker, a hatch or a letter, so that a grey print works. `tests/plots/test_style.py` measures how
far apart the colours stay under simulated colour blindness.

Source: M. Okabe, K. Ito, "Color Universal Design" (2008).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HARDWARE", "HOST", "OUTCOMES", "PAGES", "VMS", "Mark", "vm_mark"]


@dataclass(frozen=True)
class Mark:
    """How one kind of thing is shown: colour, and a second sign for grey print.

    Attributes
    ----------
    colour
        As #rrggbb.
    marker
        Matplotlib marker of its points.
    hatch
        Matplotlib hatch of its areas; '' for none.
    sign
        One character that stands for it in a text or a page map.
    label
        What it is, in words.
    """

    colour: str
    marker: str = "o"
    hatch: str = ""
    sign: str = ""
    label: str = ""


VMS: tuple[Mark, ...] = (
    Mark("#0072B2", "o", "", "1", "VM1"),
    Mark("#D55E00", "s", "//", "2", "VM2"),
    Mark("#009E73", "^", "..", "3", "VM3"),
    Mark("#CC79A7", "D", "xx", "4", "VM4"),
)
HOST = Mark("#4D4D4D", "P", "++", "H", "host")
HARDWARE = Mark("#1A1A1A", "X", "", "#", "hardware")

PAGES: dict[str, Mark] = {
    "free": Mark("#D9D9D9", "", "", "·", "free"),
    "used": Mark("#0072B2", "", "", "u", "used by one VM"),
    "zero": Mark("#FFFFFF", ".", "", "0", "zero"),
    "shared": Mark("#56B4E9", "", "", "s", "shared"),
    "hint": Mark("#E69F00", "", "", "h", "hint"),
    "ballooned": Mark("#F0E442", "", "", "b", "ballooned"),
    "swapped": Mark("#333333", "", "//", "/", "swapped"),
    "dirty": Mark("#D55E00", "", "", "d", "dirty"),
    "kernel": Mark("#7A7A7A", "", "", "k", "kernel"),
    "cold": Mark("#A9CFEA", "", "", "c", "cold"),
    "cache": Mark("#B5D99C", "", "", "f", "page cache"),
    "stale": Mark("#724A22", "", "", "o", "stale"),
    "fetched": Mark("#3939BF", "", "", "←", "fetched on demand"),
    "wrong": Mark("#1E074C", "", "", "⚠", "wrong"),
}
OUTCOMES: dict[str, Mark] = {
    "allowed": Mark("#009E73", "o", "", "●", "allowed"),
    "traps": Mark("#0072B2", ">", "", "⚑", "traps"),
    "silently wrong": Mark("#D55E00", "^", "", "⚠", "silently wrong"),
}


def vm_mark(index: int) -> Mark:
    """Return how the VM with this index (0 for VM1) is shown; after four come lighter shades.

    Parameters
    ----------
    index
        Position of the VM, from 0.

    Returns
    -------
    Mark
        Its colour, marker, hatch and letter.

    Examples
    --------
    >>> vm_mark(1).colour
    '#D55E00'
    >>> vm_mark(5).label, vm_mark(5).colour != vm_mark(1).colour
    ('VM6', True)
    """
    base = VMS[index % len(VMS)]
    lighter = 1 - 0.75 ** (index // len(VMS))
    channels = (int(base.colour[i : i + 2], 16) for i in (1, 3, 5))
    colour = "#" + "".join(f"{round(c + (255 - c) * lighter):02X}" for c in channels)
    return Mark(colour, base.marker, base.hatch, str(index + 1), f"VM{index + 1}")
