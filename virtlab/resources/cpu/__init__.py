"""How processors are shared: by shares, minimum and maximum, a quantum at a time (S21).

The talk shows three pictures: a share is changed, and processor time is divided anew at once; a
VM is added, and the others keep their ratio; one is removed, and nothing is wasted. All three
come out of one loop: whenever a processor is free, the VM that is furthest behind its part is
next. `schedule` is that loop; `virtlab.resources.allocate` says where it must come to.

    vms        VMs, what may happen to them, and whether they are let in
    workloads  what they have to do
    policies   who is next: stride, lottery, round robin, or a class of your own
    scheduler  the loop
    waiting    who wants to run, and the clocks of minimum and maximum, for any policy
    by_level   stride by what `allocate` entitles each to
    level      that, kept up to date while VMs wake, sleep, come and go
    stretch    the loop in short, where nothing but quanta happens; leap, many at once; slots, on
               several processors
    run        what comes of it: every interval, ready time, fairness, switches, migrations
    threads    the loop on hyperthreaded cores; threaded begins it, threaded_run: what comes of it
    places     affinity, who may sit beside whom; room, what is free; contention, how fast each is
    session    a run that one watches, and changes at any moment
    moment     what is said of a moment of it
    entitlement   what each VM was entitled to at every moment of a run
    coscheduling  the virtual processors of one VM together, strict and relaxed
    batch      the schedule from one sort, where shares never change

Sources: ESX Server 2.1 Administration Guide, pp. 388-392; C. Waldspurger, PhD thesis,
MIT/LCS/TR-667 (1995).
"""

from virtlab.resources.cpu.batch import stride_order
from virtlab.resources.cpu.contention import Contention, Cores
from virtlab.resources.cpu.coscheduling import CoRules, CoRun, Smp, compare_rules, coschedule
from virtlab.resources.cpu.moment import CpuMoment, claims
from virtlab.resources.cpu.policies import Lottery, Policy, RoundRobin, Stride, Vcpu
from virtlab.resources.cpu.run import CpuRun
from virtlab.resources.cpu.scheduler import schedule
from virtlab.resources.cpu.session import CpuHost, Session
from virtlab.resources.cpu.threaded import schedule_threads
from virtlab.resources.cpu.threaded_run import Place, ThreadedRun
from virtlab.resources.cpu.vms import Add, Change, CpuVM, Remove, admit
from virtlab.resources.cpu.workloads import Bursty, Compute, Interactive, OnOff, Trace, Workload

__all__ = [
    "Add",
    "Bursty",
    "Change",
    "CoRules",
    "CoRun",
    "Compute",
    "Contention",
    "Cores",
    "CpuHost",
    "CpuMoment",
    "CpuRun",
    "CpuVM",
    "Interactive",
    "Lottery",
    "OnOff",
    "Place",
    "Policy",
    "Remove",
    "RoundRobin",
    "Session",
    "Smp",
    "Stride",
    "ThreadedRun",
    "Trace",
    "Vcpu",
    "Workload",
    "admit",
    "claims",
    "compare_rules",
    "coschedule",
    "schedule",
    "schedule_threads",
    "stride_order",
]
