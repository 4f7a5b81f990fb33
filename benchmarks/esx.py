"""How fast can one follow a request? A guest that runs, and one that is played again.

- One request: a real guest under its vmm, from power-on to its answer; the same played again
  (`record`), which is what a slider waits for. Yardstick is the least that must be done: the
  same acts, only noted. Goal: played again, a request is followed within 100 ms.
- Traps: what the vmm adds to a guest here, in our own time: the same guest without it.

    python -m benchmarks.esx
"""

from __future__ import annotations

import argparse

from benchmarks.harness import Race, machine, race
from virtlab.machine.esx.acts import VIRTUAL, Event, Log
from virtlab.machine.esx.request import RequestSetup, demo_disk, run_bare, trace_request
from virtlab.machine.esx.vmm import Bare, Task, Vmm

LARGEST = RequestSetup(sectors=4, vms=4, shares=250, outstanding=4)


def note(acts: int) -> None:
    """Note as many acts, and do nothing else."""
    log = Log(VIRTUAL)
    event = Event("kernel", "vmm", "port", "in 0x1f0", 1, 4, 1)
    for _ in range(acts):
        log.add("VM1", event)


def requests() -> Race:
    """Race a live request against the same, played again."""
    acts = len(trace_request(LARGEST, recorded=True).acts)
    return race(
        f"A request of {LARGEST.sectors} sectors among {LARGEST.vms} VMs, {acts} acts",
        {
            "only noted": lambda: note(acts),
            "played again": lambda: len(trace_request(LARGEST, recorded=True).arrows),
            "a live guest": lambda: trace_request(LARGEST).text,
        },
        turns=5,
    )


def guests() -> Race:
    """Race a guest under its vmm against the same guest alone."""
    task = Task(sectors=4)
    return race(
        "A guest that reads 4 sectors from an ATA disk, to its end",
        {
            "alone": lambda: run_bare(Bare("PC", task), demo_disk()),
            "under a vmm": lambda: run_bare(Vmm("VM1", task), demo_disk()),
        },
        turns=5,
    )


def main() -> None:
    """Run the races and say how they stand to their goals."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    print(f"{machine()}\n")
    first = requests()
    print(first)
    print(f"played again: {1000 * first.median('played again'):.0f} ms; goal 100\n")
    second = guests()
    print(second)
    ratio = second.ratio("under a vmm") / second.ratio("alone")
    print(f"under a vmm the guest takes {ratio:.1f} times our time")


if __name__ == "__main__":
    main()
