"""What the model of QEMU takes as given: each number, and where it is from.

Three kinds. Numbers of QEMU's source (7.2, `migration/`), which no measurement can change. Numbers
counted in the measured runs, exact (how many pages the guest leaves zero). Numbers fitted, once and
for all runs, to a named part of them; `virtlab.migration.qemu.measured` tests them on the rest.
"""

from __future__ import annotations

__all__: list[str] = []

MIB = 2**20
PAGE_BYTES = 4096

# --- QEMU's source ---------------------------------------------------------------------------
# ram.c, save_page_header: the address and flags before each page. A page of zeros is this and one
# byte; README of the measurements: 4104.0 and 9 bytes.
HEADER_BYTES = 8
ZERO_PAGE_BYTES = HEADER_BYTES + 1
# savevm.c, qemu_savevm_state_iterate: header 5, end of section 8, footer 5, each time RAM is asked.
SECTION_BYTES = 18
# migration.c, BUFFER_DELAY: bandwidth is measured and its limit renewed this often.
WINDOW_S = 0.1
# ram.c, MAX_WAIT: with no limit in the way, RAM is sent for this long before QEMU looks again.
MAX_WAIT_S = 0.05

# --- Counted, exact, in all runs without a writer (`core`, `ram512`, `zero`) --------------------
# The guest fills its memory from 16 MiB on. Below that 37 pages are not zeros; ROMs and video
# follow the RAM with 130 pages, 52 of them not zeros.
LOW_PAGES, LOW_NORMAL_PAGES = 4096, 37
ROM_PAGES, ROM_NORMAL_PAGES = 130, 52
# Pages of the BIOS's that change once, in the first round.
BIOS_PAGES = 2
# Devices' and processors' state, after the pages.
STATE_BYTES = 372
# Who measured gave up after this long.
TIME_LIMIT_S = 30.0

# --- Fitted (`virtlab.migration.qemu.fitting` does it again) ------------------------------------
# The last stage: what it costs beside its pages, the rate of the loopback of the machine that was
# measured, and from QEMU's own figure to what the guest feels. Clean runs of `core` and `bw`.
STOP_S = 0.0024
LOOPBACK_BYTES_S = 1.43e9
RESUME_S = 0.0012
# A socket on a limited link: once it is full it lets QEMU go on only when this much has left, and
# it holds three times that (Linux wakes a writer when a third of the buffer is free). Rounds of
# `link` at 64 MiB/s, which follow each other every 64.5 ms, 3 of these; at 32 MiB/s they then must
# take 86.0 ms, 2 of these, and do.
SOCKET_WAKE_BYTES = 1.443e6
SOCKET_BYTES = 3 * SOCKET_WAKE_BYTES
# Reading the dirty bitmap: median of all rounds (`sync_dur_ms`).
SYNC_S = 0.1e-3
# Looking at a page of zeros: the first round of `zero` at 32 MiB/s without a writer takes 34 ms
# more than whole windows, with 98,000 pages of zeros.
ZERO_PAGE_S = 0.33e-6
# How long the guest had been writing when a migration began: clean runs of `core` and `bw`. It is a
# habit of who measured, not of QEMU; without it a round-robin writer's place is unknown.
HEAD_START_S = 2.05
HEAD_START_SPREAD_S = 0.02
