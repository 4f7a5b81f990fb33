"""What tells rings 0 to 2 from ring 3: one bit of a page's entry (S17).

Segments know four rings. Pages know two kinds of readers, **supervisor** (rings 0, 1 and 2) and
**user** (ring 3), by the **U/S** bit of a page's entry. So a guest's kernel at ring 1 is kept from
its programs' mistakes by pages, as at ring 0; and it is kept from its VMM, which sits in pages too,
by segments alone.

Here nothing is looked up: an access to a page is done at each ring, on the stage of
`virtlab.machine.stage` with paging switched on.

Source: Intel SDM, volume 3, section 4.6; E. Bugnion, J. Nieh, D. Tsafrir, "Hardware and Software
Support for Virtualization", 2017, section 3.2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from virtlab.machine.decode import Decoder
from virtlab.machine.faults import Fault
from virtlab.machine.memory import PAGE
from virtlab.machine.paging import PRESENT, USER, WRITABLE
from virtlab.machine.stage import CODE, DATA, RAM, stage
from virtlab.results import Result
from virtlab.validate import integer

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.machine.processor import Processor

__all__ = ["PageRights", "page_rights", "paged_stage", "touch"]

DIRECTORY, TABLE = 0xC000, 0xD000
_READ, _WRITE = (code + DATA.to_bytes(4, "little") for code in (b"\xa1", b"\xa3"))
_PAGING, _WRITE_PROTECT = 1 << 31, 1 << 16


@cache
def _decoder() -> Decoder:
    return Decoder()


def paged_stage(ring: int, *, user: bool, writable: bool, protect: bool = False) -> Processor:
    """Make the stage, with paging on, and one page of its own rights.

    Parameters
    ----------
    ring
        That runs, 0 to 3.
    user, writable
        The two bits of the page at `DATA`; all others are for everybody.
    protect
        Whether CR0's WP is set, so that read only is so for the kernel too.

    Returns
    -------
    Processor
        Before its first instruction, which is at `CODE`.

    Examples
    --------
    >>> paged_stage(1, user=False, writable=True).paging.on
    True
    """
    processor = stage(ring, decoder=_decoder())
    memory, registers = processor.memory, processor.registers
    everybody = PRESENT | WRITABLE | USER
    own = PRESENT | (WRITABLE if writable else 0) | (USER if user else 0)
    memory.write(DIRECTORY, (TABLE | everybody).to_bytes(4, "little"))
    for page in range(RAM // PAGE):
        bits = own if page == DATA // PAGE else everybody
        memory.write(TABLE + 4 * page, (page * PAGE | bits).to_bytes(4, "little"))
    registers["CR3"] = DIRECTORY
    registers["CR0"] |= _PAGING | (_WRITE_PROTECT if protect else 0)
    return processor


def touch(
    ring: int, *, user: bool, writable: bool = True, write: bool = False, protect: bool = False
) -> str:
    """Touch a page at a ring, and say what came of it.

    Parameters
    ----------
    ring
        0 to 3.
    user, writable, protect
        As in `paged_stage`.
    write
        Whether to write to it.

    Returns
    -------
    str
        'works', or the fault.

    Examples
    --------
    >>> [touch(ring, user=False) for ring in range(4)]
    ['works', 'works', 'works', '#PF(0x5)']
    """
    integer("ring", ring, minimum=0, maximum=3)
    processor = paged_stage(ring, user=user, writable=writable, protect=protect)
    processor.memory.write(CODE, _WRITE if write else _READ)
    try:
        processor.step()
    except Fault as fault:
        return str(fault).partition(":")[0]
    return "works"


@dataclass(frozen=True)
class PageRights(Result):
    """What each ring may do with each kind of page.

    Attributes
    ----------
    outcomes
        'works' or the fault, by ring, user bit, writable bit, and whether it is a write.
    protect
        Whether WP was set.

    Examples
    --------
    >>> page_rights().alike(1, 0), page_rights().alike(1, 3)
    (True, False)
    """

    outcomes: dict[tuple[int, bool, bool, bool], str]
    protect: bool

    def alike(self, one: int, other: int) -> bool:
        """Return whether two rings may do the same with all pages.

        Parameters
        ----------
        one, other
            Rings.

        Returns
        -------
        bool
            Of all kinds of pages.
        """
        kinds = {key[1:] for key in self.outcomes}
        return all(self.outcomes[one, *kind] == self.outcomes[other, *kind] for kind in kinds)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each ring: what became of reads and writes of each kind of page."""
        import pandas as pd

        rows = [
            {
                "ring": ring,
                **{
                    f"{'writes' if write else 'reads'} a {'user' if user else 'supervisor'} page"
                    f"{'' if writable else ', read only'}": self.outcomes[
                        ring, user, writable, write
                    ]
                    for user in (True, False)
                    for writable, write in ((True, False), (True, True), (False, True))
                },
            }
            for ring in range(4)
        ]
        return pd.DataFrame(rows)

    def summary(self) -> dict[str, float | int | str]:
        """Return which rings are alike."""
        return {
            "alike": ", ".join(str(ring) for ring in range(4) if self.alike(ring, 0)),
            "write_protect": int(self.protect),
        }

    def explain(self) -> str:
        """Say which rings paging cannot tell apart."""
        same = [str(ring) for ring in range(4) if self.alike(ring, 0)]
        others = [str(ring) for ring in range(4) if not self.alike(ring, 0)]
        return (
            f"To paging, rings {', '.join(same)} are the same; ring {', '.join(others)} is "
            "another, by the U/S bit."
        )


def page_rights(*, protect: bool = False) -> PageRights:
    """Touch each kind of page at each ring.

    Parameters
    ----------
    protect
        Whether CR0's WP is set.

    Returns
    -------
    PageRights
        What came of it.

    Examples
    --------
    >>> print(page_rights().explain())
    To paging, rings 0, 1, 2 are the same; ring 3 is another, by the U/S bit.
    """
    return PageRights(
        {
            (ring, user, writable, write): touch(
                ring, user=user, writable=writable, write=write, protect=protect
            )
            for ring in range(4)
            for user in (True, False)
            for writable in (True, False)
            for write in (True, False)
        },
        protect,
    )
