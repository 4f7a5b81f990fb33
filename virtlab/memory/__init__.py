"""Memory of a host: page sharing, and later admission, ballooning and swapping (S23-S28)."""
