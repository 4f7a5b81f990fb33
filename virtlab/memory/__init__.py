"""Memory of a host: admission, the idle tax, page sharing, ballooning and swapping (S23-S28)."""
