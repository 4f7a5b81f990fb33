"""One thing for many: the one allocator, and the schedulers it comes about by (S19-S22)."""

from virtlab.resources.shares import Allocation, allocate

__all__ = ["Allocation", "allocate"]
