"""One thing for many: the one allocator, and the schedulers it comes about by (S19-S22)."""

from virtlab.resources.disk import Change, Disk, DiskLoad, serve
from virtlab.resources.pools import VM, Pool, PoolAllocation, divide
from virtlab.resources.presets import preset
from virtlab.resources.shares import Allocation, allocate

__all__ = [
    "VM",
    "Allocation",
    "Change",
    "Disk",
    "DiskLoad",
    "Pool",
    "PoolAllocation",
    "allocate",
    "divide",
    "preset",
    "serve",
]
