"""The measured data that travel with the package.

`data/README.md` says of each file what it holds, where it is from, its licence and its SHA-256.
In a checkout the files are in `data/`; in an installed wheel they are inside the package.
"""

from virtlab.datasets.files import changed_files, data_path, folder
from virtlab.datasets.machine import (
    milestones,
    ring3_native,
    rings_unicorn,
    translation_costs,
    ways,
)
from virtlab.datasets.memory import (
    PAGE_KINDS,
    copies_pages,
    ksm_check,
    ksm_rate,
    process_pages,
    reclaim_pages,
    reclaim_steps,
    sharing_vs_copies,
    touched_seconds,
)
from virtlab.datasets.migration import dirty_trace, trace_meta, wws_curves
from virtlab.datasets.resources import cpu_machine, cpu_shares, cpu_turns

__all__ = [
    "PAGE_KINDS",
    "changed_files",
    "copies_pages",
    "cpu_machine",
    "cpu_shares",
    "cpu_turns",
    "data_path",
    "dirty_trace",
    "folder",
    "ksm_check",
    "ksm_rate",
    "milestones",
    "process_pages",
    "reclaim_pages",
    "reclaim_steps",
    "ring3_native",
    "rings_unicorn",
    "sharing_vs_copies",
    "touched_seconds",
    "trace_meta",
    "translation_costs",
    "ways",
    "wws_curves",
]
