"""What things cost in time: three constants, calibrated on one published curve.

An operation on a page in memory costs processor time; a page that must come from a disk makes the
operation wait for the disk; a page that must be written goes out later, with its neighbours, and
costs a part of that. It is one disk price for all: a file's page, a page of the guest's swap and
a page of the host's swap cost the same, so that whatever balloon and swap differ by in an
experiment comes from *which* pages they take, not from a constant.

Calibration: the five configured points of Waldspurger, OSDI'02, figure 2 (dbench in 128 to
256 MB, our readings of the drawing), by least squares; nothing else. `virtlab.memory.experiments`
does it again in its test. What that cannot say: how a disk serves several waiting processes at
once, or that neighbouring pages come cheaper.
"""

from __future__ import annotations

__all__ = ["CPU_S", "DISK_S", "PAGES_PER_MIB", "PAGE_BYTES", "WRITE_S"]

PAGE_BYTES = 4096
PAGES_PER_MIB = 256

CPU_S = 0.0541 / PAGES_PER_MIB
"""Processor time of an operation on one page, seconds."""

DISK_S = 0.190 / PAGES_PER_MIB
"""Wait for one page from a disk, seconds: three quarters of a millisecond."""

WRITE_S = DISK_S / 8
"""Cost of writing one page later, seconds. The eighth is ours: pages go out in clusters."""
