"""Time and memory of a large host at page level, against a plain loop over pages.

    python -m benchmarks.memory [--seconds 600] [--vms 64]
    python -m benchmarks.memory --widget

A host of 64 GiB runs 64 VMs of 1 GiB, 16.8 million pages, for ten simulated minutes: memory lacks,
balloons move, some VMs swap. The bar is a minute and a GiB. The plain loop does the least that a
page-level model must do in a second, for each page in turn: is it older than so many seconds? It
does nothing else, and its time is scaled up from a few passes.

With `--widget` it times how soon the live host of chapter 07 answers, beside a slider that only
divides and draws (chapter 05). The bar is 100 ms.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time

import numpy as np

from benchmarks.harness import Race, machine, race
from virtlab.memory.guest import GuestSpec
from virtlab.memory.guest.workloads import FileServer, HotCold, Idle, Workload
from virtlab.memory.host.scenario import Scenario
from virtlab.memory.host.simulation import Simulation
from virtlab.memory.host.spec import HostSpec
from virtlab.memory.host.vm import VmSpec

VM_MIB = 1024
BAR_S, BAR_MIB = 60.0, 1024.0


def scenario(vms: int, seconds: int) -> Scenario:
    """Return a host as large as its VMs together: overhead and reserve lack.

    Parameters
    ----------
    vms
        How many.
    seconds
        How long.

    Returns
    -------
    Scenario
        A quarter each of idle VMs, file servers, and two kinds of programs.
    """
    loads: tuple[Workload, ...] = (
        Idle(mib=20),
        FileServer(popularity_mib=150, files_mib=900),
        HotCold(hot_mib=200, cold_mib=600, hot=0.97),
        HotCold(hot_mib=400, cold_mib=450, hot=0.9),
    )
    guest = GuestSpec(VM_MIB, image=1, image_mib=64, zeroes=True)
    specs = tuple(
        VmSpec(f"VM{i + 1}", guest, loads[i % 4], min_mib=VM_MIB / 2, boot_s=60) for i in range(vms)
    )
    return Scenario("a large host", seconds, HostSpec(vms * VM_MIB), specs)


def plain_loop(pages: int) -> float:
    """Return the seconds that one pass of the plain loop takes.

    Parameters
    ----------
    pages
        How many.

    Returns
    -------
    float
        Seconds.
    """
    touched = np.random.default_rng(1).integers(0, 600, 200_000).tolist()
    start = time.perf_counter()
    old = 0
    for age in touched:
        if age < 300:
            old += 1
    return (time.perf_counter() - start) * pages / len(touched)


def answers(turns: int = 15) -> Race:
    """Time how soon the live host's controls answer: computed, drawn and encoded.

    Parameters
    ----------
    turns
        How often each control is moved.

    Returns
    -------
    Race
        Beside a slider of chapter 05.
    """
    from virtlab.widgets.memory import reallocation
    from virtlab.widgets.shares import shares_app

    plain, known, host = shares_app(), reallocation(), reallocation()
    for app in (plain, known, host):
        app.picture.pixels = 960  # as on a screen with a pixel for each
    known.set(time=159)  # all is computed
    host.set(time=50)
    shares, more, low = (itertools.cycle(ends) for ends in ((500, 900), (640, 2560), (40, 64)))
    near, far = (itertools.cycle(ends) for ends in ((50, 51), (44, 110)))

    return race(
        "how soon a control is answered",
        {
            "a slider of chapter 05": lambda: plain.set(shares2=next(shares)),
            "a step of the time": lambda: known.set(time=next(near)),
            "a jump in the time known": lambda: known.set(time=next(far)),
            "VM4's shares": lambda: host.set(shares4=next(more)),
            "VM1's minimum": lambda: host.set(minimum1=next(low)),
        },
        turns=turns,
    )


def main() -> None:
    """Run the host, and print time, memory and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vms", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--widget", action="store_true")
    given = parser.parse_args()
    print(machine(), end="\n\n")
    if given.widget:
        print(answers())
        return
    start, cpu = time.perf_counter(), time.process_time()
    simulation = Simulation(scenario(given.vms, given.seconds))
    for _ in range(given.seconds):
        simulation.second()
    took, busy = time.perf_counter() - start, time.process_time() - cpu
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pages = sum(vm.guest.pages for vm in simulation.scenario.vms)
    loop = plain_loop(pages) * given.seconds
    print(simulation.result().explain(), end="\n\n")
    print(f"{pages:,} pages, {given.seconds} s: {took:.1f} s ({busy:.1f} s of processor time)")
    print(f"peak memory {most:.0f} MiB; the bar is {BAR_S:g} s and {BAR_MIB:g} MiB")
    print(f"a plain loop over the pages: {loop:.0f} s, {loop / took:.0f} times as long")


if __name__ == "__main__":
    main()
