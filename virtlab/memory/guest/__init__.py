"""A guest that is more than a number: frames, objects, page cache, swap, balloon, workloads.

Read in this order: `physical` (what a guest takes for its memory), `objects` and `frames` (its two
tables), `guest` (touch, fault, evict), `balloon`, `workloads`, `phases` and
`traces`, `costs`.
"""

from virtlab.memory.guest.balloon import Balloon
from virtlab.memory.guest.guest import ContentLostError, Guest, OutOfMemoryError
from virtlab.memory.guest.spec import GuestSpec

__all__ = ["Balloon", "ContentLostError", "Guest", "GuestSpec", "OutOfMemoryError"]
