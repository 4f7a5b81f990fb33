"""A real database moves to another process while its clients work: memory, server, hand-over."""
