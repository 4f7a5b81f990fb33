"""The kernel's own page sharing (KSM): asking it, replaying its scan, holding ours against it."""
