"""How a guest is configured: its size, its kernel, the image that it runs."""

from __future__ import annotations

from dataclasses import dataclass

from virtlab.memory.guest.costs import PAGES_PER_MIB
from virtlab.validate import InvalidInputError, integer, number

__all__ = ["GuestSpec"]


@dataclass(frozen=True)
class GuestSpec:
    """How a guest is configured.

    Attributes
    ----------
    size_mib
        Memory that it takes for its own, MiB.
    kernel_mib
        What its kernel takes whatever the size, MiB.
    structures
        What it takes besides, a part of the size. The 4.5 % are calibrated on one point of W02
        figure 2, the balloon of 128 MB.
    swap_mib
        The guest's swap; as large as its memory if None.
    image, image_mib
        Number of the system it runs, and how much of its code is in the page cache: the same
        bytes in all VMs of the same image. Image 0 is like no other.
    zeroes
        Whether it writes zeros to all free memory at boot, as Windows does.

    Examples
    --------
    >>> GuestSpec(256).pages, GuestSpec(256).kernel_pages
    (65536, 4997)
    """

    size_mib: float
    kernel_mib: float = 8.0
    structures: float = 0.045
    swap_mib: float | None = None
    image: int = 0
    image_mib: float = 0.0
    zeroes: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        number("size_mib", self.size_mib, minimum=1 / PAGES_PER_MIB)
        number("kernel_mib", self.kernel_mib, minimum=0)
        number("structures", self.structures, minimum=0, maximum=1)
        number("image_mib", self.image_mib, minimum=0, maximum=256)
        integer("image", self.image, minimum=0, maximum=99)
        if self.swap_mib is not None:
            number("swap_mib", self.swap_mib, minimum=0)
        if self.kernel_pages >= self.pages:
            allowed = f"more than the kernel's {self.kernel_pages / PAGES_PER_MIB:g} MiB"
            raise InvalidInputError("size_mib", self.size_mib, allowed)

    @property
    def pages(self) -> int:
        """Page frames."""
        return round(self.size_mib * PAGES_PER_MIB)

    @property
    def kernel_pages(self) -> int:
        """Frames that the kernel takes for good."""
        return round((self.kernel_mib + self.structures * self.size_mib) * PAGES_PER_MIB)

    @property
    def swap_pages(self) -> int:
        """Pages that fit the guest's swap."""
        swap = self.size_mib if self.swap_mib is None else self.swap_mib
        return round(swap * PAGES_PER_MIB)
