"""A virtual machine monitor by trap and emulate, and three ways to run one kernel (S13, S17).

worlds      what the guest believes, and what is there: who has which state
shadow      copies of the guest's descriptor tables
host        the processor with the VMM's memory, and the one way into the VMM
monitor     traps, emulation, injection; ports and the log
judge       whether an instruction lies: it is done twice
patching    what lies is replaced by what traps
events      what is noted
"""

from virtlab.machine.vmm.events import LAYERS, Event, Wrong
from virtlab.machine.vmm.monitor import Monitor

__all__ = ["LAYERS", "Event", "Monitor", "Wrong"]
