"""How a host is configured: its memory, the tax, sharing, how often it balances."""

from __future__ import annotations

from dataclasses import dataclass, field

from virtlab.memory import tax
from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.memory.states import Thresholds
from virtlab.validate import integer, number

__all__ = ["HostSpec"]


@dataclass(frozen=True)
class HostSpec:
    """How a host is configured.

    Attributes
    ----------
    mib
        Its memory, MiB.
    own_mib
        What VMkernel and console take of it.
    tax_rate
        tau of the idle memory tax.
    sharing
        Whether equal pages are shared.
    scan_vm_pages_s, scan_pages_s
        Pages looked at in a second to be shared: of a VM, and in all.
    balance_s
        Seconds between two divisions of memory.
    swap_mib
        Size of its swap; as large as its memory if None.
    thresholds
        Of its states.

    Examples
    --------
    >>> HostSpec(1024).pages
    262144
    """

    mib: float
    own_mib: float = 24.0
    tax_rate: float = tax.TAX_RATE
    sharing: bool = True
    scan_vm_pages_s: int = 50
    scan_pages_s: int = 200
    balance_s: int = 15
    swap_mib: float | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("mib", self.mib, minimum=1)
        number("own_mib", self.own_mib, minimum=0, maximum=self.mib)
        integer("scan_vm_pages_s", self.scan_vm_pages_s, minimum=0)
        integer("scan_pages_s", self.scan_pages_s, minimum=0)
        integer("balance_s", self.balance_s, minimum=1)
        tax.idle_cost(self.tax_rate)
        if self.swap_mib is not None:
            number("swap_mib", self.swap_mib, minimum=0)

    @property
    def pages(self) -> int:
        """Frames of the machine."""
        return round(self.mib * PAGES_PER_MIB)
