"""What binary translation costs, and what a processor's help for virtualization costs (S18).

Adams and Agesen timed seven operations of a guest's kernel three times each: on the processor
itself, under a monitor that translates (BT) and under one that lets the processor's extensions
trap (HW), on a 3.8 GHz Pentium 4, the first generation with such extensions. The numbers look
wild: a write into a page table takes 1, 391 and 12,733 cycles. This package explains them by a few
parts, each of which one can picture:

    BT   switch        into the monitor and back, by a trap of ring 1 or 3
         callout       out of translated code into the monitor and back, without a trap
         emulate       a small routine in the translation cache that does what was asked for
         guest_memory  the monitor walks the guest's page tables, or writes on its stack
         shadow        a shadow page table entry is brought up to date
         lookup        the hash table that finds where an indirect return goes
         in_line       a few plain instructions instead of a sensitive one
    HW   exit          the processor leaves the guest and enters it again (table 1, not fitted)
         reads         ten reads of the control block, as they say an exit needs (not fitted)
         handler       the rest of what any exit costs
         device, decode what an `in` costs beyond that; what it takes to decode the instruction
         checked       the processor looks into the control block, and stays in the guest

`parts` fits eleven numbers to seventeen cells: six degrees of freedom. Seven of the eleven stand
in one cell each and explain nothing but that cell; what is tested are the ten others, each
predicted from the rest as well. `forks` asks what a fork must do that takes 150, 924 and 2,660
microseconds. `held_out` predicts what was not fitted: Windows XP's boot, and a later processor.
`slowdown` turns rates of events into slowdowns, and finds where the two ways cross.

What is left out: caches and TLBs that an exit leaves cold; the translator itself, which runs once
for each instruction; devices; all processors but one.

Source: K. Adams, O. Agesen, "A Comparison of Software and Hardware Techniques for x86
Virtualization" (ASPLOS 2006), sections 3 and 6, figures 4 and 5, table 1 and its raw data; round
trips of later processors from E. Bugnion, J. Nieh, D. Tsafrir, "Hardware and Software Support for
Virtualization" (2017), table 4.2.
"""

from virtlab.machine.translation_costs.forks import ForkEvents, fork_events
from virtlab.machine.translation_costs.held_out import BootCheck, CoreCheck, boot_check, core_check
from virtlab.machine.translation_costs.parts import CostFit, fit_costs
from virtlab.machine.translation_costs.slowdown import Load, Slowdown, slowdown

__all__ = [
    "BootCheck",
    "CoreCheck",
    "CostFit",
    "ForkEvents",
    "Load",
    "Slowdown",
    "boot_check",
    "core_check",
    "fit_costs",
    "fork_events",
    "slowdown",
]
