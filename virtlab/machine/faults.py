"""Exceptions of the processor: why an instruction could not be done (S5-S7).

A fault is raised while an instruction runs, undoes what the instruction did, and is delivered to
the guest through its interrupt table: that moment is the **trap** on which all virtualization
rests.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 3, table 6-1.
"""

from __future__ import annotations

__all__ = ["NAMES", "WITH_ERROR_CODE", "Fault", "fault_name"]

NAMES = {
    0: "#DE",  # divide error
    1: "#DB",  # debug
    3: "#BP",  # breakpoint
    4: "#OF",  # overflow
    5: "#BR",  # bound range exceeded
    6: "#UD",  # no such instruction
    7: "#NM",  # no coprocessor
    8: "#DF",  # a fault while a fault was delivered
    10: "#TS",  # bad task state segment
    11: "#NP",  # segment not present
    12: "#SS",  # stack segment
    13: "#GP",  # general protection
    14: "#PF",  # page fault
    17: "#AC",  # alignment check
}
WITH_ERROR_CODE = frozenset({8, 10, 11, 12, 13, 14, 17})


def fault_name(vector: int) -> str:
    """Return how the manual writes an exception, or the number of an interrupt.

    Parameters
    ----------
    vector
        0 to 255.

    Returns
    -------
    str
        Such as '#GP', or 'int 0x80'.

    Examples
    --------
    >>> fault_name(13), fault_name(0x80)
    ('#GP', 'int 0x80')
    """
    return NAMES.get(vector, f"int {vector:#x}")


class Fault(Exception):  # noqa: N818 - the field's word; it is not an error of this program
    """An instruction that cannot be done.

    Parameters
    ----------
    vector
        Which exception.
    code
        Its error code, where it has one.
    why
        In words, for a person.

    Attributes
    ----------
    address
        Of a page fault: the linear address, which goes to CR2.

    Examples
    --------
    >>> str(Fault(13, 0, "cli at ring 3 with IOPL 0"))
    '#GP(0): cli at ring 3 with IOPL 0'
    """

    def __init__(self, vector: int, code: int = 0, why: str = "", address: int = 0) -> None:
        self.vector, self.code, self.why, self.address = vector, code, why, address
        number = f"({code:#x})".replace("0x0", "0") if vector in WITH_ERROR_CODE else ""
        super().__init__(f"{fault_name(vector)}{number}{': ' if why else ''}{why}")
