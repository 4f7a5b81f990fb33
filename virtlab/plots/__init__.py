"""Figures drawn from results, one module a topic, each with its alt text."""
