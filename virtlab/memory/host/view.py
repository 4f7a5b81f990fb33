"""What a controller sees of a host, and what it may order.

A controller (`virtlab.memory.host.controllers`) is called once a second. It gets a `View`: numbers
about the host and one array entry a VM, in pages. It returns `Orders`. The host carries them out
as far as may be: no order takes a VM below its minimum, and no balloon exceeds its driver's limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtlab.memory.states import State

    Floats = NDArray[np.float64]

__all__ = ["Orders", "View"]


@dataclass
class Orders:
    """What the host should do in the next second.

    Attributes
    ----------
    balloon
        How large the balloon of each VM should be, pages.
    swap
        How many pages of each VM to write to the host's swap now.
    blocked
        Which VMs wait.
    most_written
        How many of the pages to swap may be written, all VMs together; those that can be shared
        need no writing.

    Examples
    --------
    >>> orders = Orders(balloon=np.array([256.0, 0.0]))
    >>> orders.swap.tolist(), orders.blocked.tolist()
    ([0.0, 0.0], [False, False])
    """

    balloon: Floats
    swap: Floats = field(default_factory=lambda: np.empty(0))
    blocked: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))
    most_written: float = np.inf

    def __post_init__(self) -> None:
        """Order nothing where nothing was said."""
        self.balloon = np.asarray(self.balloon, np.float64)
        if self.swap.size == 0:
            self.swap = np.zeros(self.balloon.size)
        if self.blocked.size == 0:
            self.blocked = np.zeros(self.balloon.size, bool)


@dataclass(frozen=True)
class View:
    """What a controller sees; arrays have an entry for each running VM.

    Attributes
    ----------
    second
        Since the start.
    pages, free, aim
        Frames of the host, those free now, and those that should be free.
    state
        The host's state.
    size, minimum, maximum, shares
        Of each VM as configured, pages (and shares).
    target
        What each VM should have by shares and idle tax, pages.
    allocated
        What it has now: pages with a frame of their own or a shared one.
    active
        What is in use, estimated, pages.
    ballooned, balloon_most
        In its balloon now, and at most (0 where there is no driver, or it refuses).
    goal
        How large its balloon should be, as was last ordered.
    swapped
        In the host's swap.
    guest_free
        Free inside the guest, as its driver reports.
    """

    second: int
    pages: int
    free: int
    aim: int
    state: State
    size: Floats
    minimum: Floats
    maximum: Floats
    shares: Floats
    target: Floats
    allocated: Floats
    active: Floats
    ballooned: Floats
    balloon_most: Floats
    goal: Floats
    swapped: Floats
    guest_free: Floats

    @property
    def free_part(self) -> float:
        """Free frames, as a part of the host's."""
        return self.free / self.pages

    @property
    def lacking(self) -> int:
        """Frames that are needed to get back to what should be free."""
        return max(self.aim - self.free, 0)

    @property
    def excess(self) -> Floats:
        """What each VM has above its target."""
        return np.maximum(self.allocated - self.target, 0)
