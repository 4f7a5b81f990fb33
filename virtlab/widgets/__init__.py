"""Controls around a model and its plot, one module a topic."""
