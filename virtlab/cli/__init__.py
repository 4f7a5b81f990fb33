"""The `virtlab` command, one module a topic."""
