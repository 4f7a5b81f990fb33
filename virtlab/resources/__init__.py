"""One thing for many: the one allocator, and the schedulers it comes about by (S19-S22)."""
