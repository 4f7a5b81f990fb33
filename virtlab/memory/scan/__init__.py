"""Scanners that look for equal pages: their orders and rates, a film of one, a race of two."""
